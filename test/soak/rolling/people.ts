/** People: whole conversations of the official clients, and logins that are begun, used, refreshed and never lost. */
import { createLoginStorage, loginWithSdk } from '../../login-storage.ts';
import { type ConnectClient, connectSdk1, connectSdk2, modelSays } from '../../official-clients.ts';
import type { Ledger } from './ledger.ts';

export interface PeopleOptions {
  readonly ledger: Ledger;
  readonly stopped: () => boolean;
}

const KINDS: readonly [ConnectClient, string][] = [
  [connectSdk1, 'test_sampling'],
  [connectSdk2('legacy'), 'test_sampling'],
  [connectSdk2('auto'), 'test_input_required_result_sampling'],
];

/** Clients of the SDKs that connect, are asked, call and leave, again and again. */
export async function converseAllTheTime(
  url: string,
  token: () => string,
  { ledger, stopped }: PeopleOptions,
): Promise<void> {
  for (let turn = 0; !stopped(); turn++) {
    const [connect, tool] = KINDS[turn % KINDS.length] ?? [connectSdk1, 'test_sampling'];
    const since = performance.now();
    try {
      const client = await connect(url, token());
      await client.listTools();
      const said = await client.callTool(tool, { prompt: 'The capital of France?' });
      if (!said.includes(modelSays)) throw new Error(said);
      await client.close();
      ledger.count('conversations');
    } catch (error) {
      ledger.failed(`a conversation of kind ${turn % KINDS.length}: ${wordsOf(error)}`, { origin: undefined, since });
    }
  }
}

interface Kept {
  readonly access: string;
  readonly refresh: string;
  readonly client: string;
}

/**
 * People who log in, call with what they got and refresh. `checkAll` shows at the end that the first logins still hold. With
 * `publicUrl` as the issuer's place.
 */
export function createPeople(mcp: string, { ledger, stopped }: PeopleOptions) {
  const held: Kept[] = [];

  async function refreshed({ refresh, client }: Kept): Promise<Kept> {
    const form = { grant_type: 'refresh_token', refresh_token: refresh, client_id: client };
    const answer = await fetch(mcp.replace(/\/mcp$/, '/oauth/token'), {
      method: 'POST',
      body: new URLSearchParams(form),
      signal: AbortSignal.timeout(20_000),
    });
    const said = (await answer.json()) as { access_token?: string; refresh_token?: string };
    if (said.access_token === undefined || said.refresh_token === undefined) {
      throw new Error(`${answer.status} ${JSON.stringify(said).slice(0, 200)}`);
    }
    ledger.count('refreshes');
    return { access: said.access_token, refresh: said.refresh_token, client };
  }

  async function call({ access }: Kept): Promise<void> {
    const answer = await fetch(mcp, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${access}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
      },
      body: '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"json","arguments":{}}}',
      signal: AbortSignal.timeout(20_000),
    });
    const said = await answer.text();
    if (answer.status !== 200 || said.includes('"error"')) throw new Error(`${answer.status} ${said.slice(0, 200)}`);
  }

  async function logIn(): Promise<Kept> {
    const storage = createLoginStorage('ana');
    await loginWithSdk(mcp, storage);
    const { accessToken: access, refreshToken: refresh } = storage.kept();
    const client = (await storage.clientInformation())?.client_id ?? '';
    ledger.count('logins');
    return { access, refresh, client };
  }

  async function attempt(what: string, step: () => Promise<void>): Promise<void> {
    const since = performance.now();
    await step().catch((error: unknown) => ledger.failed(`${what}: ${wordsOf(error)}`, { origin: undefined, since }));
  }

  return {
    /** The first ones, which are there before anything is replaced. */
    async begin(count: number): Promise<void> {
      for (let at = 0; at < count; at++) held.push(await logIn());
    },
    async liveAllTheTime(): Promise<void> {
      for (let turn = 0; !stopped(); turn++) {
        await attempt('a login', async () => call(await refreshed(await logIn())));
        const at = turn % held.length;
        const one = held[at];
        // A refresh token whose answer was lost may not be shown again: a replica that is killed takes that login with it.
        if (one !== undefined) await attempt('a call of an early login', () => call(one));
      }
    },
    async checkAll(): Promise<void> {
      for (const one of held) await attempt('an early login at the end', async () => call(await refreshed(one)));
    },
  };
}

function wordsOf(error: unknown): string {
  return (error instanceof Error ? `${error.name}: ${error.message}` : String(error)).slice(0, 300);
}
