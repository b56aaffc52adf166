import { constants, DatabaseSync, type SQLOutputValue } from 'node:sqlite';

/** Rows that one query may return. */
const MOST_ROWS = 200;

const SCHEMA = `
CREATE TABLE customers (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  email TEXT NOT NULL UNIQUE,
  card TEXT NOT NULL,
  city TEXT NOT NULL
) STRICT;
CREATE TABLE orders (
  id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
  placed_on TEXT NOT NULL,
  item TEXT NOT NULL,
  amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
  refunded_cents INTEGER NOT NULL DEFAULT 0 CHECK (refunded_cents BETWEEN 0 AND amount_cents)
) STRICT;
CREATE TABLE refunds (
  id INTEGER PRIMARY KEY,
  order_id INTEGER NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
  amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
  reason TEXT NOT NULL
) STRICT;
`;

/** Made up. The domains are reserved (RFC 2606) and the cards are the payment networks' own test numbers. */
const CUSTOMERS: readonly (readonly [name: string, email: string, card: string, city: string])[] = [
  ['Maya Okonkwo', 'maya.okonkwo@example.com', '4242 4242 4242 4242', 'Lagos'],
  ['Jonas Weber', 'jonas.weber@example.org', '5555 5555 5555 4444', 'Leipzig'],
  ['Zoë Laurent', 'zoe.laurent@example.net', '3782 822463 10005', 'Lyon'],
  ['佐藤 陽菜', 'hina.sato@example.com', '3530 1113 3330 0000', '大阪'],
  ['Łukasz Nowak', 'lukasz.nowak@example.org', '4111 1111 1111 1111', 'Łódź'],
  ['Priya Raman', 'priya.raman@example.com', '6011 1111 1111 1117', 'Chennai'],
  ['Diego Fuentes', 'diego.fuentes@example.net', '5105 1051 0510 5100', 'Oaxaca'],
  ['Aoife Byrne', 'aoife.byrne@example.org', '4012 8888 8888 1881', 'Galway'],
  ['Samuel Tesfaye', 'samuel.tesfaye@example.com', '3056 930902 5904', 'Adama'],
  ['Ines Duarte', 'ines.duarte@example.net', '6011 0009 9013 9424', 'Porto'],
];
const ITEMS = ['desk lamp', 'kettle', 'field notebook', 'wool blanket', 'bicycle bell', 'teapot', 'headphones'];
const FIRST_DAY = Date.UTC(2026, 8, 1);
const ORDERS = 48;

/** What a statement gave: rows as objects, in the order in which the database returned them. */
export interface QueryResult {
  readonly columns: string[];
  readonly rows: Record<string, string | number | null>[];
  /** More rows than are returned here. */
  readonly truncated: boolean;
}

export type OrdersDatabase = ReturnType<typeof createOrdersDatabase>;

/**
 * A shop's database in memory, the same at each start.
 *
 * `query` takes a stranger's SQL. It may read and change the shop's own tables, and nothing outside them: no other
 * files (`ATTACH`, `VACUUM INTO`), no settings (`PRAGMA`), no recursion (the one loop that SQL has; it would stop the
 * whole server).
 */
