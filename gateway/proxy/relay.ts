/**
 * The way back of one call: upstream → RECORD → client, streaming with backpressure. An answer is cut into parts, each is
 * looked at, and released through outgoing.ts: no byte before its frame is durable, and an SSE event only as a whole.
 */
import { createHmac, type KeyObject } from 'node:crypto';
import type { Dispatcher } from 'undici';
import { GatewayError } from '../errors.ts';
import { type Asked, errorAnswer, errorEvent, outcomeOf } from './answer.ts';
import { createAnswers } from './answers.ts';
import type { ClientEdge } from './client-edge.ts';
import { responseHeadersForClient } from './headers.ts';
import { createInOrder } from './in-order.ts';
import { createOutgoing, PART_COST } from './outgoing.ts';
import type { ReflectionGuard } from './reflection.ts';
import { type Hold, type OutPart, type ResponseStream, streamFor } from './response-stream.ts';
import type { Tap } from './tap.ts';
import { upstreamError } from './upstream.ts';
import { headersOf, mcpSessionIn, refusedAnswer } from './upstream-answer.ts';
import type { WayBack } from './way-back.ts';

export interface RelayInput {
  readonly tap: Tap;
  readonly edge: ClientEdge;
  readonly asked: Asked;
  /** A disconnect cancels: the modern era, and streams that were opened by GET. */
  readonly disconnectCancels: boolean;
  readonly eventBytes: number;
  /** Milliseconds that the upstream may take until its answer begins; hints (1xx) are none. */
  readonly firstByte: number;
  /** Milliseconds that an answer may go on after its client has left. */
  readonly idleStream: number;
  /** Bodies that are looked at as a whole. */
  readonly hold: Hold | undefined;
  /** Bytes that the upstream's answer may have. */
  readonly mostBytes: number;
  /** Why an answer that has so many bytes by now ends here: the journal has no more room for it. */
  full(bytes: number): GatewayError | undefined;
  readonly wayBack: WayBack;
  readonly reflection: ReflectionGuard;
  /** Throws GatewayError where headers (a flat list) may not be released. */
  checkHeaders(headers: readonly string[]): void;
  readonly requestBytes: number;
  /** `performance.now()` when the call came in. */
  readonly started: number;
  readonly witnessKey: KeyObject;
  /** Headers of the gateway's own (CORS), and those that go with an error. */
  own(error?: GatewayError): readonly (readonly [string, string])[];
  fingerprint(value: string): string;
  /** Seals the upstream's `Mcp-Session-Id`. */
  sealSessionId(upstream: string): string;
  /**
   * Told of each part before it is released, with the upstream's session id where this response names one. What it
   * returns is waited for.
   */
  asks(part: OutPart, mcpSession: string | undefined): Promise<void> | undefined;
  /** The exchange is over: its end is durable, or could not be made so. */
  onEnd(outcome: { result: string; error?: GatewayError }): void;
}

export interface Relay extends Dispatcher.DispatchHandler {
  /** Tells a client that waits how it goes, before the upstream is asked: an event of a stream that the gateway begins. */
  speak(event: Buffer): void;
  /** Ends the call from the gateway's side; an error of a call that is upstream by now says that its outcome is withheld. */
  abort(error: GatewayError): void;
}

