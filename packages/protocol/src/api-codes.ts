/**
 * Codes of the server's two APIs: every reason for which a request is refused that is the server's own.
 *
 * What a device would refuse is answered with trust's code (`OTA_*`), so that a person reads the same word at the
 * server and in a device's log. Runs in a browser. A check compares this table with docs/errors.md and the
 * functions it names.
 */
import type { ErrorTable } from '@airlock/trust';

export const apiCodes = {} as const satisfies ErrorTable;
export type ApiCode = keyof typeof apiCodes;
