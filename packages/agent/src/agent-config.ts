/**
 * What a configuration file says, as a value: every field, and what it means where it is absent.
 *
 * Only the shape; `config.ts` is the one parser that makes it, with all defaults.
 */
import type { ServicePermission } from '@airlock/protocol';
import type { GroupLetter } from '@airlock/trust';

export interface AgentConfig {
  readonly device: string;
  readonly product: string;
  /** The state partition's folder: record, trust state, log. */
  readonly stateFolder: string;
  readonly server: {
    /** Origin of the device listener; its host is the name that the server's certificate must bear. */
    readonly url: string;
    readonly authorityFile: string;
    readonly certificateFile: string;
    readonly keyFile: string;
    /** `1.2` allows AEAD suites with forward secrecy beside TLS 1.3, for old proxies. */
    readonly tlsMin: '1.3' | '1.2';
  };
  readonly logKeyFile: string;
  readonly slots: Readonly<Record<string, Readonly<Record<GroupLetter, string>>>>;
  readonly identity: { readonly kind: 'tar'; readonly component: string; readonly member: string };
  readonly bootControl:
    | { readonly kind: 'file'; readonly file: string }
    | {
        readonly kind: 'command';
        readonly command: readonly string[];
        readonly tries: 'counted' | 'one-shot';
        readonly armingSurvivesPowerOff: boolean;
        /** Starts that the command gives to a group that it confirms; unset: 16. */
        readonly confirmedStarts?: number;
        readonly timeLimitSeconds: number;
      };
  readonly selfTest: {
    readonly tests: readonly {
      readonly name: string;
      readonly command: readonly string[];
      readonly critical: boolean;
      readonly timeLimitSeconds: number;
    }[];
    /** How long the built-in test tries to reach the server. */
    readonly builtInTimeLimitSeconds: number;
  };
  readonly dataHooks?: {
    readonly prepare: readonly string[];
    readonly commit: readonly string[];
    readonly revert: readonly string[];
    readonly timeLimitSeconds: number;
  };
  /** Where it is a program and a socket, both must say yes. */
  readonly interlock:
    | 'none'
    | (InterlockProgram & { readonly socket?: InterlockSocket })
    | { readonly socket: InterlockSocket };
  /** Absent: there are no local sockets. */
  readonly service?: {
    readonly folder: string;
    /** One for each permission; owner, group and mode of its file say who has it. */
    readonly sockets: Readonly<
      Partial<
        Record<ServicePermission, { readonly uid: number; readonly gid: number; readonly mode: number }>
      >
    >;
  };
  /** Absent: consent is asked for where the assignment wants it. */
  readonly consent?: { readonly required: boolean; readonly validSecondsMax: number };
  /** Absent: the agent never sets the system's clock. */
  readonly clock?: { readonly setCommand: readonly string[]; readonly timeLimitSeconds: number };
  /** IANA name; windows are read in it. */
  readonly timeZone: string;
  readonly poll: { readonly intervalSeconds: number };
  readonly limits: AgentLimits;
  /** Absent: the device has no secure boot. */
  readonly secureBoot?: { readonly trustedKeys: readonly string[] };
  /** Absent: the floor lives in the record alone, and a restored disk lowers it. */
  readonly tpm?: { readonly index: string; readonly tcti: string; readonly timeLimitSeconds: number };
  /** Absent: nothing ends a trial whose agent hangs. */
  readonly watchdog?: { readonly file: string; readonly timeoutSeconds: number };
  readonly bootloaderVersion: number;
  readonly fallbackAllowed: boolean;
  readonly reboot: { readonly command: readonly string[] };
  readonly commandLineFile: string;
  readonly bootIdFile: string;
}

interface InterlockProgram {
  readonly command: readonly string[];
  readonly timeLimitSeconds: number;
}

interface InterlockSocket {
  readonly timeLimitSeconds: number;
}

export interface AgentLimits {
  readonly bytesPerSecondMax?: number;
  /** When updates may be activated, in the device's time zone: minutes of the day `[from, to)`, days 0 (Sunday) to 6. */
  readonly window?: {
    readonly fromMinute: number;
    readonly toMinute: number;
    readonly days: readonly number[];
  };
  readonly attemptsPerReleaseMax: number;
  /** Silence longer than this is reported as a possible freeze. */
  readonly silenceSecondsMax: number;
  readonly trialTries: number;
}
