/** The gateway, composed: disk, stores, recorder, configuration, sessions, HTTP. Everything that is opened is closed. */
import { unwatchFile, watchFile } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { uuidv7 } from 'uuidv7';
import { type Clock, createClock, dayOf, isoMicros } from './clock.ts';
import type { Config } from './config.ts';
import { type FileProblem, loadConfigFile } from './config-file.ts';
import { openConfigurations } from './configurations.ts';
import { type Disk, openDisk } from './disk.ts';
import { readIfThere, writeDurably } from './durable-file.ts';
import { createTokenCheck } from './identity/token.ts';
import { createLocalSigner } from './ledger/signer.ts';
import { drain, listen, listenForMetrics, urlOf } from './listening.ts';
import { createLog, type Log } from './log.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { createGatewayServer } from './proxy/routes.ts';
import type { Runtime } from './proxy/runtime.ts';
import { systemStart } from './proxy/session-start.ts';
import type { FileSystem } from './recording/file-system.ts';
import { openRecorder, type Recorder } from './recording/recorder.ts';
import type { SealerEvents } from './recording/sealer.ts';
import { openSystemStrand, type SystemStrand } from './recording/system.ts';
import { repeat } from './repeat.ts';
import { createSessions } from './sessions/sessions.ts';
import { openStore } from './store/open.ts';
import type { Store } from './store/store.ts';
import { VERSION } from './version.ts';

export interface RunningGateway {
  /** Where it listens. */
  readonly url: string;
  readonly metricsUrl: string | undefined;
  readonly verifierKey: string;
  readonly ledger: string;
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

const TICK_MS = 1000;
const POLL_FILE_MS = 1000;

export async function startGateway(options: GatewayOptions): Promise<RunningGateway> {
  const loaded = loadConfigFile(options.configFile);
  if (!loaded.ok) throw new ConfigurationError(loaded.problems);
  const { config } = loaded;
  const log = options.log ?? createLog();
  const clock = createClock();
  const disk = await openDisk(config.data);
  const stores = {
    recordings: openStore(config.stores.recordings),
    audit: openStore(config.stores.audit),
    state: openStore(config.stores.state),
  };
  const signer = createLocalSigner(`verbatim/${disk.ledger}`, disk.keys.ledgerSigning);
  await noteLedgerOpened(disk, stores.audit, signer.verifierKey, clock);
  // Metrics are read from the recorder, and the recorder reports to metrics: the reference is filled in below.
  let metrics: Metrics | undefined;
  const recorder = await openRecorder({
    path: disk.path,
    ledger: disk.ledger,
    journalKey: disk.keys.journal,
    signer,
    store: stores.recordings,
    clock,
    sealEvery: config.sealEvery,
    events: sealerEvents(log, () => metrics),
    ...(options.fileSystem === undefined ? {} : { fileSystem: options.fileSystem }),
  });
  const replica = config.replica ?? hostname();
  const configurations = await openConfigurations({
    file: options.configFile,
    first: loaded,
    store: stores.recordings,
    log,
    now: () => clock.millis(),
    announce: (name, details) => system.event(name, details),
    announceRecording: (next, before) => announceRecording(log, system, next, before),
  });
  const system = await openSystemStrand(
    recorder,
    clock,
    () => {
      const { digest, policyDigest } = configurations.inForce();
      return systemStart({
        replica,
        ledger: disk.ledger,
        version: VERSION,
        configuration: digest,
        policy: policyDigest,
      });
    },
    (facts, count) =>
      log[facts.reason === 'identity_unavailable' ? 'error' : 'info'](
        { event: 'refused', ...facts, count },
        'A call was refused.',
      ),
  );
  const sessions = createSessions({
    recorder,
    state: stores.state,
    audit: stores.audit,
    clock,
    witnessKey: disk.keys.witness,
  });
  metrics = createMetrics({
    sessions: () => sessions.count(),
    journalBytes: () => recorder.journal.bytes(),
    oldestUnsealed: () => unsealedAge(recorder, clock) / 1000,
    clockOffset: () => clock.offset() / 1000,
  });
  recorder.journal.onCommit((seconds) => metrics?.commit(seconds));
  let stopping = false;
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
    sealingKey: disk.keys.sealing,
    calls: new Set(),
    refusing() {
      if (stopping) return 'shutting_down';
      if (recorder.journal.failed()) return 'recording_unavailable';
      const { maxUnsealedAge } = configurations.inForce().config;
      return unsealedAge(recorder, clock) > maxUnsealedAge ? 'recording_behind' : undefined;
    },
  };
  await announceStart(runtime, config);

  const server = createGatewayServer(runtime, config.limits.headerBytes);
  await listen(server, config.listen);
  const metricsServer = config.metrics === undefined ? undefined : await listenForMetrics(metrics, config.metrics);
  const url = urlOf(server);

