import type { Faker } from '@faker-js/faker';

/** What the bench of masking labels: the kinds of the built-in detectors. */
export const KINDS = ['email', 'phone', 'card', 'iban', 'ssn', 'ip', 'secret', 'privateKey', 'jwt'] as const;
export type Kind = (typeof KINDS)[number];

export type Make = (faker: Faker) => string;

/** A set of text: what is tuned on and what is judged on share no locale, no sentence and only some formats. */
export interface Corpus {
  readonly name: string;
  readonly locales: readonly Faker[];
  /** How a value is written. */
  readonly values: Readonly<Record<Kind, readonly Make[]>>;
  /** Where it stands: `{v}` is the value; `{name}`, `{word}`, `{n}`, `{date}`, `{time}`, `{uuid}` are filled in. */
  readonly templates: Readonly<Record<Kind, readonly string[]>>;
  /** Tempting lines that hold nothing. */
  readonly clean: readonly Make[];
}

const sets = {
  b: 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789',
  u: 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789',
  h: '0123456789abcdef',
  d: '0123456789',
  '/': 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/',
  _: 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-',
} as const;

/** `text('AKIA', 'u', 16)`: a prefix and random characters of a set; more pairs may follow. */
export function text(...parts: readonly (string | [keyof typeof sets, number])[]): Make {
  return (faker) =>
    parts
      .map((part) =>
        typeof part === 'string' ? part : faker.string.fromCharacters(sets[part[0]], { min: part[1], max: part[1] }),
      )
      .join('');
}

export const digits = (faker: Faker, length: number) => faker.string.numeric({ length, allowLeadingZeros: true });

type Issuer = 'visa' | 'mastercard' | 'american_express' | 'discover' | 'diners_club' | 'jcb';

export function cardDigits(faker: Faker, issuer: Issuer): string {
  return faker.finance.creditCardNumber({ issuer }).replaceAll('-', '');
}

/** A card as it is printed: 4-4-4-4, 4-6-5 or 4-6-4. */
export function card(separator: string): Make {
  return (faker) => {
    const issuer = faker.helpers.weightedArrayElement<Issuer>([
      { value: 'visa', weight: 5 },
      { value: 'mastercard', weight: 4 },
      { value: 'american_express', weight: 2 },
      { value: 'discover', weight: 1 },
      { value: 'jcb', weight: 1 },
      { value: 'diners_club', weight: 1 },
    ]);
    const number = cardDigits(faker, issuer);
    const sizes = number.length === 16 ? [4, 4, 4, 4] : number.length === 15 ? [4, 6, 5] : [4, 6, 4];
    if (separator === '' || number.length < 14) return number;
    const [one = 0, two = 0] = sizes;
    const three = one + two + (sizes[2] ?? 0);
    const groups = [
      number.slice(0, one),
      number.slice(one, one + two),
      number.slice(one + two, three),
      number.slice(three),
    ];
    return groups.filter(Boolean).join(separator);
  };
}

export function ssn(separator: string): Make {
  return (faker) => {
    const area = faker.number.int({ min: 1, max: 898 });
    const parts = [
      String(area === 666 ? 665 : area).padStart(3, '0'),
      String(faker.number.int({ min: 1, max: 99 })).padStart(2, '0'),
      String(faker.number.int({ min: 1, max: 9999 })).padStart(4, '0'),
    ];
    return parts.join(separator);
  };
}

/** An address as it is allotted, with a run of zeros left out. */
export const shortIpv6: Make = (faker) => {
  const group = () => faker.number.hex({ min: 1, max: 0xffff });
  const head = faker.helpers.arrayElement(['2001:db8', '2a02', 'fe80', 'fd12:3456', '2606:4700', '2400']);
  const tail = Array.from({ length: faker.number.int({ min: 1, max: 4 }) }, group).join(':');
  return `${head}::${tail}`;
};

const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

export function jwt(alg: string): Make {
  return (faker) =>
    [
      base64url({ alg, typ: 'JWT', kid: faker.string.alphanumeric(8) }),
      base64url({ sub: faker.string.uuid(), name: faker.person.firstName(), iat: faker.number.int({ max: 2 ** 31 }) }),
      text(['_', alg.endsWith('512') ? 86 : 43])(faker),
    ].join('.');
}

export const jwe: Make = (faker) =>
  [
    base64url({ alg: 'RSA-OAEP-256', enc: 'A256GCM' }),
    text(['_', 120])(faker),
    text(['_', 16])(faker),
    text(['_', 90])(faker),
    text(['_', 22])(faker),
  ].join('.');

/** A PEM block; its body is random, as long as such a key's. */
export function pem(label: string, length: number, newline: string, headers: readonly string[] = []): Make {
  return (faker) => {
    const body = text(['/', length])(faker).match(/.{1,64}/g) ?? [];
    return [
      `-----BEGIN ${label}-----`,
      ...headers,
      ...(headers.length > 0 ? [''] : []),
      ...body,
      `-----END ${label}-----`,
    ].join(newline);
  };
}

const fullWidth = (value: string) => value.replace(/\d/g, (digit) => String.fromCharCode(digit.charCodeAt(0) + 0xfee0));

export const inFullWidth =
  (make: Make): Make =>
  (faker) =>
    fullWidth(make(faker));
