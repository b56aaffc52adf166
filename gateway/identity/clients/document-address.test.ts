import assert from 'node:assert/strict';
import { test } from 'node:test';
import { documentAddress } from './document-address.ts';

const ADDRESSES: readonly [string, boolean][] = [
  ['https://claude.ai/oauth/claude-code-client-metadata', true],
  ['https://vscode.dev/oauth/client-metadata.json', true],
  ['https://a.example.com/x', true],
  ['http://claude.ai/x', false],
  ['https://claude.ai', false],
  ['https://claude.ai/', false],
  ['https://example.com/x', false],
  ['https://claude.ai.evil.example/x', false],
  ['https://evil.example/claude.ai/x', false],
  ['https://claude.ai@evil.example/x', false],
  ['https://user@claude.ai/x', false],
  ['https://claude.ai/x#y', false],
  ['https://claude.ai/x?y=z', false],
  ['https://claude.ai/a/../x', false],
  ['https://claude.ai/a/./x', false],
  ['https://claude.ai/a/..', false],
  ['https://claude.ai/%2e%2e/x', false],
  ['https://claude.ai/%2E/x', false],
  ['https://claude.ai:443/x', false],
  ['https://claude.ai:8443/x', false],
  ['https://CLAUDE.ai/x', false],
  ['https://claude.ai./x', false],
  ['https:///claude.ai/x', false],
  ['https:\\\\claude.ai\\x', false],
  ['https://claude.ai\\@evil.example/x', false],
  ['https://claude.ai/x\n', false],
  ['https://claude.ai/x y', false],
  ['https://127.0.0.1/x', false],
  ['https://[::1]/x', false],
  ['https://169.254.169.254/x', false],
  ['https://2130706433/x', false],
  ['https://localhost/x', false],
  ['https://metadata.google.internal/x', false],
  [`https://claude.ai/${'x'.repeat(10_000_000)}`, false],
  ['', false],
];

for (const [id, is] of ADDRESSES) {
  test(`${JSON.stringify(id.slice(0, 50))} is ${is ? 'an' : 'no'} address of a document`, () => {
    assert.equal(documentAddress(id, ['claude.ai', 'vscode.dev', '*.example.com'])?.href, is ? id : undefined);
    if (/127|::1|169|2130706433|localhost|metadata\.google/.test(id))
      assert.equal(documentAddress(id, ['*']), undefined);
  });
}