  async function tick(): Promise<void> {
    // A commit that fails leaves the journal refusing; only another commit can show that the disk is back.
    if (recorder.journal.failed()) await system.event('recording.resumed');
    await sessions.sweep({ ...configurations.inForce().config.sessions, sessionsPerPrincipal: 0 });
    await system.turn();
  }

  const watched = (): void =>
    void configurations
      .reload()
      .catch((error: unknown) =>
        log.error({ event: 'reload_failed', err: error }, 'Reading the configuration again failed.'),
      );
  watchFile(options.configFile, { interval: POLL_FILE_MS }, watched);
  const ticking = repeat(tick, TICK_MS, (error) =>
    log.error({ event: 'tick_failed', err: error }, 'Housekeeping failed; it is tried again.'),
  );
  const beating = repeat(recorder.heartbeat, config.heartbeatEvery, () => {});
  log.info({ event: 'started', url, replica, ledger: disk.ledger, version: VERSION }, `Verbatim listens on ${url}.`);

  return {
    url,
    metricsUrl: metricsServer === undefined ? undefined : urlOf(metricsServer),
    verifierKey: signer.verifierKey,
    ledger: disk.ledger,
    reload: configurations.reload,
    seal: recorder.seal,
    async close() {
      if (stopping) return;
      stopping = true;
      unwatchFile(options.configFile, watched);
      await Promise.all([ticking.stop(), beating.stop()]);
      await drain(server, runtime, configurations.inForce().config.drain);
      await system.event('stopped').catch(() => {});
      await system.close('stopped').catch(() => {});
      await recorder.stop();
      metricsServer?.close();
      await configurations.close();
      await disk.release();
      const sealed = recorder.journal.oldestUnsealed() === undefined;
      log.info(
        { event: 'stopped', sealed },
        sealed
          ? 'Verbatim has stopped; everything recorded is sealed.'
          : 'Verbatim has stopped; what is not sealed yet waits on this disk for the next start.',
      );
    },
  };
}

function unsealedAge(recorder: Recorder, clock: Clock): number {
  const oldest = recorder.journal.oldestUnsealed();
  return oldest === undefined ? 0 : Math.max(0, clock.millis() - oldest);
}

/** The audit object comes before the ledger's first entry; the note on disk keeps it from being made twice. */
async function noteLedgerOpened(disk: Disk, audit: Store, verifierKey: string, clock: Clock): Promise<void> {
  const noted = join(disk.path, 'ledger-opened');
  if ((await readIfThere(noted)) !== undefined) return;
  const at = isoMicros(clock.micros());
  const object = { v: 1, at, kind: 'ledger.opened', actor: 'gateway', ledger: disk.ledger, details: { verifierKey } };
  await audit.create(`audit/dt=${dayOf(clock.micros())}/${uuidv7()}.json`, Buffer.from(`${JSON.stringify(object)}\n`));
  await writeDurably(noted, [Buffer.from(`${at}\n`)]);
}

function sealerEvents(log: Log, metrics: () => Metrics | undefined): SealerEvents {
  return {
    checkpoint(info) {
      metrics()?.checkpoint(info.objects);
      log.info({ event: 'checkpoint', ...info }, 'A checkpoint is stored.');
    },
    heartbeat: (info) => log.info({ event: 'heartbeat', ...info }, 'A heartbeat is in the ledger.'),
    failed(error) {
      metrics()?.sealFailed();
      log.error({ event: 'seal_failed', err: error }, 'Sealing failed; it is tried again with the same bytes.');
    },
  };
}

async function announceStart(runtime: Runtime, config: Config): Promise<void> {
  const { recorder, system, log, inForce } = runtime;
  await system.event('started', {
    version: runtime.version,
    configuration: inForce().digest,
    policy: inForce().policyDigest,
  });
  log.warn(
    { event: 'no_policy' },
    'No policy is in force (policies: allow-all): every well-formed message is allowed by the rule no-policy.',
  );
  for (const gap of recorder.gaps) {
    log.warn({ event: 'gap', ...gap }, 'The last stop was not orderly: this recording has a gap frame.');
  }
  await announceRecording(log, system, config, undefined);
}

/** Switching a recording off (or on again) is an event. */
async function announceRecording(
  log: Log,
  system: SystemStrand,
  config: Config,
  before: Config | undefined,
): Promise<void> {
  for (const { name, recording } of Object.values(config.connections)) {
    const was = before?.connections[name]?.recording ?? 'on';
    if (recording === was) continue;
    log.warn({ event: `recording_${recording}`, connection: name }, `Recording of ${name} is ${recording}.`);
    await system.event(`recording.${recording}`, { connection: name });
  }
}
