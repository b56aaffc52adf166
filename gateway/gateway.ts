/** The gateway, composed: disk, stores, recorder, configuration, sessions, HTTP. Everything that is opened is closed. */
import { hostname } from 'node:os';
import { announceRecording, announceStart, noteUnshared, sealerEvents } from './announcements.ts';
import { openApproving } from './approving.ts';
import { createClock } from './clock.ts';
import type { Config } from './config.ts';
import { loadConfigFile } from './config-file.ts';
import { openConfigurations } from './configurations.ts';
import { connectionLimit, limitConnections } from './connection-limit.ts';
import { openDisk } from './disk.ts';
import { GatewayError } from './errors.ts';
import { createGoogleApi } from './google-api.ts';
import { createGoogleKms } from './google-kms.ts';
import { createGoogleSecrets } from './google-secret.ts';
import { startHousekeeping } from './housekeeping.ts';
import { openKeyring, sharedSecrets } from './identity/open-keyring.ts';
import { createAuthorizationServer } from './identity/server/authorization-server.ts';
import { createTokenCheck } from './identity/token.ts';
import { openUpstreamIdentity } from './identity/upstream-identity.ts';
import { createKeyChange } from './key-change.ts';
import { openLedgerKeys } from './ledger-keys.ts';
import { noteLedgerOpened } from './ledger-opened.ts';
import { drain, linger, listen, listenForMetrics, mayListen, urlOf } from './listening.ts';
import { createLog, type Log } from './log.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { loadPolicies } from './policies.ts';
import { openPressure } from './pressure.ts';
import { loggableReason } from './proxy/credential-error.ts';
import { createOrigins } from './proxy/origins.ts';
import { createPlaces } from './proxy/places.ts';
import { createGatewayServer } from './proxy/routes.ts';
import type { Runtime } from './proxy/runtime.ts';
import { systemStart } from './proxy/session-start.ts';
import { addressOfClient } from './proxy/target.ts';
import { createToolWatch } from './proxy/tool-watch.ts';
import type { FileSystem } from './recording/file-system.ts';
import { openRecorder, type RecorderOptions } from './recording/recorder.ts';
import { openSystemStrand } from './recording/system.ts';
import { createRefusing, unsealedAge } from './refusing.ts';
import { createScreening } from './screening/screening.ts';
import type { Approvals } from './sessions/approval.ts';
import { blockedError } from './sessions/block.ts';
import { createBlocks } from './sessions/blocks.ts';
import { createCallLimits } from './sessions/call-limits.ts';
import { createEnds } from './sessions/ends.ts';
import { createEventIds } from './sessions/event-ids.ts';
import { createFreezes } from './sessions/freezes.ts';
import { createHandles } from './sessions/handles.ts';
import { createSessions } from './sessions/sessions.ts';
import type { Windows } from './sessions/window.ts';
import { createStatementReader } from './statements/reader.ts';
import { openStore } from './store/open.ts';
import { VERSION } from './version.ts';
import type { FileProblem } from './yaml-file.ts';

export interface RunningGateway {
  /** Where it listens. */
  readonly url: string;
  readonly metricsUrl: string | undefined;
  readonly verifierKey: string;
  readonly ledger: string;
  /** Calls that wait for a person, and access for a time. */
  readonly approving: { readonly approvals: Approvals; readonly windows: Windows };
  reload(): Promise<void>;
  /** Seals everything that is durable by now. */
  seal(): Promise<void>;
  /** Lets streams end within the drain time, seals, releases the disk. */
  close(): Promise<void>;
}

export interface GatewayOptions {
  readonly configFile: string;
  readonly log?: Log;
  readonly fileSystem?: FileSystem;
  /** What the recorder stands on (store, signer, write-ahead), for tests to make a step of it fail or be the last. */
  readonly standingOn?: (parts: RecorderOptions) => RecorderOptions;
  /** Milliseconds that a call of `durability: bucket` waits for the store; the recorder's own where absent. */
  readonly storeWithin?: number;
  /** Milliseconds that a call is held for its approval. */
  readonly approvalHold?: number;
}

/** The configuration file has mistakes; nothing was started. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  readonly problems: readonly FileProblem[];

  constructor(problems: readonly FileProblem[]) {
    super('The configuration has mistakes.');
    this.problems = problems;
  }
}

/** Clients give up after 60 s; progress keeps few of them waiting. */
const APPROVAL_HOLD_MS = 30_000;

const LARGE_BODIES_AT_ONCE = 2;

