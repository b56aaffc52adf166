/**
 * Google Model Armor, by Google's own client library over REST. The library writes requests and reads answers; the wire,
 * the credential and the time are the gateway's (armor-fetch.ts). Loaded when the first text is screened: it is large.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import type { ModelArmorClient } from '@google-cloud/modelarmor/build/src/v1/index.js';
import type { Config } from '../config.ts';
import { googleAddress } from '../google-api.ts';
import type { GoogleIdentity } from '../google-identity.ts';
import type { ScreenedPart } from '../policy/rule.ts';
import { loggableReason } from '../proxy/credential-error.ts';
import { ArmorFailure, type ArmorFetch } from './armor-fetch.ts';

export interface ModelArmor {
  /** Loads the library, which takes a few hundred milliseconds once. */
  load(): Promise<void>;
  /** The `SanitizationResult`, enumerations as names. Throws ArmorFailure. */
  sanitize(asked: { template: Template; part: ScreenedPart; text: string; signal: AbortSignal }): Promise<unknown>;
}

export interface Template {
  readonly name: string;
  readonly location: string;
}

/** `undefined` where it is not the name of a template. */
export function templateNamed(name: string): Template | undefined {
  const [, location] =
    /^projects\/[a-z0-9:.-]{1,100}\/locations\/([a-z][a-z0-9-]{0,40})\/templates\/[A-Za-z0-9_-]{1,63}$/.exec(name) ??
    [];
  return location === undefined ? undefined : { name, location };
}

/**
 * A text that is on its way: the library passes neither signals nor our errors on. Nor does it repeat a request by itself:
 * it would for ten minutes, but only after errors with codes of gRPC, and ours have none.
 */
interface Under {
  readonly signal: AbortSignal;
  failure?: ArmorFailure;
}

export function createModelArmor(deps: {
  google: Config['google'];
  identity: GoogleIdentity;
  fetch: ArmorFetch;
}): ModelArmor {
  const { google, identity, fetch } = deps;
  const under = new AsyncLocalStorage<Under>();
  const clients = new Map<string, Promise<ModelArmorClient>>();

  async function post(url: string, body: string, current: Under): Promise<Buffer> {
    const { signal } = current;
    try {
      return await fetch.post(url, await tokenFor(signal), body, signal);
    } catch (error) {
      if (!(error instanceof ArmorFailure) || error.status !== 401 || signal.aborted) throw error;
      // The own token was revoked before its end.
      identity.forget();
      return await fetch.post(url, await tokenFor(signal), body, signal);
    }
  }

  async function tokenFor(signal: AbortSignal): Promise<string> {
    const aborted = Promise.withResolvers<never>();
    const onAbort = (): void => aborted.reject(new ArmorFailure('no token in time'));
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      signal.throwIfAborted();
      return await Promise.race([identity.accessToken(), aborted.promise]);
    } catch (error) {
      throw error instanceof ArmorFailure ? error : new ArmorFailure(loggableReason(error));
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** What the library takes for its authentication: it sends every request through `fetch`. */
  const auth = {
    getRequestHeaders: async (): Promise<Headers> => new Headers(),
    fetch: async (url: string, { body }: { body: string }): Promise<Response> => {
      const current = under.getStore();
      if (current === undefined) throw new ArmorFailure('a request of nobody');
      try {
        return new Response(new Uint8Array(await post(url, body, current)), { status: 200 });
      } catch (error) {
        current.failure = error instanceof ArmorFailure ? error : new ArmorFailure('an error without safe words');
        throw current.failure;
      }
    },
  };

  function clientAt(address: string): Promise<ModelArmorClient> {
    const there = clients.get(address);
    if (there !== undefined) return there;
    const made = load().then((Client) => {
      const { hostname, port, protocol } = new URL(address);
      const options = { apiEndpoint: hostname, protocol: protocol.slice(0, -1), fallback: true, auth };
      // Its type asks for a GoogleAuth; in REST mode it uses these two of it (google-gax, fallback.js).
      return new Client({ ...options, ...(port === '' ? {} : { port: Number(port) }) } as never);
    });
    clients.set(address, made);
    made.catch(() => clients.delete(address));
    return made;
  }

  return {
    load: () => load().then(() => {}),
    async sanitize({ template, part, text, signal }) {
      const { name, location } = template;
      const address = addressOf(google.modelArmor ?? `https://modelarmor.${location}.rep.googleapis.com`);
      const current: Under = { signal };
      try {
        const client = await clientAt(address);
        return await under.run(current, async () => {
          const [answer] =
            part === 'requests'
              ? await client.sanitizeUserPrompt({ name, userPromptData: { text } })
              : await client.sanitizeModelResponse({ name, modelResponseData: { text } });
          return answer.sanitizationResult;
        });
      } catch {
        // Errors of the library may hold the text.
        throw current.failure ?? new ArmorFailure('its answer can not be read', 200);
      }
    },
  };
}

/** Texts go to Google, or to a double of it here. */
function addressOf(configured: string): string {
  try {
    return googleAddress(configured, 'modelArmor');
  } catch (error) {
    throw new ArmorFailure(loggableReason(error), 400);
  }
}

async function load(): Promise<typeof ModelArmorClient> {
  // With this variable set, Google's libraries print requests and answers to stderr. They read it when they are loaded.
  delete process.env.GOOGLE_SDK_NODE_LOGGING;
  // The package's front door also loads 3 MB of static code for gRPC, and a beta.
  const { default: v1 } = await import('@google-cloud/modelarmor/build/src/v1/index.js');
  return v1.ModelArmorClient;
}
