/**
 * Structured log lines on standard error: one JSON object each. Only named facts are written: no header, no body, no
 * query ever gets here, so that no secret does. Errors are written without the values that caused them.
 */

export type Facts = Readonly<Record<string, string | number | boolean | Error | undefined>>;

export interface Logger {
  info(event: string, facts?: Facts): void;
  error(event: string, facts?: Facts): void;
}

export function createLogger(write: (line: string) => void): Logger {
  const log = (level: string, event: string, facts: Facts = {}) => {
    const shown = Object.entries(facts).map(([name, value]) => [
      name,
      value instanceof Error ? value.stack : value,
    ]);
    const time = new Date().toISOString();
    write(`${JSON.stringify({ time, level, event, ...Object.fromEntries(shown) })}\n`);
  };
  return {
    info: (event, facts) => log('info', event, facts),
    error: (event, facts) => log('error', event, facts),
  };
}
