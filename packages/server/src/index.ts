/** Public face of the server: for tests and the testbench. People start its program. */
export { startServer, type RunningServer, type ServerOptions } from './server.ts';
export { parseConfig, readConfig, type ServerConfig } from './config.ts';
export { makeOnlineKeys } from './adapters/key-folder.ts';
export { createLogger, type Logger } from './adapters/logger.ts';
export type { Clock } from './ports/platform.ts';
