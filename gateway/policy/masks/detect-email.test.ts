import { testGrowth, testSamples } from './samples.ts';

testSamples('email', [
  'write to ⟦jane.doe@example.com⟧, please',
  '⟦JANE@EXAMPLE.CO.UK⟧.',
  '<⟦j_d-1+tag@mail.example.museum⟧>',
  '"⟦a@b.de⟧";\'⟦c@d.fr⟧\'',
  '⟦"Jane Doe"@example.com⟧ wrote',
  "⟦o'brien@example.ie⟧",
  'mailto:⟦jane@example.com⟧?subject=x',
  'https://a.example/?u=⟦j.d%40example.com⟧&x=1',
  'u%3D⟦jane%2Bx%40example.com⟧%26n',
  '⟦jörg@bücher.de⟧ und ⟦用户@例え.jp⟧',
  '⟦jane＠example．com⟧',
  '⟦ja\u200bne@exa\u00admple.com⟧',
  '⟦x@xn--80ak6aa92e.xn--p1ai⟧',
  '⟦root@[192.0.2.1]⟧',
  'line\\n⟦jane@example.com⟧\\nnext',
  '@⟦jane@mastodon.example⟧ tooted',
  'https://⟦jane@files.example.com⟧/x',
  // Nobody's.
  'user@localhost, Object@1a2b3c, a@b',
  'logo@2x.png, getty@tty1.service, foo@bar.js',
  '@scope/pkg@1.2.3, react@18.2.0, actions/checkout@v4.1',
  'git clone git@github.com:owner/repo.git',
  'ssh://git@github.com/owner/repo.git',
  'postgres://app:secret@db.example.com/x',
  'app@sha256:00ff, name@, @name.example, a@.com, a@-',
  '@Override public void at(@Nullable X x)',
]);

testGrowth('email', {
  'a@a@a@': 'a@',
  'a@a.': 'a@a.',
  '@': '@',
  'letters before one @': 'a',
  'quotes before @': '"a "@',
  '%40%40': 'a%40',
  ':a@b.c': ':a@b.cd',
});
