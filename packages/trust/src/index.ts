/** Public face of trust: bytes in, verdict out. Nothing here does I/O. */
export * from './result.ts';
export * from './types.ts';
export { trustErrors, type TrustCode } from './errors.ts';
