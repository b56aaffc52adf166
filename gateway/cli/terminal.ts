/**
 * What the commands print on. Recordings are hostile: whatever comes from one passes `escapeForTerminal` before it is
 * printed, so that no recorded text can move the cursor, recolour, reorder or hide what a reader sees.
 */
import type { Writable } from 'node:stream';

/** Controls, formatting (bidi, zero-width), lone surrogates, line and paragraph separators, and what renders as nothing. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;

/** The text with every character that a terminal would obey or hide written out as `\u{202e}`. */
export function escapeForTerminal(text: string, options: { keepNewlines?: boolean } = {}): string {
  return text.replace(UNPRINTABLE, (character) =>
    character === '\n' && options.keepNewlines ? '\n' : `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/** At most `width` code points; what was cut shows as `…`. */
export function cut(text: string, width: number): string {
  const points = Array.from(text);
  return points.length <= width ? text : `${points.slice(0, Math.max(0, width - 1)).join('')}…`;
}

function widthOf(text: string): number {
  return Array.from(text).length;
}

const SGR = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;
type Style = keyof typeof SGR;

export interface Terminal {
  /** True where a person looks: columns are cut to the width, progress is drawn. */
  readonly interactive: boolean;
  /** Code points in a line; Infinity where nobody looks. */
  readonly columns: number;
  paint(style: Style, text: string): string;
  /** Resolves when the stream can take more. */
  write(text: string | Uint8Array): Promise<void>;
}

/** A writable that may be a terminal; `process.stdout` and `process.stderr` are. */
export interface Screen extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Colours follow NO_COLOR (no-color.org: any non-empty value) and TERM=dumb. */
export function createTerminal(screen: Screen, env: Record<string, string | undefined>): Terminal {
  const interactive = screen.isTTY === true && env.TERM !== 'dumb';
  const coloured = interactive && !env.NO_COLOR;
  return {
    interactive,
    columns: interactive ? (screen.columns ?? 80) : Number.POSITIVE_INFINITY,
    paint: (style, text) => (coloured ? `\u001b[${SGR[style]}m${text}\u001b[0m` : text),
    write: (text) =>
      new Promise((resolve, reject) => {
        screen.write(text, (error) => (error ? reject(error) : resolve()));
      }),
  };
}

/** A reader that went away (`verbatim show … | head`) is no failure: the rest has nobody to read it. */
export function endQuietlyWithoutReader(stdout: Writable, exit: (code: number) => void): void {
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') exit(0);
    else throw error;
  });
}

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  readonly style?: (row: Row) => Style | undefined;
  /** Cut to what is left of the line, where the line is too short. */
  readonly flexible?: true;
  readonly align?: 'right';
}

/** Lines of aligned columns, two blanks apart. On a terminal the flexible columns give way so that no line wraps. */
export function table<Row>(terminal: Terminal, columns: readonly Column<Row>[], rows: readonly Row[]): string[] {
  const cells = rows.map((row) => columns.map((column) => escapeForTerminal(column.value(row))));
  const widths = columns.map((column, index) =>
    cells.reduce((widest, line) => Math.max(widest, widthOf(line[index] ?? '')), widthOf(column.title)),
  );
  const total = widths.reduce((sum, width) => sum + width + 2, -2);
  shrink(columns, widths, total - terminal.columns);
  const line = (texts: readonly string[], row: Row | undefined): string =>
    texts
      .map((text, index) => {
        const column = columns[index];
        const width = widths[index] ?? 0;
        const shown = cut(text, width);
        const pad = ' '.repeat(width - widthOf(shown));
        const style = row === undefined ? 'dim' : column?.style?.(row);
        const painted = style === undefined ? shown : terminal.paint(style, shown);
        if (column?.align === 'right') return pad + painted;
        return index === texts.length - 1 ? painted : painted + pad;
      })
      .join('  ');
  return [
    line(
      columns.map((column) => column.title),
      undefined,
    ),
    ...rows.map((row, index) => line(cells[index] ?? [], row)),
  ];
}

const NARROWEST = 8;

function shrink(columns: readonly Column<never>[], widths: number[], excess: number): void {
  let left = excess;
  columns.forEach((column, index) => {
    const width = widths[index] ?? 0;
    if (left <= 0 || !column.flexible || width <= NARROWEST) return;
    const taken = Math.min(left, width - NARROWEST);
    widths[index] = width - taken;
    left -= taken;
  });
}

/** A bar on a terminal, nothing elsewhere. `total` may grow while the work goes on. */
export function createProgress(terminal: Terminal): {
  show(label: string, done: number, total: number): void;
  clear(): void;
} {
  const WIDTH = 30;
  let last = '';
  return {
    show(label, done, total) {
      if (!terminal.interactive) return;
      const part = total === 0 ? 0 : Math.min(1, done / total);
      const filled = Math.round(part * WIDTH);
      const line = cut(
        `${label} ${'█'.repeat(filled)}${'░'.repeat(WIDTH - filled)} ${done}/${total}`,
        terminal.columns - 1,
      );
      if (line === last) return;
      last = line;
      void terminal.write(`\r\u001b[2K${line}`);
    },
    clear() {
      if (terminal.interactive && last !== '') void terminal.write('\r\u001b[2K');
      last = '';
    },
  };
}
