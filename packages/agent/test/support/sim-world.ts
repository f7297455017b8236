/** The surroundings of a simulated device: server, operator, boot loader, programs, faults. */
import type { LogEntry, SelfTestResult } from '@airlock/protocol';
import {
  TransportError,
  type AgentSettings,
  type FloorStore,
  type Interlock,
  type Watchdog,
} from '../../src/index.ts';
import { Company, start } from './sim-company.ts';

/** What the device's surroundings do; tests change it between and during boots. */
export class World {
  readonly company: Company;
  now = start + 10;
  monotonic = 0;
  reachable = true;
  /** `hang`: no answer ever comes; `crash`: the port throws. */
  interlock: (what: string) => boolean | 'hang' | 'crash' = () => true;
  /** Time limits end, each once nothing else happens; otherwise they last until they are called off. */
  limitsEnd = false;
  consent = true;
  /** Instead of the answers above. */
  interlockPort: Interlock | undefined;
  /** Called before each durable operation, by what it means. */
  onStep: (name: string) => void = () => undefined;
  /** What the interlock was told, as `trial 2`; `deaf`: it cannot be told. */
  told: string[] = [];
  deaf = false;
  /** The boot control cannot be written to disarm. */
  disarmBroken = false;
  bootUnreadable = false;
  /** The boot loader boots an armed group once and forgets it; undefined: it counts tries. */
  oneShot: { readonly survivesPowerOff: boolean } | undefined;
  /** What the clock was set to; undefined: this platform cannot set it. */
  clockSets: number[] | undefined;
  clockFails = false;
  /** The director's answer to a question for the time; undefined: the honest one. */
  timeAnswer: ((nonce: string) => string) | undefined;
  timesAsked = 0;
  /** Waits of `Agent.run`, in milliseconds, each over at once; undefined: they last until they are called off. */
  runWaits: number[] | undefined;
  /** A device record that each answer carries. */
  deviceRecord: string | undefined;
  restartWorks = true;
  /** undefined: the device has none. */
  watchdog: Watchdog | undefined;
  selfTest: () => Promise<SelfTestResult> = async () => ({ passed: true, tests: [] });
  data: { present: boolean; calls: string[]; prepare: boolean; ends: boolean } = {
    present: false,
    calls: [],
    prepare: true,
    /** What the hooks commit and revert answer. */
    ends: true,
  };
  reports: string[] = [];
  /** undefined: the device has no secure boot. */
  secureBootKeys: string[] | undefined;
  uploaded: LogEntry[] = [];
  checkIns = 0;
  imageRequests: { start: number; end: number }[] = [];
  /** Bytes after which each image request breaks off; undefined: never. */
  breakAfter: number | undefined;
  corrupt = false;
  windowTimeZone = 'UTC';
  settings: Partial<AgentSettings> = {};
  /** Whether the device is provisioned with a simulated TPM; `floorStore`: with this one instead. */
  tpm = false;
  floorStore: FloorStore | undefined;

  constructor(company: Company = new Company()) {
    this.company = company;
  }

  /** What a transport throws when a connection breaks. */
  fault(): TransportError {
    return new TransportError('OTA_SERVER_UNREACHABLE', 'the connection broke');
  }
}
