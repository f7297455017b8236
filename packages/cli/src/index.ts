/** Public face of the CLI: the program as a function, for tests and for the testbench. */
export { runAirlock } from './main.ts';
export { cliErrors, type CliCode } from './errors.ts';
export type { CliIo, Terminal } from './io.ts';