export async function startGateway(options: GatewayOptions): Promise<RunningGateway> {
  const loaded = loadConfigFile(options.configFile);
  if (!loaded.ok) throw new ConfigurationError(loaded.problems);
  const { config } = loaded;
  const policies = loadPolicies(config);
  if (!policies.ok) throw new ConfigurationError(policies.problems);
  const log = options.log ?? createLog();
  const clock = createClock();
  // Before anything is opened or stored: a start that can't listen leaves nothing behind.
  for (const at of [config.listen, config.metrics]) if (at !== undefined) await mayListen(at);
  const disk = await openDisk(config.data);
  const stores = {
    recordings: openStore(config.stores.recordings),
    audit: openStore(config.stores.audit),
    state: openStore(config.stores.state),
  };
  const google = createGoogleApi({ google: config.google });
  const keys = await openLedgerKeys({ disk, signing: config.signing, kms: createGoogleKms(google) }).catch(
    async (error: unknown) => {
      await disk.release();
      throw error;
    },
  );
  const { signer } = keys;
  await noteLedgerOpened(disk, stores.audit, keys.firstKey, clock);
  // Metrics are read from the recorder, and the recorder reports to metrics: the reference is filled in below.
  let metrics: Metrics | undefined;
  const { standingOn = (parts) => parts } = options;
  let inForce = (): Config => config;
  const pressure = await openPressure({
    path: disk.path,
    log,
    config: () => inForce(),
    refused: (by) => metrics?.refusedForRoom(by),
  });
  const parts: RecorderOptions = {
    path: disk.path,
    ledger: disk.ledger,
    journalKey: disk.keys.journal,
    signer,
    firstKey: keys.firstKey,
    formerSigner: keys.formerSigner,
    store: stores.recordings,
    clock,
    sealEvery: config.sealEvery,
    pressure: pressure.forRecorder,
    journalLimits: pressure.sizes,
    events: sealerEvents(log, () => metrics, keys),
    ...(options.fileSystem === undefined ? {} : { fileSystem: options.fileSystem }),
    ...(options.storeWithin === undefined ? {} : { storeWithin: options.storeWithin }),
  };
  const recorder = await openRecorder(standingOn(parts));
  const replica = config.replica ?? hostname();
  const now = (): number => clock.millis();
  const ends = createEnds({ state: stores.state, now });
  const keysFor = (purpose: string): readonly Buffer[] => configurations.inForce().keyring.derive(purpose);
  const { approvals, windows, webhooks } = openApproving({
    state: stores.state,
    audit: stores.audit,
    now,
    log,
    inForce: () => configurations.inForce(),
    keys: keysFor,
  });
  const authorization = createAuthorizationServer({
    approving: { approvals, windows },
    state: stores.state,
    audit: stores.audit,
    ends,
    clock,
    ownSecret: disk.keys.login,
    login: () => configurations.inForce().login,
    config: () => configurations.inForce().config,
    secrets: createGoogleSecrets(google),
    blocked(principal) {
      const block = blocks.match(principal);
      return block === undefined ? undefined : blockedError(block).message;
    },
    refreshFailed: (connection, error) =>
      log.warn(
        { event: 'credential_refresh_failed', connection, reason: loggableReason(error) },
        "A person's own credential could not be refreshed; the one before it is used as long as it is good.",
      ),
    addressOf: (request) => addressOfClient(request, configurations.inForce().config.trustedProxyHops),
    failed: (error) =>
      log.error({ event: 'login_failed', err: error }, 'A step of a login failed in a way that was not foreseen.'),
    refused: (facts) => system.refused(facts),
    event: (name, details) => system.event(name, details),
  });
  const screening = createScreening({
    google: config.google,
    now,
    failed: (facts) => log.warn({ event: 'screening_failed', ...facts }, 'The screening gave no verdict.'),
  });
  const configurations = await openConfigurations({
    file: options.configFile,
    first: loaded,
    policy: policies.policy,
    store: stores.recordings,
    log,
    now,
    openLogin: authorization.open,
    async openKeyring(config) {
      if (sharedSecrets(config).references.length === 0) await noteUnshared(log, stores.state, disk.ledger);
      return openKeyring(config, disk.keys.login);
    },
    preparePolicy({ set }) {
      if (set.rules.some(({ screen }) => screen !== undefined)) void screening.prepare();
    },
    userCredentials: authorization.credentials,
    announce: (name, details) => system.event(name, details),
    announceRecording: (next, before) => announceRecording(log, system, next, before),
  });
  inForce = () => configurations.inForce().config;
  const system = await openSystemStrand(
    recorder,
    clock,
    () => {
      const { digest, policy } = configurations.inForce();
      return systemStart({
        replica,
        ledger: disk.ledger,
        version: VERSION,
        configuration: digest,
        policy: policy.set.digest,
      });
    },
    (facts, count) =>
      log[facts.reason === 'identity_unavailable' ? 'error' : 'info'](
        { event: 'refused', ...facts, count },
        'A call was refused.',
      ),
  );
  const eventIds = createEventIds();
  const sessions = createSessions({
    recorder,
    state: stores.state,
    audit: stores.audit,
    ends,
    clock,
    witnessKey: disk.keys.witness,
    refuses: pressure.refusesSession,
    onEnd: eventIds.forget,
  });
  const freezes = createFreezes({ state: stores.state, now });
  const blocks = createBlocks({ state: stores.state, now });
  metrics = createMetrics({
    sessions: () => sessions.count(),
    strands: () => [...recorder.strands()].length,
    calls: () => calls.size,
    journalBytes: () => recorder.journal.bytes(),
    oldestUnsealed: () => unsealedAge(recorder, clock) / 1000,
    clockOffset: () => clock.offset() / 1000,
    refusing: () => runtime.refusing() !== undefined,
    pressure,
  });
  recorder.journal.onCommit((seconds) => metrics?.commit(seconds));
  pressure.watch(recorder.journal, (details) => system.event('journal.mark', details));
  let state: 'serving' | 'leaving' | 'stopping' = 'serving';
  const calls: Runtime['calls'] = new Set();
  const statements = createStatementReader();
  const runtime: Runtime = {
    inForce: configurations.inForce,
    replica,
    version: VERSION,
    clock,
    log,
    metrics,
    recorder,
    sessions,
    system,
    tokens: createTokenCheck(),
    authorization,
    identity: await openUpstreamIdentity({ key: disk.keys.identity, state: stores.state, now }),
    handles: createHandles({ state: stores.state, now }),
    eventIds,
    freezes,
    blocks,
    statements,
    largeBodies: createPlaces(
      LARGE_BODIES_AT_ONCE,
      () => new GatewayError('too_many_exchanges', 'not_forwarded', 'Too many large bodies wait.'),
    ),
    callLimits: createCallLimits({ state: stores.state, now }),
    origins: createOrigins(),
    approvals,
    windows,
    screening,
    toolWatch: createToolWatch({ log, system: () => system }),
    approvalHold: options.approvalHold ?? APPROVAL_HOLD_MS,
    maskKey: () => keysFor('masks')[0] ?? disk.keys.witness,
    stateKnown: () => freezes.known() && blocks.known() && ends.known() && windows.known(),
    // The disk's own key last: what it sealed before there were secrets still opens here.
    sealingKeys: ({ config, keyring }) =>
      sharedSecrets(config).references.length === 0
        ? [disk.keys.sealing]
        : [...keyring.derive('mcp-session-id'), disk.keys.sealing],
    leaving: () => state !== 'serving',
    calls,
    pressure,
    refusing: createRefusing({
      recorder,
      pressure,
      clock,
      config: () => inForce(),
      isStopping: () => state === 'stopping',
    }),
  };
  await announceStart(runtime, config);
  const keyChange = createKeyChange({ recorder, keys, audit: stores.audit, clock, log, metrics });
  const housekeeping = await startHousekeeping({
    runtime,
    configurations,
    configFile: options.configFile,
    ends,
    webhooks,
    keyChange,
    heartbeatEvery: config.heartbeatEvery,
  });

  const server = createGatewayServer(runtime, config.limits.headerBytes);
  const most = await connectionLimit();
  if (most !== undefined) limitConnections(server, most, sayThatFull(log, most));
  await listen(server, config.listen);
  const metricsServer = config.metrics === undefined ? undefined : await listenForMetrics(metrics, config.metrics);
  const url = urlOf(server);

  const key = recorder.keys().inForce;
  log.info(
    { event: 'started', url, replica, ledger: disk.ledger, key, version: VERSION },
    `Verbatim listens on ${url}.`,
  );

  let stopped: Promise<void> | undefined;
  async function stop(): Promise<void> {
    state = 'leaving';
    await linger(configurations.inForce().config.drainDelay);
    state = 'stopping';
    await drain(server, runtime, configurations.inForce().config.drain);
    // After the last call: until then an end or a freeze takes effect as ever.
    await housekeeping.stop();
    await pressure.stop();
    await system.event('stopped').catch(() => {});
    await system.close('stopped').catch(() => {});
    await recorder.stop();
    metricsServer?.close();
    await configurations.close();
    await Promise.all([statements.close(), screening.close()]);
    await disk.release();
    const sealed = recorder.journal.oldestUnsealed() === undefined;
    log.info(
      { event: 'stopped', sealed },
      sealed
        ? 'Verbatim has stopped; everything recorded is sealed.'
        : 'Verbatim has stopped; what is not sealed yet waits on this disk for the next start.',
    );
  }

  return {
    url,
    metricsUrl: metricsServer === undefined ? undefined : urlOf(metricsServer),
    verifierKey: signer.verifierKey,
    ledger: disk.ledger,
    approving: { approvals, windows },
    reload: configurations.reload,
    seal: recorder.seal,
    close: () => (stopped ??= stop()),
  };
}

/** Once a minute at most: an attack is thousands a second. */
function sayThatFull(log: Log, most: number): () => void {
  let said = Number.NEGATIVE_INFINITY;
  return () => {
    if (performance.now() - said < 60_000) return;
    said = performance.now();
    log.warn(
      { event: 'connections_full', most },
      'No more connections can be open: the one that has been idle for longest is closed for each new one. Allow more open files (ulimit -n).',
    );
  };
}
