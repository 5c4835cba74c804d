/**
 * Series as the page has them: numbers by column, which are drawn, and the inputs of requests that are made of them.
 */
import { Problem } from "./api.js";
import { isNumber, parseLines, parseTable, valueOf } from "./csv.js";

/** A series of numbers, of one channel or several. */
export class NumberSeries {
  /** @param {number[][]} columns the numbers of each channel */
  constructor(columns) {
    this.columns = columns;
    this.names = columns.map((_, place) => (columns.length === 1 ? "value" : `channel ${place + 1}`));
    this.times = null;
  }

  get length() {
    return this.columns[0].length;
  }

  /** Return the series as the input of a request; null stands for what is missing. */
  input(isMissing = () => false) {
    const steps = Array.from({ length: this.length }, (_, step) =>
      this.columns.map((column, place) => (isMissing(this.names[place], step) ? null : column[step])),
    );
    return this.columns.length === 1 ? steps.map(([value]) => value) : steps;
  }

  /** Return the numbers of each channel in what the server answers: a series, or contributions in its shape. */
  columnsOf(answer) {
    return this.names.map((_, place) => answer.map((step) => (Array.isArray(step) ? step[place] : step)));
  }

  /** Return the series as text, which `seriesFrom` reads. */
  text() {
    return this.columns.length === 1
      ? this.columns[0].map(written).join(", ")
      : this.input().map((step) => step.map(written).join(", ")).join("\n");
  }
}

/** Rows of a table in the order of time. Numbers and booleans are drawn, and other columns only sent. */
export class TableSeries {
  /**
   * @param {Object<string, Array>} columns the values of each column, as they are sent
   * @param {Object} item what the model takes, as `GET /models/{id}` shows it
   */
  constructor(columns, item) {
    const drawn = item.columns.filter(({ kind }) => kind === "number" || kind === "boolean").map(({ name }) => name);
    this.sent = columns;
    this.names = Object.keys(columns).filter((name) => drawn.includes(name));
    this.columns = this.names.map((name) => columns[name].map(numberOf));
    this.times = item.time === null ? null : (columns[item.time] ?? null);
    this.all = item.columns.map(({ name }) => name);
  }

  get length() {
    return Object.values(this.sent)[0].length;
  }

  input(isMissing = () => false) {
    const kept = (name, values) => values.map((value, step) => (isMissing(name, step) ? null : value));
    return Object.fromEntries(Object.entries(this.sent).map(([name, values]) => [name, kept(name, values)]));
  }

  columnsOf(answer) {
    return this.names.map((name) => (answer[name] ?? []).map(numberOf));
  }
}

/** Return a value of a column as the number that is drawn; null where there is none. */
function numberOf(value) {
  if (typeof value === "boolean") return value ? 1 : 0;
  if (value === null || value === undefined || value === "") return null;
  const word = String(value).toLowerCase();
  if (["true", "yes", "t", "y"].includes(word)) return 1;
  if (["false", "no", "f", "n"].includes(word)) return 0;
  return Number.isFinite(Number(value)) ? Number(value) : null;
}

function written(number) {
  return String(Math.round(number * 1000) / 1000);
}

/**
 * Return the series in a text, of which there may be several.
 *
 * @param {string} text what was pasted, dropped or written
 * @param {Object} item what the model takes
 * @returns {Array<{label: string, series: NumberSeries|TableSeries}>}
 * @throws {Problem} the text holds no series for the model
 */
export function seriesFrom(text, item) {
  return item.modality === "table_series" ? tablesFrom(text, item) : numbersFrom(text, item.shape[1] ?? 1);
}

function numbersFrom(text, nChannels) {
  const plain = text.replaceAll(/\]\s*,\s*\[/g, "\n").replaceAll(/[[\]]/g, " ");  // as it may be JSON
  const separated = /[,;|]/.test(plain) ? plain : plain.trim().replaceAll(/[ \t]+/g, ",");
  const [first = [], ...rest] = parseLines(separated);
  const lines = first.some((cell) => cell !== null && isNumber(cell)) ? [first, ...rest] : rest;  // without names
  const numbers = lines.map((line) => line.map(numberIn));
  if (!numbers.flat().length) throw noSeries("Write numbers, or open a file.");
  if (nChannels > 1) {
    const wrong = numbers.findIndex((line) => line.length !== nChannels);
    if (wrong >= 0) {
      throw noSeries(`Line ${wrong + 1} has ${numbers[wrong].length} numbers; the model has ${nChannels} channels.`);
    }
    const channels = numbers[0].map((_, place) => numbers.map((line) => line[place]));
    return [{ label: "the series", series: new NumberSeries(channels) }];
  }
  const all = numbers.some((line) => line.length > 1) ? numbers : [numbers.flat()];
  return all.map((line, place) => ({ label: `line ${place + 1}`, series: new NumberSeries([line]) }));
}

function numberIn(cell) {
  if (cell === null) throw noSeries("A number is missing between two others.");
  if (isNumber(cell)) return Number(cell);
  throw noSeries(`“${cell.slice(0, 40)}” is no number.`);
}

function noSeries(detail) {
  return new Problem({ title: "There is no series for the model", detail });
}

function tablesFrom(text, item) {
  const { names, rows } = parseTable(text);
  const key = names.indexOf(item.key);
  const groups = new Map();
  for (const row of rows) {
    const value = key < 0 ? "the series" : String(row[key]);
    if (!groups.has(value)) groups.set(value, []);
    groups.get(value).push(row);
  }
  return [...groups].map(([label, members]) => {
    const columns = names.map((name, place) => [name, members.map((row) => valueOf(row[place]))]);
    return { label, series: new TableSeries(Object.fromEntries(columns), item) };
  });
}
