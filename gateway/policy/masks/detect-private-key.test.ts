import { testGrowth, testSamples } from './samples.ts';

const line = 'MIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MhgHcTz6sE2I2yPB';

testSamples('privateKey', [
  `x\n⟦-----BEGIN PRIVATE KEY-----\n${line}\n${line}\n-----END PRIVATE KEY-----⟧\ny`,
  `"⟦-----BEGIN RSA PRIVATE KEY-----\\n${line}\\n-----END RSA PRIVATE KEY-----⟧\\n"`,
  `⟦-----BEGIN ENCRYPTED PRIVATE KEY-----\r\n${line}\r\n-----END ENCRYPTED PRIVATE KEY-----⟧`,
  `⟦-----BEGIN OPENSSH PRIVATE KEY----- ${line} -----END OPENSSH PRIVATE KEY-----⟧`,
  `⟦-----BEGIN PGP PRIVATE KEY BLOCK-----\nComment: <a@b.example>\n\n${line}\n=aBcD\n-----END PGP PRIVATE KEY BLOCK-----⟧`,
  `⟦-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00FF\n\n${line}\n-----END EC PRIVATE KEY-----⟧`,
  `⟦-----BEGIN PRIVATE KEY-----\n${line}\n-----END PRIVATE KEY-----⟧ ⟦-----BEGIN PRIVATE KEY-----\n${line}\n-----END PRIVATE KEY-----⟧`,
  // Cut off.
  `⟦-----BEGIN PRIVATE KEY-----\n${line}\n${line}⟧\nand so on`,
  `⟦-----BEGIN PRIVATE KEY-----\n${line}⟧`,
  `---- ⟦BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n${line}⟧`,
  `⟦Private-Lines: 1\n${line}⟧\nPrivate-MAC: 00`,
  // Nobody's.
  `-----BEGIN CERTIFICATE-----\n${line}\n-----END CERTIFICATE-----`,
  `-----BEGIN PUBLIC KEY-----\n${line}\n-----END PUBLIC KEY-----`,
  'BEGIN PRIVATE KEY, ---BEGIN PRIVATE KEY---',
]);

testGrowth('privateKey', {
  beginnings: '-----BEGIN PRIVATE KEY-----',
  'beginnings of many labels': '-----BEGIN A PRIVATE KEY-----\nab',
  ends: '-----END PRIVATE KEY-----',
  dashes: '-',
  'BEGIN ': 'BEGIN ',
});
