/** What a child gets of the host's environment: what programs need to run, and what was named. Nothing else leaks. */
const ALWAYS: ReadonlySet<string> = new Set(['PATH', 'HOME', 'LANG', 'TZ', 'TMPDIR']);

type Environment = Readonly<Record<string, string | undefined>>;

export function childEnvironment(own: Environment, named: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    Object.entries(own).flatMap(([name, value]) =>
      value !== undefined && (ALWAYS.has(name) || name.startsWith('LC_') || named.includes(name))
        ? [[name, value]]
        : [],
    ),
  );
}
