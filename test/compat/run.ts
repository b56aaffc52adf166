import type { Result, Scenario } from './scenario.ts';
import { install, ToolMissing } from './tools.ts';

export type Run = { readonly result: Result; readonly error?: unknown } | { readonly missing: string };

/** Runs one scenario. That it fails is a result; that its tools can not be had is none. */
export async function runScenario({ id, tools, run }: Scenario): Promise<Run> {
  try {
    for (const tool of tools) await install(tool);
  } catch (error) {
    if (error instanceof ToolMissing) return { missing: `${tools.join(', ')}: ${error.message}` };
    throw error;
  }
  const date = new Date().toISOString().slice(0, 10);
  try {
    const { version, opening, call, revision, name } = await run();
    return { result: { id, version, date, opening, call, revision, name, outcome: 'works' } };
  } catch (error) {
    const nothing = { version: '', opening: '', call: '', revision: '', name: '' };
    return { result: { id, ...nothing, date, outcome: 'fails' }, error };
  }
}
