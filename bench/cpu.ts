import { readdir, readFile } from 'node:fs/promises';

/** USER_HZ: what Linux reports CPU times in on every architecture that Node runs on, whatever the kernel's own HZ. */
const ticksPerSecond = 100;

async function statFields(pid: number): Promise<string[]> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The second field is the command in parentheses and may hold spaces and parentheses itself: count from the last one.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** The process and all that descend from it: nginx works in children, and a launcher may re-execute. */
async function readTree(root: number): Promise<number[]> {
  const tree = [root];
  for (const pid of tree) {
    for (const thread of await readdir(`/proc/${pid}/task`)) {
      const children = await readFile(`/proc/${pid}/task/${thread}/children`, 'utf8');
      tree.push(...children.split(' ').filter(Boolean).map(Number));
    }
  }
  return tree;
}

/**
 * CPU time that a process and its descendants have used so far, user and system, of all threads: proc(5), fields 14 and 15
 * of `/proc/<pid>/stat`. Good to 10 ms, so read it over a second or more.
 *
 * @returns microseconds.
 */
export async function readCpuMicros(root: number): Promise<number> {
  let ticks = 0;
  for (const pid of await readTree(root)) {
    const fields = await statFields(pid);
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return (ticks / ticksPerSecond) * 1e6;
}
