/** The people of the demo. Made up; nobody has a password. */
export interface DemoUser {
  /** The login name, and the `sub` of this person's tokens. */
  readonly name: string;
  readonly fullName: string;
  readonly email: string;
  readonly groups: readonly string[];
  /** What this person does, for the login page. */
  readonly work: string;
}

export const DEMO_USERS: readonly DemoUser[] = [
  {
    name: 'ana',
    fullName: 'Ana Costa',
    email: 'ana@example.com',
    groups: ['analysts'],
    work: 'asks questions about orders',
  },
  {
    name: 'bob',
    fullName: 'Bob Lindqvist',
    email: 'bob@example.com',
    groups: ['engineers'],
    work: 'runs the order system',
  },
  {
    name: 'carol',
    fullName: 'Carol Mensah',
    email: 'carol@example.com',
    groups: ['auditors'],
    work: 'reads what was recorded',
  },
  {
    name: 'dana',
    fullName: 'Dana Petrova',
    email: 'dana@example.com',
    groups: ['leads'],
    work: 'approves refunds',
  },
];
