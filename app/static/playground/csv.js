/**
 * Reads files of separated values (RFC 4180), as `manifold fit` and the server do.
 */
import { Problem } from "./api.js";

const DELIMITERS = [",", ";", "\t", "|"];
const GAPS = new Set(["", "na", "n/a", "nan", "null", "none", "-", "?"]);
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** Whether a cell holds a number. */
export function isNumber(cell) {
  return NUMBER.test(cell);
}

/**
 * Return the lines of a text as lists of cells; null stands for a gap. Empty lines are skipped.
 *
 * @param {string} text
 * @returns {Array<Array<string|null>>}
 */
export function parseLines(text) {
  const delimiter = delimiterOf(text);
  const lines = [];
  let cells = [];
  for (const { cell, end } of cellsOf(text.replace(/^\ufeff/, ""), delimiter)) {
    cells.push(GAPS.has(cell.toLowerCase()) ? null : cell);
    if (end) {
      if (cells.length > 1 || cells[0] !== null) lines.push(cells);
      cells = [];
    }
  }
  return lines;
}

/**
 * Return a table whose first line names the columns.
 *
 * @param {string} text
 * @returns {{names: string[], rows: Array<Array<string|null>>}}
 * @throws {Problem} a line has more or fewer cells than the first, a name is missing, or there are no rows
 */
export function parseTable(text) {
  const [names, ...rows] = parseLines(text);
  if (!names || !rows.length) throw problem("It needs a line of names, and rows below it.");
  if (names.includes(null)) throw problem("Every column needs a name in the first line.");
  if (names.every(isNumber)) throw problem("The first line holds numbers, and must name the columns.");
  const wrong = rows.findIndex((row) => row.length !== names.length);
  if (wrong >= 0) {
    throw problem(`Row ${wrong + 1} has ${rows[wrong].length} cells; the first line names ${names.length} columns.`);
  }
  return { names, rows };
}

/** Return a cell as the value of JSON that it stands for: a number, or text. */
export function valueOf(cell) {
  return cell !== null && isNumber(cell) ? Number(cell) : cell;
}

/** Return a table as text, separated by commas. */
export function writeTable(names, rows) {
  const cell = (value) => {
    const text = String(value ?? "");
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return `${[names, ...rows].map((row) => row.map(cell).join(",")).join("\n")}\n`;
}

function problem(detail) {
  return new Problem({ title: "This is no table", detail });
}

/** Return the delimiter that the first lines have most often, and equally often. */
export function delimiterOf(text) {
  const lines = text.split(/\r?\n/, 20).filter(Boolean);
  const counts = DELIMITERS.map((each) => lines.map((line) => line.split(each).length - 1));
  const steady = counts.map((found) => (found.every((count) => count === found[0]) ? found[0] ?? 0 : 0));
  const best = Math.max(...steady) > 0 ? steady : counts.map((found) => found[0] ?? 0);
  return DELIMITERS[best.indexOf(Math.max(...best))];
}

/** Yield the cells of a text, without white space around them, and whether each is the last one of its line. */
function* cellsOf(text, delimiter) {
  let place = 0;
  while (place < text.length) {
    let cell = "";
    if (text[place] === '"') {
      place++;
      while (place < text.length && (text[place] !== '"' || text[place + 1] === '"')) {
        cell += text[place];
        place += text[place] === '"' ? 2 : 1;
      }
      place++;
    }
    const start = place;
    while (place < text.length && text[place] !== delimiter && text[place] !== "\n") place++;
    cell += text.slice(start, place);
    const end = place >= text.length || text[place] === "\n";
    place++;
    yield { cell: cell.trim(), end };
    if (!end && place >= text.length) yield { cell: "", end: true };
  }
}
