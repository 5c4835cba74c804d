/**
 * A file of rows that a person has chosen: its type, and its rows where the page can read them.
 */
import { Problem } from "../api.js";
import { delimiterOf, parseTable, writeTable } from "../csv.js";

const CSV = "text/csv";
const NDJSON = "application/x-ndjson";
const TYPES = { parquet: "application/vnd.apache.parquet", ndjson: NDJSON, jsonl: NDJSON };

/** A file, as it is sent. */
export class DataFile {
  /** @param {File} file */
  constructor(file) {
    this.file = file;
    this.name = file.name;
    this.type = TYPES[file.name.split(".").at(-1).toLowerCase()] ?? CSV;
    this.text = "";
    this.table = null;
  }

  /**
   * Return a file whose rows have been read, if it is one of separated values.
   *
   * @param {File} file
   * @throws {Problem} it is no table
   */
  static async read(file) {
    const made = new DataFile(file);
    if (made.type === CSV) {
      made.text = await file.text();
      made.table = parseTable(made.text);
    }
    return made;
  }

  get isTable() {
    return this.table !== null;
  }

  /** Return a name for a model that is made of this file. */
  get modelName() {
    const words = this.name.replace(/\.[^.]*$/, "").replaceAll(/[^A-Za-z0-9_-]+/g, "-");
    return words.replaceAll(/^-+|-+$/g, "").slice(0, 100) || "my-model";
  }

  /** Return the body of a request with the rows to score, which are separated by commas. */
  get body() {
    return this.isTable && delimiterOf(this.text) !== "," ? writeTable(this.table.names, this.table.rows) : this.file;
  }

  /**
   * Return the text of a series.
   *
   * @throws {Problem} the page cannot read the file
   */
  get seriesText() {
    if (this.isTable) return this.text;
    const detail = "The page draws series from files of separated values.";
    throw new Problem({ title: "The file cannot be drawn", detail });
  }
}
