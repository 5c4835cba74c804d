/**
 * Live figures from the metrics of the server: charts over the last minutes, and a table by model.
 */
import { ask } from "../../api.js";
import { lineChart } from "../../charts.js";
import { element, labelled, select } from "../../dom.js";
import { RequestView } from "../../request-view.js";
import { writeState } from "../../state.js";
import { Interval, Reading } from "./metrics-text.js";

const EVERY_MS = 2000;
const SHOWN_S = 300;
const ALL = "";  // stands for all models where one is chosen
const REQUEST = { path: "/metrics", accept: "text/plain" };

const FIGURES = [
  { name: "Requests/s", write: (value) => value.toFixed(1) },
  { name: "Items/s", write: (value) => value.toFixed(1) },
  { name: "Waiting", write: String },
  { name: "Items a batch", write: (value) => value.toFixed(1) },
  { name: "Mean, ms", write: (value) => value.toFixed(1) },
  { name: "95% within, ms", write: (value) => value.toFixed(1) },
  { name: "New tokens/s", write: (value) => value.toFixed(0) },
];
/** Figures of each chart, by their places in `FIGURES`. */
const CHARTS = { "Requests and items a second": [0, 1], "Waiting items": [2], "Items a batch": [3],
  "Time of a request in ms": [4, 5] };

/** Return the numbers of `FIGURES` for a model, or for all; null where nothing happened that could be measured. */
function figuresOf(interval, model) {
  const wanted = { model: model === ALL ? (name) => name !== "" : model };  // no model took part in the others
  const inMs = (seconds) => (seconds === null ? null : 1000 * seconds);
  return [
    interval.rate("manifold_requests_total", wanted),
    interval.rate("manifold_batch_items_sum", wanted),
    interval.after.sum("manifold_queue_items", wanted),
    interval.mean("manifold_batch_items", wanted),
    inMs(interval.mean("manifold_request_seconds", wanted)),
    inMs(interval.quantile("manifold_request_seconds", 0.95, wanted)),
    interval.rate("manifold_generated_tokens_total", wanted),
  ];
}

/**
 * `element` goes into the page. The metrics are read while it is started and the page is seen.
 */
export class LiveMetrics {
  #last = null;
  #history = [];
  #timer = null;
  #isStarted = false;
  #controller = null;

  /**
   * @param {string[]} models ids of the models
   * @param {string} chosen the one whose charts are shown, or "" for all
   * @param {(reading: Reading) => Promise<void>} onreading called with each reading
   */
  constructor(models, chosen, onreading) {
    this.models = models;
    this.onreading = onreading;
    this.view = new RequestView();
    this.model = select("charts", [[ALL, "all models"], ...models], models.includes(chosen) ? chosen : ALL, () => {
      writeState({ model: this.model.value || null });
      this.#draw();
    });
    this.rows = element("tbody");
    this.charts = Object.entries(CHARTS).map(([title, places]) => ({ title, places, root: element("div") }));
    const heads = ["Model", ...FIGURES.map(({ name }) => name)].map((name) => element("th", { scope: "col" }, name));
    this.element = element("section", { "aria-label": "Live figures" },
      element("h2", {}, "Now"),
      element("div.controls", {}, labelled("Charts of", this.model)),
      element("div.charts", {}, ...this.charts.map(({ title, root }) =>
        element("figure", {}, element("figcaption", {}, title), root))),
      element("p.quiet", {}, "From right to left: now, and seconds before. The metrics are read every two seconds."),
      element("div.scroll", { tabIndex: 0, role: "region", "aria-label": "Figures by model" },
        element("table.live", {}, element("thead", {}, element("tr", {}, ...heads)), this.rows)),
      this.view.element);
    this.#fillTable(null);
  }

  /** Begin to read; the element must be in the page. */
  start() {
    for (const chart of this.charts) chart.lines = this.#chart(chart);
    this.#isStarted = true;
    document.addEventListener("visibilitychange", this.#onVisibility);
    this.#onVisibility();
  }

  /** End reading, and give up the charts. */
  stop() {
    this.#isStarted = false;
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#pause();
    for (const { lines } of this.charts) lines.destroy();
  }

  #chart({ root, places }) {
    const upwards = (plot, least, most) => [0, Math.max(1, 1.1 * (most ?? 0))];
    const scales = { x: { time: false, range: [-SHOWN_S, 0] }, y: { range: upwards } };
    const legend = { live: false, show: places.length > 1 };
    const names = places.map((place) => FIGURES[place].name);
    return lineChart(root, [[], ...places.map(() => [])], names, { height: 180, options: { scales, legend } });
  }

  #onVisibility = () => {
    this.#pause();
    if (!document.hidden) this.#read();
  };

  /** Stop reading for a while. The next interval begins after it, because rates over a long time say little. */
  #pause() {
    clearTimeout(this.#timer);
    this.#controller?.abort();
    this.#last = null;
    if (this.#history.length) this.#history.push({ at: this.#history.at(-1).at, figures: new Map() });  // a gap
  }

  async #read() {
    const { signal } = (this.#controller = new AbortController());
    try {
      const { answer, ms } = await ask({ ...REQUEST, signal });
      const reading = new Reading(await answer.text(), performance.now() / 1000);
      if (signal.aborted) return;
      this.#add(reading);
      await this.onreading(reading);
      if (this.view.details.hidden || !this.view.problem.hidden) this.view.show(REQUEST, ms);
    } catch (error) {
      this.view.fail(error);
      this.#last = null;
    }
    if (this.#isStarted && !signal.aborted) this.#timer = setTimeout(() => this.#read(), EVERY_MS);
  }

  #add(reading) {
    if (this.#last) {
      const interval = new Interval(this.#last, reading);
      const figures = new Map([ALL, ...this.models].map((model) => [model, figuresOf(interval, model)]));
      this.#history.push({ at: reading.at, figures });
      this.#history = this.#history.filter(({ at }) => at >= reading.at - SHOWN_S);
      this.#fillTable(figures);
      this.#draw();
    }
    this.#last = reading;
  }

  #draw() {
    const now = this.#history.at(-1)?.at ?? 0;
    const times = this.#history.map(({ at }) => at - now);
    const figures = this.#history.map((each) => each.figures.get(this.model.value));
    for (const { lines, places } of this.charts) {
      lines.setData([times, ...places.map((place) => figures.map((numbers) => numbers?.[place] ?? null))]);
    }
  }

  #fillTable(figures) {
    this.rows.replaceChildren(...[ALL, ...this.models].map((model) => {
      const numbers = figures?.get(model) ?? FIGURES.map(() => null);
      const cells = numbers.map((value, place) =>
        element("td", {}, value === null ? "–" : FIGURES[place].write(value)));
      return element("tr", {}, element("th", { scope: "row" }, model === ALL ? "All models" : model), ...cells);
    }));
  }
}
