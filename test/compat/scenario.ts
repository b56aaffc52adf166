/** What is tried with a client or a server, and what comes of it. */
import type { Observed } from './observed.ts';
import type { Tool } from './tools.ts';

export interface Result extends Omit<Observed, 'failures'> {
  readonly id: string;
  /** As the installed package says it. */
  readonly version: string;
  /** The day on which this result was written, `2026-11-22`. It is not compared. */
  readonly date: string;
  readonly outcome: 'works' | 'fails';
}

export interface Scenario {
  readonly id: string;
  /** Its name in the table. */
  readonly title: string;
  readonly notes: string;
  /** What has to be installed. */
  readonly tools: readonly Tool[];
  /** Throws where the client or the server did not do what it should. */
  run(): Promise<Observed & { readonly version: string }>;
}

/** What the tables of docs/clients.md and docs/servers.md are made of. */
export interface Results {
  readonly clients: readonly Result[];
  readonly servers: readonly Result[];
}
