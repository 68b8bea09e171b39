/** A table of text: the first column is flush left, the others flush right. */
export interface Table {
  readonly title: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

export function formatTable({ title, columns, rows }: Table): string {
  const widths = columns.map((column, i) => Math.max(column.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ')
  const rule = widths.map((width) => '-'.repeat(width))
  return [title, '', line(columns), line(rule), ...rows.map(line)].map((text) => text.trimEnd()).join('\n')
}

export function markdownTable({ title, columns, rows }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const rule = columns.map((_, i) => (i === 0 ? '---' : '--:'))
  return [`${title}:`, '', line(columns), line(rule), ...rows.map(line)].join('\n')
}

/** Formats 1234567 as `1,234,567`, and a value that could not be measured as a dash. */
export function integer(value: number): string {
  return Number.isFinite(value) ? Math.round(value).toLocaleString('en-US') : '-'
}

export function decimal(value: number, digits = 2): string {
  return Number.isFinite(value) ? value.toFixed(digits) : '-'
}

export function percent(share: number): string {
  return Number.isFinite(share) ? `${Math.round(share * 100)} %` : '-'
}

export function micros(nanoseconds: number): string {
  const value = nanoseconds / 1000
  return value < 1000 ? decimal(value, value < 10 ? 2 : 1) : integer(value)
}

export function mebibytes(bytes: number): string {
  return decimal(bytes / 2 ** 20, 1)
}
