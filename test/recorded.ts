/** What a gateway under test has recorded, read back from its store. */
import { createExchangeGrouping, type Exchange } from '../gateway/recording/exchange.ts';
import type { Frame } from '../gateway/recording/frame.ts';
import { openRecordings } from '../gateway/recording/read.ts';
import { openStore } from '../gateway/store/open.ts';
import type { GatewayUnderTest } from './gateway-under-test.ts';

/** All frames under a checkpoint: of sessions, or of system strands. Seals first. */
export async function framesOf(
  { gateway, storeUrl }: GatewayUnderTest,
  kind: 'sessions' | 'system' = 'sessions',
): Promise<Frame[]> {
  await gateway.seal();
  const recordings = openRecordings(openStore(storeUrl));
  const frames: Frame[] = [];
  for await (const { session } of recordings.sessions(kind === 'system' ? { system: true } : {})) {
    for await (const item of recordings.frames(session)) if (item.kind === 'frame') frames.push(item.frame);
  }
  return frames;
}

/** Exchanges that have ended, by the order of their requests. */
export async function exchangesOf(gateway: GatewayUnderTest): Promise<Exchange[]> {
  const grouping = createExchangeGrouping();
  const frames = await framesOf(gateway);
  return frames
    .flatMap((frame) => grouping.add(frame) ?? [])
    .sort((a, b) => ((a.request?.at ?? '') < (b.request?.at ?? '') ? -1 : 1));
}

/** The exchanges, once there are this many that have ended: an end may follow what a client was told or not told. */
export async function exchangesOnce(gateway: GatewayUnderTest, count: number): Promise<Exchange[]> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const exchanges = await exchangesOf(gateway);
    if (exchanges.length >= count) return exchanges;
    await new Promise((done) => setTimeout(done, 10));
  }
  throw new Error(`There are not ${count} exchanges.`);
}

/** Reasons of the refusals that belong to no session. */
export async function systemRefusals(gateway: GatewayUnderTest): Promise<string[]> {
  return (await framesOf(gateway, 'system')).flatMap((frame) =>
    frame.type === 'event' && frame.event.name === 'refused' ? [String(frame.event.reason)] : [],
  );
}
