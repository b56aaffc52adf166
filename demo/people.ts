import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { DEMO_USERS, type DemoUser } from './users.ts';

/** Who the demo's identity provider knows now. */
export interface People {
  readonly all: () => readonly DemoUser[];
  find(name: string | null | undefined): DemoUser | undefined;
}

const word = z.string().regex(/^[a-z][a-z0-9-]{0,30}$/);
const line = z.string().regex(/^[^\p{Cc}\p{Cf}]{1,100}$/u);
const file = z.array(
  z.strictObject({ name: word, fullName: line, email: z.email(), groups: z.array(line), work: line }),
);

/** The people of the demo as they are written in the program. */
export const builtInPeople: People = peopleOf(() => DEMO_USERS);

/**
 * People in a file that may be edited while the demo runs: whoever leaves a group there has left it at the next question
 * of the gateway's. The file is made where there is none. A file with a mistake knows nobody, and says why on stderr.
 */
export async function peopleInFile(path: string): Promise<People> {
  const head =
    '# The people of the demo’s identity provider. It is read anew for each login and each question about groups:\n' +
    '# take `analysts` out of ana’s groups, and her access ends within seconds.\n';
  await writeFile(path, head + stringify(DEMO_USERS), { flag: 'wx', mode: 0o600 }).catch((error: unknown) => {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  });
  return peopleOf(() => {
    try {
      return file.parse(parse(readFileSync(path, 'utf8')));
    } catch (error) {
      const why = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
      process.stderr.write(`${path} can not be read, so nobody is known: ${why}\n`);
      return [];
    }
  });
}

function peopleOf(all: () => readonly DemoUser[]): People {
  return { all, find: (name) => all().find((user) => user.name === name) };
}
