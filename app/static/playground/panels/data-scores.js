/**
 * The second part of the panel: the rows of a file, scored by a model that was fitted to such rows.
 */
import { askByLine, Problem } from "../api.js";
import { bars, percent } from "../charts.js";
import { button, element, labelled, select, table } from "../dom.js";
import { RequestView } from "../request-view.js";
import { seriesFrom } from "../series-data.js";
import { reasonsOf, SeriesView } from "../series-view.js";
import { written } from "../steps-chart.js";

const N_SHOWN = 25;
const HEADS = ["row", "finding", "score", "p-value", "because of"];

/** Scores of rows, those that are flagged first, or the chart of a series; `element` goes into the page. */
export class Scores {
  #controller = null;
  #rows = [];
  #nShown = 0;

  constructor() {
    this.requests = new RequestView();
    this.view = new SeriesView(this.requests);
    this.summary = element("p", { role: "status" });
    this.table = table("Scores of the rows", HEADS, []);
    this.table.hidden = true;
    this.body = this.table.querySelector("tbody");
    this.more = button("Show more rows", () => this.#showMore(), { hidden: true });
    this.series = element("div", { hidden: true });
    this.element = element("div", {}, this.summary, this.table, this.more, this.series, this.view.element,
      this.requests.element);
  }

  /**
   * Score the rows of a file.
   *
   * @param {Object} model as `GET /models/{id}` describes it
   * @param {import("./data-file.js").DataFile} file
   */
  async score(model, file) {
    this.#controller?.abort();
    const { signal } = (this.#controller = new AbortController());
    this.table.hidden = this.more.hidden = this.series.hidden = true;
    this.view.clear();
    this.summary.textContent = `Scoring ${file.name} …`;
    try {
      if (model.item.modality === "table") await this.#scoreRows(model, file, signal);
      else await this.#scoreSeries(model, file);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.summary.textContent = "";
      this.requests.fail(error);
    }
  }

  destroy() {
    this.#controller?.abort();
    this.view.destroy();
  }

  async #scoreRows(model, file, signal) {
    const path = `/detect-anomalies?${new URLSearchParams({ model: model.id, n_top: 0 })}`;
    const request = { path, body: file.body, type: file.type, file: file.name, accept: "application/x-ndjson", signal };
    const startedAt = performance.now();
    const rows = [];
    const refused = [];
    for await (const line of askByLine(request)) {
      if (!line.error) rows.push({ number: rows.length + refused.length + 1, ...line });
      else if (line.error.type) throw new Problem(line.error);
      else refused.push(line.error.detail);
      if ((rows.length + refused.length) % 1000 === 0) this.summary.textContent = `${rows.length} rows are scored …`;
    }
    this.requests.show(request, performance.now() - startedAt);
    const flagged = rows.filter((row) => row.is_anomaly).length;
    const without = refused.length ? ` ${refused.length} rows were refused, the first because ${refused[0]}.` : "";
    this.summary.textContent = `${flagged} of ${rows.length} rows are anomalies.${without}`;
    this.#rows = rows.sort((first, second) => second.is_anomaly - first.is_anomaly || second.score - first.score);
    this.#nShown = 0;
    this.body.replaceChildren();
    this.file = file;
    this.table.hidden = !rows.length;
    this.#showMore();
  }

  #showMore() {
    const next = this.#rows.slice(this.#nShown, this.#nShown + N_SHOWN);
    this.#nShown += next.length;
    this.body.append(...next.map((row) => this.#line(row)));
    this.more.hidden = this.#nShown >= this.#rows.length;
  }

  /** Return a row of the table, whose last cell opens to the contributions of all columns and the values there. */
  #line({ number, is_anomaly, score, p_value, contributions }) {
    const parts = Object.entries(contributions).map(([name, part]) => [name, Math.max(0, part)]);
    const whole = parts.reduce((sum, [, part]) => sum + part, 0) || 1;
    const shares = Object.fromEntries(parts.map(([name, part]) => [name, part / whole]));
    const open = () => details.children.length === 1 && details.append(this.#reasons(number, shares));
    const summary = element("summary", {}, reasonsOf(shares) || "all columns alike");
    const details = element("details", { ontoggle: open }, summary);
    const cells = [String(number), is_anomaly ? "▲ anomaly" : "normal", written(score), written(p_value), details];
    return element(is_anomaly ? "tr.flagged" : "tr", {}, ...cells.map((cell) => element("td", {}, cell)));
  }

  #reasons(number, shares) {
    const { table } = this.file;
    const valueOf = (name) => {
      const place = table?.names.indexOf(name) ?? -1;
      return place < 0 ? "" : ` = ${table.rows[number - 1]?.[place] ?? "(gap)"}`;
    };
    const sorted = Object.entries(shares).sort((first, second) => second[1] - first[1]);
    return bars(sorted.map(([name, value]) => ({ label: `${name}${valueOf(name)}`, value })), percent);
  }

  async #scoreSeries(model, file) {
    const found = seriesFrom(file.seriesText, model.item);
    const show = async (place) => {
      try {
        await this.view.show(model, found[place].series);
        const name = found.length > 1 ? found[place].label : file.name;
        this.summary.textContent = `${found[place].series.length} rows of ${name}.`;
      } catch (error) {
        if (error.name === "AbortError") return;
        this.summary.textContent = "";
        this.requests.fail(error);
      }
    };
    const labels = found.map(({ label }, place) => [String(place), label]);
    this.series.hidden = labels.length < 2;
    const choice = select("line", labels, "0", ({ target }) => show(Number(target.value)));
    this.series.replaceChildren(labelled("Series", choice));
    await show(0);
  }
}