export function createOrdersDatabase() {
  const database = new DatabaseSync(':memory:', {
    enableForeignKeyConstraints: true,
    limits: { sqlLength: 20_000, length: 1_000_000 },
  });
  database.exec(SCHEMA);
  fill(database);
  const refused = new Set([
    constants.SQLITE_ATTACH,
    constants.SQLITE_DETACH,
    constants.SQLITE_PRAGMA,
    constants.SQLITE_RECURSIVE,
    constants.SQLITE_TRANSACTION,
    constants.SQLITE_SAVEPOINT,
  ]);
  database.setAuthorizer((action) => (refused.has(action) ? constants.SQLITE_DENY : constants.SQLITE_OK));

  return {
    /** Runs one statement. Throws what SQLite says of a wrong one. */
    query(sql: string): QueryResult {
      const statement = database.prepare(sql);
      const columns = distinct(statement.columns().map(({ name }) => name));
      statement.setReturnArrays(true);
      const rows: QueryResult['rows'] = [];
      for (const values of statement.iterate() as Iterable<unknown>) {
        if (rows.length === MOST_ROWS) return { columns, rows, truncated: true };
        rows.push(row(columns, values as SQLOutputValue[]));
      }
      return { columns, rows, truncated: false };
    },

    /** Pays money back. Throws Error where the order is unknown or less than that is left of it. */
    refund(order: number, cents: number, reason: string): { refunded_cents: number; left_cents: number } {
      const found = database.prepare('SELECT amount_cents, refunded_cents FROM orders WHERE id = ?').get(order);
      if (found === undefined) throw new Error(`There is no order ${order}.`);
      const left = Number(found.amount_cents) - Number(found.refunded_cents);
      if (cents > left) throw new Error(`Only ${left} cents of order ${order} are left to refund.`);
      database.prepare('UPDATE orders SET refunded_cents = refunded_cents + ? WHERE id = ?').run(cents, order);
      database
        .prepare('INSERT INTO refunds (order_id, amount_cents, reason) VALUES (?, ?, ?)')
        .run(order, cents, reason);
      return { refunded_cents: cents, left_cents: left - cents };
    },

    customer(id: number): { name: string; email: string; city: string; orders: number } | undefined {
      const found = database
        .prepare(
          'SELECT name, email, city, (SELECT count(*) FROM orders WHERE customer_id = c.id) AS orders FROM customers c WHERE id = ?',
        )
        .get(id);
      return (
        found && {
          name: String(found.name),
          email: String(found.email),
          city: String(found.city),
          orders: Number(found.orders),
        }
      );
    },

    /** Deletes a customer with all orders; how many orders those were. */
    deleteCustomer(id: number): number {
      const orders = this.customer(id)?.orders ?? 0;
      database.prepare('DELETE FROM customers WHERE id = ?').run(id);
      return orders;
    },

    /** Orders and money of a month `YYYY-MM`. */
    month(month: string): {
      orders: number;
      revenue_cents: number;
      refunded_cents: number;
      best_seller: string | null;
    } {
      const sums = database
        .prepare(
          'SELECT count(*) AS orders, total(amount_cents) AS revenue, total(refunded_cents) AS refunded FROM orders WHERE substr(placed_on, 1, 7) = ?',
        )
        .get(month);
      const best = database
        .prepare(
          'SELECT item FROM orders WHERE substr(placed_on, 1, 7) = ? GROUP BY item ORDER BY sum(amount_cents) DESC, item LIMIT 1',
        )
        .get(month);
      return {
        orders: Number(sums?.orders),
        revenue_cents: Number(sums?.revenue),
        refunded_cents: Number(sums?.refunded),
        best_seller: best === undefined ? null : String(best.item),
      };
    },

    schema(): string {
      return SCHEMA.trim();
    },
    close(): void {
      database.close();
    },
  };
}

function fill(database: DatabaseSync): void {
  const customer = database.prepare('INSERT INTO customers (name, email, card, city) VALUES (?, ?, ?, ?)');
  for (const values of CUSTOMERS) customer.run(...values);
  const order = database.prepare('INSERT INTO orders (customer_id, placed_on, item, amount_cents) VALUES (?, ?, ?, ?)');
  for (let n = 0; n < ORDERS; n++) {
    const day = new Date(FIRST_DAY + n * 40 * 3600 * 1000).toISOString().slice(0, 10);
    order.run(1 + ((n * 7) % CUSTOMERS.length), day, ITEMS[(n * 3) % ITEMS.length] ?? '', 1290 + ((n * 1733) % 9000));
  }
}

/** Two columns of a join may share a name; an object can't hold both under it. */
function distinct(names: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return names.map((name) => {
    const times = (seen.get(name) ?? 0) + 1;
    seen.set(name, times);
    return times === 1 ? name : `${name}_${times}`;
  });
}

function row(columns: readonly string[], values: readonly SQLOutputValue[]): Record<string, string | number | null> {
  return Object.fromEntries(columns.map((column, at) => [column, plain(values[at] ?? null)]));
}

function plain(value: SQLOutputValue): string | number | null {
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString('hex')}'`;
  return typeof value === 'bigint' ? value.toString() : value;
}
