import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GatewayError } from '../errors.ts';
import { createPlaces } from './places.ts';

const HOUR = 3_600_000;
const never = new AbortController().signal;

test('as many as there are at once; the next in the order of asking; given back once', async () => {
  const places = createPlaces(2);
  const [first, second] = await Promise.all([places.take(never, HOUR), places.take(never, HOUR)]);
  const came: string[] = [];
  const comes = async (name: string): Promise<() => void> => {
    const leave = await places.take(never, HOUR);
    came.push(name);
    return leave;
  };
  const third = comes('third');
  const fourth = comes('fourth');
  first?.();
  first?.();
  const leave = await third;
  assert.deepEqual(came, ['third']);
  leave();
  (await fourth)();
  second?.();
  assert.deepEqual(came, ['third', 'fourth']);
  await Promise.all([places.take(never, HOUR), places.take(never, HOUR)]);
});

test('who is over leaves the queue and takes no place', async () => {
  const places = createPlaces(1);
  const leave = await places.take(never, HOUR);
  const over = new AbortController();
  const waits = places.take(over.signal, HOUR);
  const behind = places.take(never, HOUR);
  over.abort(new Error('over'));
  await assert.rejects(waits, /over/);
  await assert.rejects(places.take(over.signal, HOUR), /over/);
  leave();
  (await behind)();
});

test('after its time it fails in words', async () => {
  const places = createPlaces(1);
  await places.take(never, HOUR);
  await assert.rejects(places.take(never, 1), { code: 'upstream_timeout', fate: 'not_forwarded' });
});

test('who waits too long is told what it waited for', async () => {
  const places = createPlaces(1, () => new GatewayError('too_many_exchanges'));
  await places.take(never, HOUR);
  await assert.rejects(places.take(never, 1), { code: 'too_many_exchanges' });
});
