/**
 * `npm run bundle` (`node bundle/bundle.ts [--out dist]`) makes the two programs that run without a checkout:
 *
 *     dist/verbatim.mjs   what is deployed: `verbatim` without the demo
 *     dist/demo.mjs       identity provider, MCP server and conversation for compose.yaml; never deployed
 *
 * Each is one file that needs Node 24 and nothing else. The same sources give the same bytes in every folder: a deployment
 * names a bundle by its SHA-256, and replaces machines only where that has changed.
 */
import { hash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type BuildOptions, build, type Metafile, type OnLoadResult, type Plugin } from 'esbuild';
import { licensesOf } from './licenses.ts';

export interface Bundle {
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
}

const PROGRAMS = ['verbatim', 'demo'] as const;
type Program = (typeof PROGRAMS)[number];

const BUILTIN = 'builtin';
const REST = 'rest';

/** Folders whose code must not be in a program. */
const KEPT_OUT: Record<Program, RegExp> = { verbatim: /^(demo|test|bench)\//, demo: /^(test|bench)\// };

/** Makes both programs of the checkout at `root`, in the folder `out`. */
export function bundle(at: { root: string; out: string }): Promise<Bundle[]> {
  return Promise.all(PROGRAMS.map((program) => bundleProgram(program, at)));
}

/**
 * Makes one program, with the licences of what is inside beside it.
 *
 * @throws Error where it would need a package beside it, or hold code that does not belong in it.
 */
export async function bundleProgram(program: Program, { root, out }: { root: string; out: string }): Promise<Bundle> {
  const { outputFiles, metafile, warnings } = await build(options(root, program));
  const [warning] = warnings;
  if (warning !== undefined) throw new Error(`${program}.mjs: ${warning.text} (${warning.location?.file})`);
  const [output] = outputFiles;
  if (output === undefined) throw new Error(`${program}.mjs: esbuild made nothing.`);
  checkContents(program, metafile);
  await mkdir(out, { recursive: true });
  const file = join(out, `${program}.mjs`);
  await writeFile(join(out, `${program}.licenses.txt`), licensesOf(root, Object.keys(metafile.inputs)));
  await writeFile(file, output.contents);
  return { file, bytes: output.contents.byteLength, sha256: hash('sha256', output.contents) };
}

function options(root: string, program: Program) {
  return {
    entryPoints: [join(root, 'bundle', `${program}.ts`)],
    outfile: join(root, 'dist', `${program}.mjs`),
    write: false,
    metafile: true,
    logLevel: 'silent',
    bundle: true,
    platform: 'node',
    format: 'esm',
    // Syntax that old versions parse, so that they get as far as the words about their age (start.ts).
    target: 'node18',
    // @google-cloud/storage compares class names: shortened ones break its uploads.
    keepNames: true,
    legalComments: 'eof',
    // Paths of modules stand in the output as comments: they must not depend on where the checkout is.
    absWorkingDir: root,
    preserveSymlinks: true,
    // What is CommonJS asks for Node's own modules with `require`, which an ES module does not have.
    banner: {
      js: "import { createRequire as createBundleRequire } from 'node:module';\nconst require = createBundleRequire(import.meta.url);",
    },
    plugins: [
      versionAlone(root),
      builtinsLate,
      wasmInside,
      restAlone,
      ...(program === 'verbatim' ? [withoutDemo(root)] : []),
    ],
  } satisfies BuildOptions;
}

/**
 * Node's own modules are loaded when the code that uses them is. Imports of an ES module come before all of its code: on a
 * Node without `node:sqlite` a bundle would end with a stack trace in the place of words.
 */
const builtinsLate: Plugin = {
  name: 'builtins-late',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /./ }, ({ path, kind }) =>
      kind === 'import-statement' && isBuiltin(path) ? { path, namespace: BUILTIN } : undefined,
    );
    onLoad({ filter: /./, namespace: BUILTIN }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)});`,
    }));
  },
};

/**
 * Of google-gax its REST half, the one that is used (gateway/screening/model-armor.ts). The other half, gRPC, is larger and
 * reads files that lie beside its code; beside a bundle there are none.
 */
const restAlone: Plugin = {
  name: 'rest-alone',
  setup({ onResolve, onLoad, resolve }) {
    onResolve({ filter: /^google-gax$/ }, async ({ resolveDir }) => {
      const kind = 'require-call';
      const rest = await resolve('google-gax/fallback', { kind, resolveDir });
      const logging = await resolve('google-logging-utils', { kind, resolveDir: dirname(rest.path) });
      return { path: 'google-gax', namespace: REST, pluginData: [rest.path, logging.path], errors: rest.errors };
    });
    onLoad({ filter: /./, namespace: REST }, ({ pluginData }) => {
      const [rest, logging] = (pluginData as string[]).map((path) => `require(${JSON.stringify(path)})`);
      return { contents: `module.exports = { ...${rest}, loggingUtils: ${logging} };`, resolveDir: '/' };
    });
  },
};

/** Of our package.json the version alone, so that another script or development tool makes no other bundle. */
function versionAlone(root: string): Plugin {
  return {
    name: 'version-alone',
    setup({ onLoad }) {
      onLoad({ filter: /[/\\]package\.json$/ }, async ({ path }) => {
        if (path !== join(root, 'package.json')) return undefined;
        const { version } = JSON.parse(await readFile(path, 'utf8')) as { version: string };
        return { contents: JSON.stringify({ version }), loader: 'json' };
      });
    },
  };
}

/**
 * libpg-query looks for its WebAssembly beside its file, and there is nothing beside a bundle: it is given the bytes. (As
 * base64: esbuild's own way to write bytes asks for a method that its target does not have.)
 */
const wasmInside: Plugin = {
  name: 'wasm-inside',
  setup({ onLoad }) {
    onLoad({ filter: /[/\\]libpg-query[/\\]wasm[/\\]index\.cjs$/ }, async ({ path }) => {
      const wasm = await readFile(join(dirname(path), 'libpg-query.wasm'), 'base64');
      return replaced(path, '(0, libpg_query_js_1.default)()', givenBytes(wasm));
    });
    // An ES module has no folder of its own by that name.
    onLoad({ filter: /[/\\]libpg-query[/\\]wasm[/\\]libpg-query\.js$/ }, ({ path }) =>
      replaced(path, '__dirname', '""'),
    );
  },
};

const givenBytes = (base64: string): string => `(0, libpg_query_js_1.default)({
  instantiateWasm(imports, done) {
    WebAssembly.instantiate(Buffer.from('${base64}', 'base64'), imports).then(({ instance }) => done(instance));
    return {};
  },
})`;

/** @throws Error where a new version of a package has no such part, or several. */
async function replaced(path: string, part: string, by: string): Promise<OnLoadResult> {
  const pieces = (await readFile(path, 'utf8')).split(part);
  if (pieces.length !== 2) throw new Error(`${path} holds ${part} ${pieces.length - 1} times, once was expected.`);
  return { contents: pieces.join(by), loader: 'js' };
}

function withoutDemo(root: string): Plugin {
  return {
    name: 'without-demo',
    setup({ onResolve }) {
      onResolve({ filter: /\/demo\/demo\.ts$/ }, () => ({ path: join(root, 'bundle', 'no-demo.ts') }));
    },
  };
}

function checkContents(program: Program, { inputs, outputs }: Metafile): void {
  const strange = Object.keys(inputs).find((input) => KEPT_OUT[program].test(input));
  if (strange !== undefined) throw new Error(`${program}.mjs would hold ${strange}.`);
  const needed = Object.values(outputs)
    .flatMap(({ imports }) => imports)
    .find(({ external, path }) => external === true && !isBuiltin(path));
  if (needed !== undefined) throw new Error(`${program}.mjs would need ${needed.path} beside it.`);
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { out: { type: 'string', default: 'dist' } } });
  for (const made of await bundle({ root: join(import.meta.dirname, '..'), out: resolve(values.out) })) {
    process.stdout.write(`${made.file} ${(made.bytes / 1024 ** 2).toFixed(1)} MiB sha256:${made.sha256}\n`);
  }
}
