/**
 * The columns of a file: the first rows, and what the server has found each to be.
 */
import { element, table } from "../dom.js";

const N_ROWS = 4;
const MAX_CELL = 24;

/** A table with a row for each column of a file; `element` goes into the page. */
export class ColumnTable {
  #boxes = new Map();
  #kinds = new Map();

  /** @param {() => void} onchange called when a column is to be ignored, or no longer */
  constructor(onchange) {
    this.onchange = onchange;
    this.element = element("div", { hidden: true });
  }

  /**
   * Show the names of the columns and their first values.
   *
   * @param {string[]} names
   * @param {Array<Array<?string>>} rows
   * @param {string[]} ignored names of columns that are to be left out
   */
  show(names, rows, ignored) {
    this.#boxes.clear();
    this.#kinds.clear();
    const cells = names.map((name, place) => {
      const box = element("input", { type: "checkbox", checked: !ignored.includes(name), "aria-label": `Use ${name}`,
        onchange: () => this.onchange() });
      const kind = element("span", {}, "…");
      this.#boxes.set(name, box);
      this.#kinds.set(name, kind);
      const values = rows.slice(0, N_ROWS).map((row) => shortened(row[place] ?? "(gap)"));
      return [box, element("strong", {}, name), kind, element("span.quiet", {}, values.join(" · "))];
    });
    const heads = ["use", "column", "what it is", "first values"];
    this.element.replaceChildren(table("Columns of the file", heads, cells));
    this.element.hidden = false;
  }

  /** The names of the columns that are to be left out. */
  get ignored() {
    return [...this.#boxes].filter(([, box]) => !box.checked).map(([name]) => name);
  }

  /** Show what the server has found, or nothing while that is not known. @param {?Object} found */
  describe(found) {
    for (const [name, cell] of this.#kinds) cell.textContent = found ? described(name, found) : "…";
  }

  /** Show that the server has refused the file, so that nothing is known of the columns. */
  refuse() {
    for (const cell of this.#kinds.values()) cell.textContent = "–";
  }
}

function described(name, found) {
  if (name === found.time) return "times, which put the rows in order";
  if (name === found.key) return "tells series apart";
  if (Object.hasOwn(found.left_out, name)) return `left out: ${found.left_out[name]}`;
  const column = found.columns.find((each) => each.name === name);
  if (!column) return "–";
  const cycles = column.cycles?.length ? `cycles: ${column.cycles.join(", ")}` : null;
  const values = column.values ? `${column.values.length} values` : null;
  const details = [column.unit, values, cycles, column.has_gaps ? "with gaps" : null].filter(Boolean);
  return [column.kind, ...details].join(", ");
}

function shortened(text) {
  return text.length > MAX_CELL ? `${text.slice(0, MAX_CELL - 1)}…` : text;
}
