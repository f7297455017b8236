/** Public face of protocol: one home for what crosses a wire. Runs in a browser. */
export * from './messages.ts';
export { deviceCodes, isWrittenCode, type DeviceCode, type WrittenCode } from './device-codes.ts';
export { encodeCheckIn, parseCheckIn, type CheckInFault } from './check-in.ts';
export { peopleLimits, wireLimits } from './limits.ts';
export * from './schemas.ts';
export * from './management.ts';
export * from './permissions.ts';
export * from './people.ts';
export * from './queue.ts';
export * from './role-terms.ts';
export * from './audit.ts';
export { apiCodes, type ApiCode } from './api-codes.ts';
export * from './service.ts';
