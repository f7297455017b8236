/** Public face of agent: the device's part, over ports. Adapters and the program come with it. */
export { createAgent, type Agent, type AgentStatus, type PollOutcome } from './agent.ts';
export { tuningDefault, type AgentPorts, type AgentSettings, type AgentTuning } from './settings.ts';
export type { BootControl, BootControlState } from './ports/boot-control.ts';
export { confirmedStartsDefault, trialTriesDefault } from './ports/boot-control.ts';
export { DiskError, type Disk, type DiskFile } from './ports/disk.ts';
export * from './ports/platform.ts';
export type { ImageIdentity, SlotLayout } from './ports/slots.ts';
export {
  bootCopyBytes,
  bootCopySpacingBytes,
  bootFileBytes,
  decodeBootCopy,
  decodeBootFile,
  encodeBootCopy,
  encodeBootFile,
  type BootFile,
} from './durable/boot-codec.ts';
export { bootFileControl, createBootFile } from './durable/boot-file.ts';
export type { Attempt, AttemptResult, DeviceState, Installed } from './core/record.ts';
export { provisionState } from './durable/provision.ts';
export { isResult, openEventLog, type EventLog } from './durable/event-log.ts';
export { recordStore, type RecordStore } from './durable/record-store.ts';
export { renderMermaid, step } from './core/machine.ts';
export { ignored, transitions, type Transition } from './core/transitions.ts';
export type { Effect, EventKind, Facts, MachineEvent, Move, Step } from './core/effects.ts';
export { decodeRecord, isConsistent, recordCopyBytes, type RecordCopy } from './core/record-codec.ts';
export { formatNumber, recordFormats, type RecordFormat } from './core/record-formats.ts';
export { openBlock, sealBlock } from './core/sealed.ts';
export { decodeLogCell, logCellBytes } from './durable/log-cell.ts';
export { decodeTrustCopy, trustFileNames } from './durable/trust-store.ts';
export { type HttpsTransport, httpsTransport } from './adapters/https-transport.ts';
export { type TrustClient, trustClient } from './executor-trust.ts';
