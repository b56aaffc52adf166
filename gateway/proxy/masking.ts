/**
 * Masks on the way: what the rules that let a call pass take out of it, and of what answers it. What can't be masked for
 * certain does not pass.
 */
import { createSecretKey, hkdfSync } from 'node:crypto';
import type { ConnectionConfig } from '../config.ts';
import { type Fate, GatewayError } from '../errors.ts';
import { createMessageScanner } from '../mcp/scan.ts';
import { createSseSplitter } from '../mcp/sse.ts';
import type { Policy } from '../policy/decide.ts';
import type { Decision } from '../policy/decision.ts';
import { findAuthenticationData } from '../policy/masks/authentication.ts';
import { createDetection, type Detection } from '../policy/masks/detect.ts';
import type { Detector } from '../policy/masks/detector.ts';
import { maskEvent } from '../policy/masks/mask-event.ts';
import { maskJson } from '../policy/masks/mask-json.ts';
import { maskText } from '../policy/masks/mask-text.ts';
import { MaskError, type Masked, type Tagger } from '../policy/masks/masked.ts';
import { createTagger } from '../policy/masks/tagger.ts';
import type { ReturnedMessage } from '../recording/frame.ts';
import type { Session } from '../sessions/sessions.ts';
import type { OutPart } from './response-stream.ts';
import type { Stage } from './way-back.ts';

/** What is taken out of one direction of a call. */
export interface Masks {
  readonly detectors: readonly Detector[];
  readonly replaceBlobs: readonly string[];
}

export function isNone({ detectors, replaceBlobs }: Masks): boolean {
  return detectors.length === 0 && replaceBlobs.length === 0;
}

export function union(all: readonly Masks[]): Masks {
  const detectors = new Map(all.flatMap((one) => one.detectors.map((detector) => [detector.name, detector])));
  return {
    detectors: [...detectors.values()],
    replaceBlobs: [...new Set(all.flatMap(({ replaceBlobs }) => replaceBlobs))],
  };
}

export function requestMasksOf(decisions: readonly Decision[]): Masks {
  return union(decisions.map(({ maskRequests }) => ({ detectors: maskRequests, replaceBlobs: [] })));
}

/** Of calls that no rule lets pass, and of streams whose call is not known: whatever any rule takes out there. */
export function requestMasksOn(policy: Policy, connection: string): Masks {
  return { detectors: policy.masksOfConnection(connection).maskRequests, replaceBlobs: [] };
}

export function answerMasksOn(policy: Policy, connection: string): Masks {
  const { masks, replaceBlobs } = policy.masksOfConnection(connection);
  return { detectors: masks, replaceBlobs };
}

export function answerMasksOf(decisions: readonly Decision[]): Masks {
  return union(decisions.map(({ masks, replaceBlobs }) => ({ detectors: masks, replaceBlobs })));
}

const taggers = new WeakMap<Session, Tagger>();

/** `key` is the same on every replica that shares its secrets, so that a value has one tag in all of a session. */
export function taggerOf(session: Session, key: Buffer): Tagger {
  const there = taggers.get(session);
  if (there !== undefined) return there;
  const own = createSecretKey(Buffer.from(hkdfSync('sha256', key, session.id, 'verbatim/masks', 32)));
  const tagger = createTagger(own);
  taggers.set(session, tagger);
  return tagger;
}

const detections = new Map<string, Detection>();

/** Detectors of one name are the same within a policy; a pattern of another policy is another object. */
function detectionOf(detectors: readonly Detector[]): Detection {
  if (detectors.some((detector) => 'pattern' in detector)) return createDetection(detectors);
  const key = detectors
    .map(({ name }) => name)
    .sort()
    .join(' ');
  const there = detections.get(key) ?? createDetection(detectors);
  detections.set(key, there);
  return there;
}

/** Whether something has to be taken out of a text that stands beside a message: a header, a query. */
export function finds({ detectors }: Masks, text: string): boolean {
  return detectors.length > 0 && detectionOf(detectors).find(text).length > 0;
}

/** Throws `mask_failed` or `authentication_data`; nothing may pass then. */
export function maskRequest(
  body: Buffer,
  { detectors }: Masks,
  { data }: Pick<ConnectionConfig, 'data'>,
  tagger: Tagger,
): Masked {
  const seek = seekingFor(detectors, data, tagger);
  return guarded('not_forwarded', () => maskJson(body, { ...seek, where: 'request', replaceBlobs: [] }));
}

export function createMaskStage(masks: Masks, { data }: Pick<ConnectionConfig, 'data'>, tagger: Tagger): Stage {
  return (part) => {
    const own = part.decisions === undefined ? masks : union([masks, answerMasksOf(part.decisions)]);
    if (isNone(own) && data !== 'pci') return part;
    const seek = { ...seekingFor(own.detectors, data, tagger), replaceBlobs: own.replaceBlobs };
    const { bytes, spans } = guarded('outcome_withheld', () => {
      if (part.event === true) return maskEvent(sseOf(part), { ...seek, where: 'response' });
      if (part.comment === true || part.json !== true) return maskText(part.bytes, seek);
      return maskJson(part.bytes, { ...seek, where: 'response' });
    });
    if (spans.length === 0) return part;
    const masked = { ...part, bytes, masks: spans };
    if (part.data === undefined) return masked;
    const read = dataOf(part, bytes);
    const messages = part.messages === undefined ? {} : { messages: renamed(part.messages, read) };
    return { ...masked, data: read, ...messages };
  };
}

/** What the recording says that a message names is what its reader will find there. */
function renamed(messages: readonly ReturnedMessage[], data: Buffer): ReturnedMessage[] {
  const scanner = createMessageScanner();
  scanner.push(data);
  const read = scanner.end();
  return messages.map(({ name, ...message }, index) => {
    const now = name === undefined ? undefined : read[index]?.name;
    return now === undefined ? message : { ...message, name: now };
  });
}

/** What its reader will have. */
function dataOf({ event }: OutPart, bytes: Buffer): Buffer {
  if (event !== true) return bytes;
  const [read] = createSseSplitter({ maxEventBytes: bytes.length }).push(bytes);
  return read?.data ?? Buffer.alloc(0);
}

function sseOf({ bytes, data }: OutPart): { kind: 'event'; bytes: Buffer; data?: Buffer } {
  return { kind: 'event', bytes, ...(data === undefined ? {} : { data }) };
}

function seekingFor(detectors: readonly Detector[], data: ConnectionConfig['data'], tagger: Tagger) {
  return {
    detection: detectionOf(detectors),
    tagger,
    ...(data === 'pci' ? { refuse: authenticationIn, refuseNumbers: cardOrAuthentication } : {}),
  };
}

function authenticationIn(text: string, key: string | undefined): string | undefined {
  const found = findAuthenticationData(text, key);
  return found.length > 0 ? 'It holds payment authentication data.' : undefined;
}

const CARDS = createDetection([{ name: 'card' }]);

/** A number can not give way to a tag: one that is a card's may not pass where card data is expected. */
function cardOrAuthentication(text: string, key: string | undefined): string | undefined {
  return CARDS.find(`card: ${text}`).length > 0 ? 'It holds a card number as a number.' : authenticationIn(text, key);
}

function guarded(fate: Fate, mask: () => Masked): Masked {
  try {
    return mask();
  } catch (error) {
    if (!(error instanceof MaskError)) throw error;
    throw new GatewayError(error.refused ? 'authentication_data' : 'mask_failed', fate, undefined, { cause: error });
  }
}
