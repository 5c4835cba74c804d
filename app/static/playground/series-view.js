/**
 * What a model makes of a series: its reconstruction, where it is unusual and in which column, and how it fills a hole.
 */
import { task } from "./api.js";
import { bars, percent } from "./charts.js";
import { element, labelled, select, table } from "./dom.js";
import { StepsChart, written } from "./steps-chart.js";

const SERIES = { label: "series", colour: "--series-1" };
const RECONSTRUCTION = { label: "reconstruction", colour: "--series-2", dash: [6, 4] };
const FILLED = { label: "filled in", colour: "--series-3", width: 3 };
const SCORE = { label: "score", colour: "--series-4" };
const THRESHOLD = { label: "threshold", colour: "--warn", dash: [2, 3] };
const MAX_STRETCHES = 20;

/** A part of a panel; `element` goes into the page. The last series that is shown wins. */
export class SeriesView {
  #controller = null;
  #holeController = null;
  #state = null;

  /**
   * @param {import("./request-view.js").RequestView} view where requests and errors are shown
   * @param {{onHole?: Function, onPen?: Function, onColumn?: (name: string) => void}} [settings] as for `StepsChart`,
   *   and what is called when another column is chosen
   */
  constructor(view, { onHole, onPen, onColumn } = {}) {
    this.view = view;
    this.onColumn = onColumn;
    this.chart = new StepsChart({ onHole, onPen });
    this.scores = new StepsChart({ height: 150 });
    this.verdict = element("p.verdict", {});
    this.filling = element("p", { hidden: true });
    this.columns = element("div", { hidden: true });
    this.shares = element("section.grow", { hidden: true });
    this.stretches = element("section.grow", { hidden: true });
    this.scoreTitle = element("h3", {}, "Score by step");
    this.results = element("div", { hidden: true }, this.columns, this.chart.element, this.filling, this.scoreTitle,
      this.scores.element, element("div.columns", {}, this.shares, this.stretches));
    this.element = element("div.series-view", {}, this.verdict, this.results);
  }

