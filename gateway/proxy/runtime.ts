/** What every call needs, composed once by gateway.ts and passed on. */
import type { Clock } from '../clock.ts';
import type { Config, Durability } from '../config.ts';
import type { Keyring } from '../identity/keyring.ts';
import type { AuthorizationServer } from '../identity/server/authorization-server.ts';
import type { Login } from '../identity/server/login.ts';
import type { TokenCheck } from '../identity/token.ts';
import type { UpstreamIdentity } from '../identity/upstream-identity.ts';
import type { Log } from '../log.ts';
import type { Metrics } from '../metrics.ts';
import type { Policy } from '../policy/decide.ts';
import type { Pressure } from '../pressure.ts';
import type { Recorder } from '../recording/recorder.ts';
import type { SystemStrand } from '../recording/system.ts';
import type { Refusing } from '../refusing.ts';
import type { Screening } from '../screening/screening.ts';
import type { Approvals } from '../sessions/approval.ts';
import type { Blocks } from '../sessions/blocks.ts';
import type { CallLimits } from '../sessions/call-limits.ts';
import type { EventIds } from '../sessions/event-ids.ts';
import type { Freezes } from '../sessions/freezes.ts';
import type { Handles } from '../sessions/handles.ts';
import type { Sessions } from '../sessions/sessions.ts';
import type { Windows } from '../sessions/window.ts';
import type { StatementReader } from '../statements/reader.ts';
import type { Origins } from './origins.ts';
import type { Places } from './places.ts';
import type { ToolWatch } from './tool-watch.ts';
import type { Upstream } from './upstream.ts';

/** One loaded configuration with what was made from it. A call keeps the one with which it began. */
export interface InForce {
  readonly config: Config;
  readonly digest: string;
  readonly policy: Policy;
  /** Pages of the gateway's that a person is sent to. */
  readonly urls: Readonly<Record<'approval' | 'accessRequest' | 'accessWindow' | 'access', (id: string) => string>>;
  readonly upstreams: ReadonlyMap<string, Upstream>;
  /** Of the secrets that all replicas share, or of this gateway's own disk. */
  readonly keyring: Keyring;
  /** Where people log in at this gateway. */
  readonly login?: Login;
  /** A call that begins with it, and one that is over: its upstreams stay open in between. */
  enter(): void;
  leave(): void;
}

export interface Runtime {
  inForce(): InForce;
  readonly replica: string;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly recorder: Recorder;
  readonly sessions: Sessions;
  readonly tokens: TokenCheck;
  readonly authorization: AuthorizationServer;
  readonly system: SystemStrand;
  readonly identity: UpstreamIdentity;
  readonly handles: Handles;
  readonly eventIds: EventIds;
  readonly freezes: Freezes;
  readonly blocks: Blocks;
  readonly statements: StatementReader;
  readonly callLimits: CallLimits;
  /** Large bodies take turns until they are recorded. */
  readonly largeBodies: Places;
  readonly origins: Origins;
  readonly approvals: Approvals;
  readonly windows: Windows;
  readonly screening: Screening;
  readonly toolWatch: ToolWatch;
  /** Milliseconds that a call is held for its approval: less than clients wait. */
  readonly approvalHold: number;
  /** Of the tags that stand for masked values. */
  maskKey(inForce: InForce): Buffer;
  /** Whether freezes, blocks and ends could be read lately. */
  stateKnown(): boolean;
  /**
   * For `Mcp-Session-Id`s: this disk's own key, and before it those of all replicas where they share secrets. The first
   * seals, each opens.
   */
  sealingKeys(inForce: InForce): readonly Buffer[];
  /** A stop was asked for: load balancers are told, and calls go on until they have noticed. */
  leaving(): boolean;
  /** Calls under way, for an orderly stop. */
  readonly calls: Set<Promise<void>>;
  /** Why calls are refused now, if they are: the recording can't be kept, or the gateway is stopping. */
  refusing(durability?: Durability): Refusing | undefined;
  /** What the journal still has room for. */
  readonly pressure: Pressure;
}
