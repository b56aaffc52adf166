/** What gateway/cli/bin.js does for a checkout, for a bundle: it runs on the Node that it was given, or says why not. */

/** A deployment brings its Node; nothing in a bundle looks for another one. */
const WANTED = 24;

/** Loads a program and runs it with the process's arguments. Nothing may be loaded before the version is known to do. */
export async function start(load: () => Promise<{ run(args: readonly string[]): Promise<void> }>): Promise<void> {
  if (Number(process.versions.node.split('.')[0]) < WANTED) {
    process.stderr.write(`Verbatim needs Node ${WANTED} or newer; this is ${process.versions.node}.\n`);
    process.exitCode = 1;
    return;
  }
  silenceSqlite();
  const { run } = await load();
  await run(process.argv.slice(2));
}

/** `node:sqlite` works and warns; other warnings stay. */
function silenceSqlite(): void {
  const emitWarning = process.emitWarning;
  process.emitWarning = (warning: string | Error, ...rest: unknown[]) => {
    const text = typeof warning === 'string' ? warning : warning.message;
    if (!text.startsWith('SQLite is an experimental feature')) Reflect.apply(emitWarning, process, [warning, ...rest]);
  };
}
