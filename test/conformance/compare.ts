import { startGatewayInFrontOf } from '../gateway-under-test.ts';
import { startFixture } from './fixture.ts';
import { startShim } from './shim.ts';
import { type Requirements, runSuite, type SuiteResult } from './suite.ts';

export const revisions: readonly Requirements[] = ['2025-11-25', '2026-07-28'];

// Each run has a fixture of its own: one run's list changes would be heard on another's subscription.
// An AsyncDisposableStack closes in reverse order: the shim before the gateway, the gateway before its upstream.

/** Runs the suite against the fixture itself. */
export async function runDirect(requirements: Requirements): Promise<SuiteResult> {
  await using stack = new AsyncDisposableStack();
  const fixture = stack.adopt(await startFixture({ port: 0 }), ({ close }) => close());
  return await runSuite(fixture.url, requirements);
}

/** Runs the suite through the shim alone, which shows that the shim changes nothing. */
export async function runThroughShim(requirements: Requirements): Promise<SuiteResult> {
  await using stack = new AsyncDisposableStack();
  const fixture = stack.adopt(await startFixture({ port: 0 }), ({ close }) => close());
  const shim = stack.adopt(await startShim(fixture.url), ({ close }) => close());
  return await runSuite(shim.url, requirements);
}

/** Runs the suite through the gateway, behind the shim that adds the token. */
export async function runThroughGateway(requirements: Requirements): Promise<SuiteResult> {
  await using stack = new AsyncDisposableStack();
  const fixture = stack.adopt(await startFixture({ port: 0 }), ({ close }) => close());
  const gateway = stack.adopt(await startGatewayInFrontOf(fixture.url), (started) => started.close());
  const shim = stack.adopt(await startShim(gateway.url, gateway.token), ({ close }) => close());
  return await runSuite(shim.url, requirements);
}