  /**
   * Ask a model about a series, and show the answer.
   *
   * @param {Object} model as `GET /models/{id}` describes it
   * @param {import("./series-data.js").NumberSeries} series
   * @param {?string} column the column that is drawn; the one with the largest share if null
   */
  async show(model, series, column = null) {
    this.#controller?.abort();
    this.#holeController?.abort();
    const { signal } = (this.#controller = new AbortController());
    const inputs = [series.input()];
    const [detected, rebuilt] = await Promise.all([
      task("detect-anomalies", model.id, inputs, { n_top: 0, ...scoreFor(model, series) }, signal),
      model.tasks.includes("reconstruct") ? task("reconstruct", model.id, inputs, {}, signal) : null,
    ]);
    if (signal.aborted) return;
    const [output] = detected.answer.outputs;
    const steps = stepsOf(output, series);
    const chosen = series.names.includes(column) ? column : (steps.shares[0]?.label ?? series.names[0]);
    const reconstruction = rebuilt === null ? null : series.columnsOf(rebuilt.answer.outputs[0].reconstruction);
    this.#state = { model, series, output, ...steps, reconstruction, filled: null, hole: null, column: chosen };
    this.view.show(detected.request, detected.ms);
    this.#render();
  }

  /** Draw the series as it is at this moment, without asking anybody: the pen is down. */
  drawOnly(series) {
    if (!this.#state) return;
    this.#state = { ...this.#state, series, reconstruction: null, filled: null, hole: null, stretches: [] };
    this.#draw();
  }

  /**
   * Ask the model to fill a hole, and draw what it says beside what was there.
   *
   * @param {number} from the first step that is missing
   * @param {number} to the last one
   * @param {boolean} inAll whether it is torn into all columns, or into the one that is drawn
   */
  async tear(from, to, inAll) {
    if (!this.#state) return;
    this.#holeController?.abort();
    const { signal } = (this.#holeController = new AbortController());
    const { model, series, column } = this.#state;
    const isTorn = (name) => name === column || (inAll && isOfModel(series, name));
    const isMissing = (name, step) => step >= from && step <= to && isTorn(name);
    const { answer, request, ms } = await task("impute", model.id, [series.input(isMissing)], {}, signal);
    if (signal.aborted) return;
    this.#state = { ...this.#state, filled: series.columnsOf(answer.outputs[0].imputed), hole: { from, to } };
    this.view.show(request, ms);
    this.#draw();
    this.#describeFilling();
  }

  /** Close the hole. */
  mend() {
    this.#holeController?.abort();
    this.filling.hidden = true;
    if (!this.#state) return;
    this.#state = { ...this.#state, filled: null, hole: null };
    this.#draw();
  }

  /** Show nothing any more. */
  clear() {
    this.#controller?.abort();
    this.#state = null;
    this.results.hidden = true;
    this.verdict.textContent = "";
  }

  destroy() {
    this.#controller?.abort();
    this.#holeController?.abort();
    this.chart.destroy();
    this.scores.destroy();
  }

  #render() {
    const { series, output, column, shares } = this.#state;
    this.results.hidden = false;
    this.filling.hidden = true;
    const finding = output.is_anomaly ? "▲ Anomaly" : "Normal";
    const word = output.is_anomaly ? "above" : "below";
    this.verdict.textContent = `${finding}: the score ${written(output.score)} is ${word} the threshold ` +
      `${written(output.threshold)} (p-value ${written(output.p_value)}).`;
    this.verdict.classList.toggle("warning", output.is_anomaly);
    this.columns.hidden = series.names.length < 2;
    const choice = select("column", series.names, column, ({ target }) => this.#choose(target.value));
    this.columns.replaceChildren(labelled("Column", choice));
    this.shares.hidden = shares.length < 2;
    const rows = shares.map(({ label, share }) => ({ label, value: share }));
    this.shares.replaceChildren(element("h3", {}, "Which column"), bars(rows, percent));
    this.#draw();
    this.#drawScores();
    this.#listStretches();
  }

  #choose(column) {
    this.#state.column = column;
    this.onColumn?.(column);
    this.#draw();
    if (this.#state.hole) this.#describeFilling();
  }

  #draw() {
    const { series, column, reconstruction, filled, hole, stretches } = this.#state;
    const place = series.names.indexOf(column);
    const values = series.columns[place];
    const lines = [{ ...SERIES, label: series.names.length > 1 ? column : "series", values }];
    lines.push({ ...RECONSTRUCTION, values: reconstruction?.[place] ?? values.map(() => null) });
    const isNear = (step) => filled && step >= hole.from - 1 && step <= hole.to + 1;
    lines.push({ ...FILLED, values: values.map((_, step) => (isNear(step) ? filled[place][step] : null)) });
    const holeInWords = hole ? ` Steps ${hole.from} to ${hole.to} are filled in.` : "";
    const words = `${column} of ${series.length} steps. ${inWords(stretches)}${holeInWords}`;
    this.chart.show({ lines, stretches, hole, words });
  }

  #drawScores() {
    const { stepScores, stepThreshold, output } = this.#state;
    const most = Math.max(...stepScores);
    const lines = [{ ...SCORE, values: stepScores }, { ...THRESHOLD, values: stepScores.map(() => stepThreshold) }];
    this.scoreTitle.textContent = output.rows ? "Score by step" : "Error by step; the score is its mean";
    const words = `Scores by step: the largest is ${written(most)}, and the threshold ${written(stepThreshold)}.`;
    this.scores.show({ lines, words });
  }

  #listStretches() {
    const { series, stretches } = this.#state;
    this.stretches.hidden = !stretches.length;
    const times = series.times ?? null;
    const hasReasons = series.names.length > 1;
    const heads = ["steps", ...(times ? ["from", "to"] : []), "score", ...(hasReasons ? ["because of"] : [])];
    const rows = stretches.slice(0, MAX_STRETCHES).map(({ first, last, score, reasons }) => [spanInWords({ first, last }),
      ...(times ? [times[first], times[last]] : []), written(score), ...(hasReasons ? [reasons] : [])]);
    const nMore = stretches.length - MAX_STRETCHES;
    this.stretches.replaceChildren(element("h3", {}, "Where"), table("Steps that stand out", heads, rows),
      ...(nMore > 0 ? [element("p.quiet", {}, `and ${nMore} more`)] : []));
  }

  #describeFilling() {
    const { series, filled, hole, column } = this.#state;
    const place = series.names.indexOf(column);
    const steps = Array.from({ length: hole.to - hole.from + 1 }, (_, step) => hole.from + step);
    const gaps = steps.map((step) => Math.abs(filled[place][step] - series.columns[place][step]));
    const mean = sumOf(gaps) / gaps.length;
    this.filling.textContent = `Steps ${hole.from} to ${hole.to} of ${column} are filled in. On average, they differ ` +
      `from what was there by ${written(mean)}.`;
    this.filling.hidden = false;
  }
}

/**
 * Return the parameter that names the score, if it must not be the model's own.
 *
 * Models may have scores that compare a series with others of one length; their error takes all lengths.
 */
function scoreFor(model, series) {
  const isOfAnotherLength = model.item.modality === "series" && series.length !== model.item.shape[0];
  return isOfAnotherLength && model.scores.includes("mae") ? { score: "mae" } : {};
}

function isOfModel(series, name) {
  return series.all === undefined || series.all.includes(name);
}

/**
 * Return the score and the threshold of each step, the stretches that stand out, and the share of each column.
 *
 * Rows of a table have scores and stretches in the answer. Of a series of numbers, the score is the sum of what the
 * steps contribute: if it is an anomaly, the steps that contribute more than their share of the threshold stand out.
 */
function stepsOf(output, series) {
  const parts = series.columnsOf(output.contributions);
  const drawn = series.names.map((name, place) => [name, parts[place]]);
  const byColumn = output.rows ? Object.entries(output.contributions) : drawn;
  const whole = sumOf(byColumn.map(([, values]) => sumOf(values))) || 1;
  const shares = byColumn.map(([label, values]) => ({ label, share: sumOf(values) / whole }));
  shares.sort((first, second) => second.share - first.share);
  if (output.rows) {
    const stretches = output.anomalies.map((each) => ({ ...each, reasons: reasonsOf(each.contributions) }));
    return { stepScores: output.rows.scores, stepThreshold: output.threshold, stretches, shares };
  }
  const stepScores = parts[0].map((_, step) => sumOf(parts.map((part) => part[step])) * series.length);
  return { stepScores, stepThreshold: output.threshold, shares,
    stretches: output.is_anomaly ? runsOf(stepScores, output.threshold, parts, series.names) : [] };
}

/** Return the stretches of steps whose score exceeds the threshold. */
function runsOf(scores, threshold, parts, names) {
  const runs = [];
  scores.forEach((score, step) => {
    if (score <= threshold) return;
    const last = runs.at(-1);
    if (last?.last === step - 1) last.last = step;
    else runs.push({ first: step, last: step });
  });
  for (const run of runs) {
    run.score = Math.max(...scores.slice(run.first, run.last + 1));
    const sums = parts.map((part) => sumOf(part.slice(run.first, run.last + 1)));
    run.reasons = reasonsOf(Object.fromEntries(names.map((name, place) => [name, sums[place] / (sumOf(sums) || 1)])));
  }
  return runs;
}

/** Return the columns that cause most of a score, in words. */
export function reasonsOf(shares, n = 3) {
  const largest = Object.entries(shares).sort((first, second) => second[1] - first[1]).slice(0, n);
  return largest.filter(([, share]) => share >= 0.05).map(([name, share]) => `${name} ${percent(share)}`).join(", ");
}

function sumOf(values) {
  return values.reduce((sum, value) => sum + value, 0);
}

function spanInWords({ first, last }) {
  return first === last ? String(first) : `${first} to ${last}`;
}

function inWords(stretches) {
  if (!stretches.length) return "No steps stand out.";
  return `These steps stand out: ${stretches.slice(0, 5).map(spanInWords).join(", ")}.`;
}