export function createRelay(input: RelayInput): Relay {
  const { tap, edge } = input;
  const witness = createHmac('sha256', input.witnessKey);
  const answers = createAnswers(input.asked.ids);
  let controller: Dispatcher.DispatchController | undefined;
  let sent = false;
  let status: number | undefined;
  let stream: ResponseStream | undefined;
  let resumable = false;
  /** The gateway has begun an event stream before the upstream was asked. */
  let spoken = false;
  let mcpSession: string | undefined;
  let upstreamBytes = 0;
  let upstreamStarted = performance.now();
  let upstreamEnded: number | undefined;
  /** Set before the upstream is aborted, since its error comes back in the same turn. */
  let failed = false;
  let aborted: GatewayError | undefined;
  /** Runs while the client is gone and the upstream still answers. */
  let alone: NodeJS.Timeout | undefined;
  /** What has come since, as it counts: nobody's slowness holds it back any more. */
  let aloneBytes = 0;
  const steps = createInOrder((held) => {
    if (held) controller?.pause();
    else resumeIfReady();
  });

  const out = createOutgoing({
    tap,
    edge,
    asked: input.asked,
    fingerprint: input.fingerprint,
    onRoom: resumeIfReady,
    failure(cause) {
      const fate = sent ? 'outcome_withheld' : 'not_forwarded';
      const error = new GatewayError('recording_unavailable', fate, undefined, { cause });
      controller?.abort(error);
      return error;
    },
    onFailed: (error) => input.onEnd({ result: error.code, error }),
  });
  edge.onGone(() => {
    if (input.disconnectCancels) finish({ result: 'cancelled', abortedBy: 'client' });
    // Its answer is recorded all the same; one that drips for ever must not hold its caller's place for as long.
    else alone = setTimeout(() => guarded(() => fail(tooLate())), input.idleStream).unref();
    resumeIfReady();
  });

  function resumeIfReady(): void {
    if (controller?.paused === true && !steps.waiting && out.roomy) controller.resume();
  }

  function start(raw: readonly (Buffer | string)[]): void {
    const refused = refusedAnswer(status ?? 0, raw);
    if (refused !== undefined) {
      fail(refused);
      return;
    }
    const headers = headersOf(raw);
    mcpSession = mcpSessionIn(headers);
    const sealed = mcpSession === undefined ? [] : [['mcp-session-id', input.sealSessionId(mcpSession)] as const];
    const released = responseHeadersForClient(raw, [...input.own(), ...sealed]);
    input.reflection.checkHeaders(released);
    input.checkHeaders(released);
    stream = streamFor(headers, { eventBytes: input.eventBytes, hold: input.hold, spoken });
    // A head that is out can not be given again: the answer goes on in the stream that has begun.
    if (spoken) status = 200;
    // An event stream may stay silent for long: its head goes out alone.
    else out.head('upstream', status ?? 502, released, stream.kind === 'sse');
  }

  function speak(event: Buffer): void {
    if (!spoken) {
      spoken = true;
      status = 200;
      const type = ['content-type', 'text/event-stream', 'cache-control', 'no-store, no-transform'];
      out.head('gateway', 200, [...input.own().flat(), ...type], true);
    }
    out.words(event);
  }

  /** A part on its way out: looked at, then released, after all that came before it. */
  function admit(part: OutPart, withheld = false): void {
    const pass = (looked: OutPart | undefined): Promise<void> | undefined => {
      // What is not for this session is not in its recording either.
      if (looked === undefined) return undefined;
      const isWithheld = withheld || looked.withheld === true;
      const asks = isWithheld ? undefined : input.asks(looked, mcpSession ?? input.wayBack.endpoint);
      if (asks !== undefined) return asks.then(() => guarded(() => release(looked)));
      release(looked, isWithheld);
      return undefined;
    };
    steps.add(() =>
      guarded(() => {
        const looked = withheld ? input.wayBack.brokenOff(part) : input.wayBack.look(part, mcpSession);
        if (!(looked instanceof Promise)) return pass(looked);
        return looked.then(
          (passing) => guarded(() => pass(passing)),
          (error: unknown) => guarded(() => raise(error)),
        );
      }),
    );
  }

  /** What waited for the rest of a secret that did not come. */
  function flush(): void {
    const rest = input.reflection.end();
    if (rest.length > 0) for (const part of stream?.push(rest, admit) ?? []) admit(part);
  }

  function release(part: OutPart, withheld = false): void {
    for (const message of withheld ? [] : (part.messages ?? [])) answers.note(message);
    if (part.id !== undefined && !withheld) resumable = true;
    if (alone !== undefined) aloneBytes += PART_COST;
    out.piece(part, withheld);
    if (out.full) controller?.pause();
  }

  /** Queues the end of the exchange; the response's last chunk ends when it is durable. */
  function finish(how: {
    result: string;
    error?: GatewayError;
    abortedBy?: 'client' | 'upstream' | 'gateway';
    cut?: boolean;
  }): void {
    if (out.state !== 'open') return;
    clearTimeout(alone);
    const now = performance.now();
    out.end(
      {
        outcome: {
          ...(status === undefined || (how.abortedBy === 'client' && !edge.headSent) ? {} : { http: status }),
          result: how.result,
          ...(how.error === undefined ? {} : { fate: how.error.fate }),
          messages: answers.all,
        },
        bytes: {
          request: input.requestBytes,
          upstream: upstreamBytes,
          released: edge.released + (edge.gone ? 0 : out.waiting),
        },
        duration: { total: rounded(now - input.started), upstream: rounded((upstreamEnded ?? now) - upstreamStarted) },
        ...(upstreamBytes === 0 ? {} : { upstreamHmac: `hmac-sha256:${witness.digest('hex')}` }),
        ...(how.abortedBy === undefined ? {} : { abortedBy: how.abortedBy }),
      },
      how.cut === true,
      () => input.onEnd(how),
    );
    // Last: its error comes back in the same turn, and must find the end queued.
    if (how.abortedBy !== undefined) controller?.abort(new Error('aborted'));
  }

  /** A failure on the way back: in words where no head is queued, else as the stream allows. */
  function fail(error: GatewayError): void {
    if (out.state !== 'open' || failed) return;
    failed = true;
    controller?.abort(error);
    // Also in place of an upstream's head that was recorded and has not gone out: a second `response` says so.
    if (!spoken && (stream === undefined || !(edge.headSent || out.spoken))) {
      const answer = errorAnswer(error, input.asked, input.own(error));
      status = answer.status;
      out.head('gateway', answer.status, answer.headers.flat(), false);
      out.words(answer.body);
      answers.add(answer.outcomes);
      finish({ result: error.code, error, abortedBy: 'gateway' });
      return;
    }
    // A stream with event ids can be resumed where it broke off: an error would end the request instead.
    const inWords = stream?.kind !== 'body' && !resumable && answers.missing().length > 0;
    if (inWords) {
      const ids = answers.missing();
      out.words(errorEvent(error, ids));
      answers.add(ids.map((id) => outcomeOf(id, error)));
    }
    finish({
      result: error.code,
      error,
      abortedBy: sent && error.code === 'upstream_broken' ? 'upstream' : 'gateway',
      cut: !inWords,
    });
  }

  function guarded<T>(step: () => T): T | undefined {
    try {
      return out.state === 'open' && !failed ? step() : undefined;
    } catch (error) {
      fail(
        error instanceof GatewayError
          ? error
          : new GatewayError('internal', 'outcome_withheld', undefined, { cause: error }),
      );
      return undefined;
    }
  }

  return {
    speak: (event) => guarded(() => speak(event)),
    onRequestStart(given) {
      controller = given;
      if (aborted !== undefined || out.state !== 'open') return given.abort(aborted ?? new Error('ended'));
      sent = true;
      upstreamStarted = performance.now();
    },
    onResponseStart(given, code) {
      if (code < 200) {
        // undici's clock begins anew with each hint: an upstream that sends them without end would never be late.
        const late = performance.now() - upstreamStarted > input.firstByte;
        if (late) guarded(() => fail(new GatewayError('upstream_timeout', 'outcome_withheld')));
        return;
      }
      status = code;
      guarded(() => start((given.rawHeaders ?? []) as readonly (Buffer | string)[]));
    },
    onResponseData(_, chunk) {
      guarded(() => {
        upstreamBytes += chunk.length;
        if (upstreamBytes > input.mostBytes) throw new GatewayError('result_too_large', 'outcome_withheld');
        if (alone !== undefined) aloneBytes += chunk.length;
        if (aloneBytes > input.eventBytes) throw new GatewayError('response_too_large', 'outcome_withheld', NOBODYS);
        const full = input.full(upstreamBytes);
        if (full !== undefined) throw full;
        witness.update(chunk);
        const bytes = input.reflection.push(chunk);
        for (const part of stream?.push(bytes, (late) => guarded(() => admit(late))) ?? []) admit(part);
      });
    },
    onResponseEnd() {
      upstreamEnded = performance.now();
      guarded(() => {
        flush();
        for (const part of stream?.end() ?? []) admit(part);
        steps.add(() => guarded(() => finish({ result: 'complete' })));
      });
    },
    onResponseError(_, error) {
      upstreamEnded = performance.now();
      guarded(() => {
        // No reader dispatches an event that was broken off, and its rest would spoil the words that follow.
        flush();
        // Of a body that is looked at as a whole, half of it is nothing that could be looked at.
        for (const part of stream?.end() ?? []) admit(part, part.incomplete === true || part.whole === true);
        steps.add(() => guarded(() => fail(upstreamError(error, sent))));
      });
    },
    abort({ code, fate, detail, cause, url, result }) {
      const error = new GatewayError(code, sent ? 'outcome_withheld' : fate, detail, { cause, url, result });
      aborted = error;
      guarded(() => fail(error));
    },
  };
}

const NOBODYS = 'Its client has left, and more has come since than one event may have.';

function tooLate(): GatewayError {
  return new GatewayError('upstream_timeout', 'outcome_withheld');
}

function raise(error: unknown): never {
  throw error;
}

function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}
