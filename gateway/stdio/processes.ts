/**
 * The processes of a child: all that it started and that did not leave its session. A child is spawned as leader of a
 * session and group of its own, so that a signal reaches its children too. Linux tells more, through /proc: who is
 * left, who moved to another group within the session, and how much memory they hold.
 *
 * A process that calls setsid itself gets away from this; the cgroup of a service manager or container holds it.
 */
import { readdir, readFile } from 'node:fs/promises';

const LINUX = process.platform === 'linux';
const POLL_MS = 50;
/** After SIGKILL: only a process in uninterruptible sleep takes longer. */
const LAST_MS = 3000;

export const MEMORY_IS_WATCHED = LINUX;

interface Member {
  readonly pid: number;
  readonly leader: number;
}

/** Who of these leaders' sessions or groups runs; zombies hold nothing and can not be ended. */
async function membersOf(leaders: ReadonlySet<number>): Promise<Member[]> {
  const members: Member[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'latin1').catch(() => '');
    // proc_pid_stat(5): the name in parentheses may hold anything, parentheses too.
    const [state, , group, session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const leader = [Number(group), Number(session)].find((id) => leaders.has(id));
    if (leader !== undefined && state !== 'Z' && state !== 'X') members.push({ pid: Number(name), leader });
  }
  return members;
}

/** Resident bytes of each leader's processes. Pages that they share count for each of them. */
export async function residentBytes(leaders: ReadonlySet<number>): Promise<Map<number, number>> {
  const bytes = new Map<number, number>();
  if (!LINUX || leaders.size === 0) return bytes;
  for (const { pid, leader } of await membersOf(leaders)) {
    const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '');
    const kibibytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
    bytes.set(leader, (bytes.get(leader) ?? 0) + kibibytes * 1024);
  }
  return bytes;
}

/** SIGTERM to all, after `grace` milliseconds SIGKILL. Resolves with whether all are gone. */
export async function endProcesses(leader: number, grace: number): Promise<boolean> {
  await signal(leader, 'SIGTERM');
  if (await gone(leader, grace)) return true;
  await signal(leader, 'SIGKILL');
  return gone(leader, LAST_MS);
}

/** The same without waiting or asking, for a process that is about to exit. */
export function killGroup(leader: number, name: NodeJS.Signals = 'SIGKILL'): void {
  send(-leader, name);
}

async function signal(leader: number, name: NodeJS.Signals): Promise<void> {
  killGroup(leader, name);
  if (!LINUX) return;
  for (const { pid } of await membersOf(new Set([leader]))) send(pid, name);
}

/** A leader's number is not given to another process while its group or session has one. */
async function gone(leader: number, milliseconds: number): Promise<boolean> {
  const until = performance.now() + milliseconds;
  for (;;) {
    if (LINUX ? (await membersOf(new Set([leader]))).length === 0 : !send(-leader, 0)) return true;
    if (performance.now() >= until) return false;
    await new Promise((done) => setTimeout(done, POLL_MS));
  }
}

function send(target: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(target, name);
  } catch (error) {
    // ESRCH: nobody is left. EPERM: somebody is, under another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
