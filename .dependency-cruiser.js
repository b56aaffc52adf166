// The import rule of docs/architecture.md, as a gate. Tests may reach further than the code that they test.
const only = (name, from, forbidden, comment) => ({
  name,
  comment,
  severity: 'error',
  from: { path: from, pathNot: '[.]test[.]ts$' },
  to: { path: forbidden },
});

const io =
  '^(node:)?(fs|net|http|https|http2|tls|dns|child_process|worker_threads|dgram)(/|$)|^node_modules/(undici|express)/';

// biome-ignore lint/style/noDefaultExport: dependency-cruiser reads the default export.
export default {
  forbidden: [
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    only('pure-no-io', '^gateway/(mcp|policy|ledger)/', io, 'mcp, policy and ledger do no I/O'),
    only(
      'recording-knows-no-http',
      '^gateway/recording/',
      '^(node:)?(http|https|http2|net)$|^node_modules/(undici|express)/|^gateway/(proxy|identity|sessions)/',
      'recording knows no HTTP',
    ),
    only(
      'store-knows-no-recordings',
      '^gateway/store/',
      '^gateway/(?!store/|google-(auth|crc32c)[.]ts$)',
      'store knows no recordings',
    ),
    only(
      'readers-never-proxy',
      '^gateway/(console|export|replay|feeds)/',
      '^gateway/proxy/',
      'readers go through recording, never proxy',
    ),
    only(
      'sessions-never-call-identity',
      '^gateway/sessions/',
      '^gateway/identity/(?!principal)',
      'identity calls sessions, never back',
    ),
    only(
      'the-gateway-starts-no-process',
      '^gateway/(?!stdio/|cli/)',
      '^(node:)?child_process$',
      'a gateway never starts a process: the stdio role does, and commands on a terminal',
    ),
    only('only-cli-imports-demo', '^gateway/(?!cli/)', '^demo/', 'only cli imports demo'),
    only(
      'infra-imports-the-contract-alone',
      '^infra/',
      '^gateway/(?!config)',
      'infra imports config and the policy loader alone',
    ),
    only(
      'product-imports-no-tests',
      '^(gateway|demo|bundle|infra)/',
      '^(test|bench)/|[.]test[.]ts$',
      'the product imports no tests',
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
