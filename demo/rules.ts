/** The rules of the demo's gateway: texts, since the demo is also one file; and the folder that a visitor edits. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const HEAD = `# Written once by \`npm start\`, and yours from then on: what is saved here is in force within seconds. A file with a mistake
# is not taken: the demo’s terminal names it, and so does npx verbatim policy check FOLDER. Take the file away to have it
# written anew at the next start.
`;

/** What people may do on the sample server. compose/etc/policies has it too. */
export const ORDERS_RULES = `rules:
  - name: no-ddl
    description: Nobody creates, alters or drops a table, and what can not be read counts as if it did.
    principals: any
    connections: [orders]
    tools: [query]
    condition: '!sql.commands(args.sql).all(command, command in ["SELECT", "INSERT", "UPDATE", "DELETE"])'
    effect: deny

  - name: read-orders
    description: Statements that only read. No e-mail address, phone or card number comes back.
    principals: { groups: [analysts, engineers] }
    connections: [orders]
    tools: [query]
    condition: sql.readOnly(args.sql)
    effect: allow
    masks: [email, phone, card]

  - name: reports
    principals: { groups: [analysts, engineers] }
    connections: [orders]
    tools: [monthly_report]
    effect: allow

  - name: schema-and-prompts
    principals: { groups: [analysts, engineers] }
    connections: [orders]
    resources: ["orders://*"]
    prompts: ["*"]
    effect: allow
    masks: [email, phone, card]

  - name: refunds-need-a-lead
    description: A refund waits until somebody of the group leads has read it and approved it, once.
    principals: { groups: [analysts, engineers] }
    connections: [orders]
    tools: [refund_order]
    effect: approve
    approval: { approvers: [leads], pending: 1h, usable: 10m }

  - name: deletions
    description: The server asks the person in front of the client before it deletes.
    principals: { groups: [analysts, engineers] }
    connections: [orders]
    tools: [delete_customer]
    effect: allow

  - name: questions-to-the-person
    principals: { groups: [analysts, engineers] }
    connections: [orders]
    methods: [elicitation/create]
    effect: allow

  - name: exports
    description: Engineers export customers, without what the masks take out. Nobody else is shown the tool.
    principals: { groups: [engineers] }
    connections: [orders]
    tools: [export_customers]
    effect: allow
    masks: [email, phone, card]
`;

/** What these rules have to say; `verbatim policy test` runs them. */
export const ORDERS_DECISIONS = `- name: an analyst reads customers
  principal: { kind: human, groups: [analysts] }
  connection: orders
  dialect: sqlite
  message: { method: tools/call, params: { name: query, arguments: { sql: "SELECT name, email FROM customers" } } }
  expect: { effect: allow, rules: [read-orders], masks: [email, phone, card] }
- name: a table is dropped
  principal: { kind: human, groups: [engineers] }
  connection: orders
  dialect: sqlite
  message: { method: tools/call, params: { name: query, arguments: { sql: DROP TABLE customers } } }
  expect: { effect: deny, rules: [no-ddl] }
- name: a table is dropped behind a comment, in small letters
  principal: { kind: human, groups: [analysts] }
  connection: orders
  dialect: sqlite
  message: { method: tools/call, params: { name: query, arguments: { sql: "/* SELECT */ drop table customers" } } }
  expect: { effect: deny, rules: [no-ddl] }
- name: an update is no DDL, and allowed by nothing
  principal: { kind: human, groups: [analysts] }
  connection: orders
  dialect: sqlite
  message: { method: tools/call, params: { name: query, arguments: { sql: UPDATE orders SET amount_cents = 1 } } }
  expect: { effect: deny, rules: [] }
- name: a refund
  principal: { kind: human, groups: [analysts] }
  connection: orders
  message: { method: tools/call, params: { name: refund_order, arguments: { order_id: 7, amount_cents: 500 } } }
  expect: { effect: approve, rules: [refunds-need-a-lead] }
- name: the server asks the person
  principal: { kind: human, groups: [analysts] }
  connection: orders
  from: upstream
  message: { method: elicitation/create, params: { message: "Delete?", requestedSchema: { type: object } } }
  expect: { effect: allow, rules: [questions-to-the-person] }
- name: the server asks for the client’s model
  principal: { kind: human, groups: [analysts] }
  connection: orders
  from: upstream
  message: { method: sampling/createMessage, params: { messages: [], maxTokens: 100 } }
  expect: { effect: deny, rules: [] }
- name: an analyst exports customers
  principal: { kind: human, groups: [analysts] }
  connection: orders
  message: { method: tools/call, params: { name: export_customers, arguments: {} } }
  expect: { effect: deny, rules: [] }
- name: an engineer exports customers
  principal: { kind: human, groups: [engineers] }
  connection: orders
  message: { method: tools/call, params: { name: export_customers, arguments: {} } }
  expect: { effect: allow, rules: [exports], masks: [email, phone, card] }
- name: a prompt
  principal: { kind: human, groups: [analysts] }
  connection: orders
  message: { method: prompts/get, params: { name: summarise-customer, arguments: { customer_id: "3" } } }
  expect: { effect: allow, rules: [schema-and-prompts], masks: [email, phone, card] }
`;

const YOURS_RULES = `#
# Nothing is kept from anybody on your own server. To tighten it: take this rule out and write what is allowed, such as
#
#   - name: yours-reading
#     principals: { groups: [analysts] }
#     connections: [yours]
#     tools: ["get_*", "list_*"]
#     effect: allow
#     masks: all
#
# docs/policies.md has every key.
rules:
  - name: yours-everything
    description: Every message of everybody who may open a session, from either side.
    principals: any
    connections: [yours]
    methods: ["*"]
    effect: allow
`;

const YOURS_DECISIONS = `- name: any tool
  principal: { kind: human, groups: [analysts] }
  connection: yours
  message: { method: tools/call, params: { name: anything, arguments: {} } }
  expect: { effect: allow, rules: [yours-everything] }
- name: a question of the server’s
  principal: { kind: human, groups: [auditors] }
  connection: yours
  from: upstream
  message: { method: elicitation/create, params: { message: "Which?", requestedSchema: { type: object } } }
  expect: { effect: allow, rules: [yours-everything] }
`;

const FILES = {
  'orders.yaml': HEAD + ORDERS_RULES,
  'orders.decisions.yaml': HEAD + ORDERS_DECISIONS,
  'yours.yaml': HEAD + YOURS_RULES,
  'yours.decisions.yaml': HEAD + YOURS_DECISIONS,
};

/**
 * Makes the folder of policies. A set of rules that is there stays as it is, with the decisions beside it or without.
 *
 * @param yours whether the visitor's own server has a connection.
 */
export async function writeRules(folder: string, { yours }: { readonly yours: boolean }): Promise<void> {
  const access = join(folder, 'access');
  await mkdir(access, { recursive: true, mode: 0o700 });
  for (const name of yours ? (['orders', 'yours'] as const) : (['orders'] as const)) {
    // Decisions of older rules would not be those of these, nor the other way round.
    if (!(await create(join(access, `${name}.yaml`), FILES[`${name}.yaml`]))) continue;
    await writeFile(join(access, `${name}.decisions.yaml`), FILES[`${name}.decisions.yaml`], { mode: 0o600 });
  }
}

async function create(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}
