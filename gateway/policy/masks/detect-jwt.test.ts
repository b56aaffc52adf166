import { testGrowth, testSamples } from './samples.ts';

const encode = (value: string) => Buffer.from(value).toString('base64url');
const header = encode('{"alg":"HS256"}');
const spaced = encode('{ "typ":"JWT", "alg":"none" }');
const body = encode('{"sub":"1"}');

testSamples('jwt', [
  `Bearer ⟦${header}.${body}.c2lnbmF0dXJl⟧, ok`,
  `token=⟦${header}.${body}.c2ln⟧&x`,
  `⟦${spaced}.${body}.⟧`,
  `⟦${encode('{"alg":"dir","enc":"A256GCM"}')}..aXY.Y2lwaGVy.dGFn⟧`,
  `⟦${encode('{"alg":"RSA-OAEP","enc":"A256GCM"}')}.a2V5.aXY.Y2lwaGVy.dGFn⟧.`,
  `a\\n⟦${header}.${body}.c2ln⟧\\n`,
  // Nobody's.
  `${encode('{"typ":"JWT"}')}.${body}.c2ln`,
  `${header}.${body}`,
  'eyJhbGciOiJ.x.y, eye.of.newt',
  `${encode('{"alg":1}')}.${body}.c2ln`,
]);

testGrowth('jwt', { eyJ: 'eyJ', 'eyJ.': 'eyJ.', 'eyJ..': 'eyJ. .', header: `${header}.`, dots: '.' });
