/**
 * Series: paste, drop or draw one, see where it is unusual, and tear a hole that a model fills.
 */
import { task } from "../api.js";
import { writeTable } from "../csv.js";
import { button, element, labelled, select } from "../dom.js";
import { modelsFor } from "../models.js";
import { RequestView } from "../request-view.js";
import { NumberSeries, seriesFrom } from "../series-data.js";
import { SeriesView } from "../series-view.js";
import { writeState } from "../state.js";
import { EXAMPLES } from "./series-examples.js";

const FIRST_MODEL = "lstm-ae-ecg";
const MODALITIES = ["series", "table_series"];
const MAX_SHARED_CHARACTERS = 1500;
const WAIT_MS = 400;

/** The panel: what is chosen, and the requests that follow from it. */
class SeriesPanel {
  #found = [];
  #line = 0;
  #timer = null;
  #number = 0;
  #drawing = null;

  constructor(models, values) {
    this.models = models;
    this.values = values;
    const named = (name) => models.find(({ id }) => id === name);
    this.model = named(values.model) ?? named(FIRST_MODEL) ?? models[0];
    this.requests = new RequestView();
    this.view = new SeriesView(this.requests, {
      onHole: (from, to) => this.#setHole(from, to),
      onPen: (strokes, isDone) => this.#pen(strokes, isDone),
      onColumn: (column) => {
        writeState({ column });
        this.values.column = column;
      },
    });
  }

  get series() {
    return this.#found[this.#line]?.series ?? null;
  }

  get isOfNumbers() {
    return this.model.item.modality === "series";
  }

  build(root) {
    const ids = this.models.map(({ id }) => id);
    const chosen = select("model", ids, this.model.id, ({ target }) => this.#chooseModel(target.value));
    this.examples = element("div.buttons", { role: "group", "aria-label": "Examples" });
    this.text = element("textarea", { id: "series-text", spellcheck: false, rows: 4, oninput: () => this.#edited() });
    const file = element("input", { type: "file", accept: ".csv,.tsv,.txt,text/*", "aria-label": "Open a file",
      onchange: () => file.files[0] && this.#open(file.files[0]) });
    this.lines = element("div", { hidden: true });
    const dropping = { ondragover: (event) => event.preventDefault(), ondrop: (event) => this.#drop(event) };
    const label = "Numbers, or rows of a table whose first line names the columns";
    const input = element("div.drop", dropping, element("label", { for: "series-text" }, label), this.text,
      element("div.controls", {}, file, this.lines));
    root.append(
      element("p", {}, "A model of series knows what normal ones look like. What it cannot reconstruct is unusual."),
      element("div.controls", {}, labelled("Model", chosen), this.examples),
      input, this.#tools(), this.view.element, this.requests.element);
    this.#showExamples();
    this.#start();
  }

  leave() {
    clearTimeout(this.#timer);
    this.#drawing?.abort();
    this.view.destroy();
  }

  #tools() {
    const { from, to, all } = this.values;
    const step = (name, value) => element("input", { type: "number", name, min: 0, step: 1, value: value ?? "" });
    this.from = step("from", from);
    this.to = step("to", to);
    const isAll = all === "true";
    this.inAll = element("input", { type: "checkbox", name: "all", checked: isAll, onchange: () => this.#tear() });
    const toggle = (mode) => this.#setMode(this.mode === mode ? null : mode);
    this.hand = button("Drag to tear", () => toggle("hole"), { title: "Drag over the chart to tear a hole" });
    this.penButton = button("Draw", () => toggle("pen"), { title: "Draw the series on the chart" });
    this.flat = button("Flat line", () => this.#drawAnew());
    this.allField = labelled("in all columns", this.inAll);
    return element("div.controls", { role: "group", "aria-label": "Hole and pen" }, this.penButton, this.flat,
      this.hand, labelled("Hole from step", this.from), labelled("to step", this.to), this.allField,
      button("Tear", () => this.#tear()), button("Mend", () => this.#mend()));
  }

  #showExamples() {
    const fits = this.isOfNumbers && (this.model.item.shape[1] ?? 1) === 1;
    const made = fits
      ? Object.keys(EXAMPLES).map((name) => button(name, () => this.#showExample(name)))
      : this.model.tasks.includes("sample") ? [button("Let the model draw one", () => this.#drawSample())] : [];
    this.examples.replaceChildren(...made);
    for (const control of [this.penButton, this.flat]) control.hidden = !fits;
    this.allField.hidden = fits;
    this.#setMode("hole");
  }

  #start() {
    const { series, example } = this.values;
    if (series) this.#setText(series);
    else if (Object.hasOwn(EXAMPLES, example ?? "")) this.#showExample(example, true);
    else if (this.examples.firstChild) this.examples.firstChild.click();
  }

  #chooseModel(id) {
    const before = this.model.item.modality;
    this.#drawing?.abort();
    this.model = this.models.find((model) => model.id === id);
    writeState({ model: id, column: null });
    this.values.column = undefined;
    this.#showExamples();
    if (this.model.item.modality === before && this.text.value) {
      this.#read();
      return;
    }
    this.view.clear();
    this.#found = [];
    this.text.value = "";
    this.examples.firstChild?.click();
  }

  #showExample(name, keepsHole = false) {
    writeState({ example: name, series: null, line: null });
    if (!keepsHole) this.#forgetHole();
    this.text.value = new NumberSeries([EXAMPLES[name]]).text();
    this.#read();
  }

  /**
   * Let the model sample a series of its own kind, which is then a table like one that was pasted. Another series that
   * is given before the model has answered stays.
   */
  async #drawSample() {
    this.#drawing?.abort();
    const { signal } = (this.#drawing = new AbortController());
    try {
      const { answer, request, ms } = await task("sample", this.model.id, undefined, { seed: 7 }, signal);
      signal.throwIfAborted();
      this.requests.show(request, ms);
      const { sample } = answer.outputs[0];
      const names = Object.keys(sample);
      const shortened = (value) => (typeof value === "number" ? Number(value.toPrecision(5)) : value);
      const rows = sample[names[0]].map((_, step) => names.map((name) => shortened(sample[name][step])));
      this.#setText(writeTable(names, rows));
    } catch (error) {
      this.requests.fail(error);
    }
  }

  #setText(text) {
    this.text.value = text;
    this.#edited(0);
  }

  #edited(wait = WAIT_MS) {
    this.#drawing?.abort();
    const text = this.text.value.trim();
    writeState({ example: null, series: text.length <= MAX_SHARED_CHARACTERS ? text : null, line: null });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#read(), wait);
  }

  async #open(file) {
    this.#forgetHole();
    this.#setText(await file.text());
  }

  #drop(event) {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) this.#open(file);
  }

  #read() {
    try {
      this.#found = seriesFrom(this.text.value, this.model.item);
    } catch (error) {
      this.#found = [];
      this.view.clear();
      this.requests.fail(error);
      return;
    }
    const labels = this.#found.map(({ label }, place) => [String(place), label]);
    this.#line = Math.min(Number(this.values.line ?? 0) || 0, labels.length - 1);
    this.values.line = undefined;
    this.lines.hidden = labels.length < 2;
    this.lines.replaceChildren(labelled("Series", select("line", labels, String(this.#line), ({ target }) => {
      this.#line = Number(target.value);
      writeState({ line: this.#line || null });
      this.#ask();
    })));
    this.#ask();
  }

  async #ask() {
    const number = ++this.#number;
    this.requests.wait("Asking the model …");
    for (const field of [this.from, this.to]) field.max = this.series.length - 1;
    try {
      await this.view.show(this.model, this.series, this.values.column ?? null);
      if (number !== this.#number) return;
      if (this.mode === "pen") this.view.chart.setMode("pen");
      if (this.from.value !== "" && this.to.value !== "") await this.#tear();
    } catch (error) {
      if (number !== this.#number) return;
      if (error.name !== "AbortError") this.view.clear();
      this.requests.fail(error);
    }
  }

  #setMode(mode) {
    this.mode = mode;
    this.hand.setAttribute("aria-pressed", String(mode === "hole"));
    this.penButton.setAttribute("aria-pressed", String(mode === "pen"));
    this.view.chart.setMode(mode);
  }

  #setHole(from, to) {
    this.from.value = from;
    this.to.value = to;
    this.#tear();
  }

  async #tear() {
    const [from, to] = [this.from, this.to].map(({ value }) => Number(value)).sort((first, second) => first - second);
    if (this.from.value === "" || this.to.value === "" || !this.series || to >= this.series.length || from < 0) return;
    writeState({ from, to, all: this.inAll.checked || null });
    try {
      await this.view.tear(from, to, this.inAll.checked);
    } catch (error) {
      this.requests.fail(error);
    }
  }

  #mend() {
    this.#forgetHole();
    this.view.mend();
  }

  #forgetHole() {
    this.from.value = this.to.value = "";
    writeState({ from: null, to: null });
  }

  #drawAnew() {
    this.#forgetHole();
    this.#setMode("pen");
    this.#setText(new NumberSeries([Array(this.model.item.shape[0]).fill(0)]).text());
  }

  #pen(strokes, isDone) {
    if (!this.series) return;
    const [column] = this.series.columns;
    for (const [step, value] of strokes) column[step] = Math.round(1000 * value) / 1000;
    this.view.drawOnly(this.series);
    if (!isDone) return;
    this.#forgetHole();
    this.text.value = this.series.text();
    this.#edited(0);
  }
}

/** Show the panel; see `PANELS` in main.js. */
export async function show(root, values) {
  const isOfSeries = ({ item, tasks }) => MODALITIES.includes(item?.modality) && tasks.includes("impute");
  const all = await modelsFor("detect_anomalies", isOfSeries);
  if (!all.length) {
    const advice = "The panel “Your data” makes one of a file.";
    root.append(element("p.notice", {}, `No model of series is loaded. ${advice}`));
    return null;
  }
  const panel = new SeriesPanel(all, values);
  panel.build(root);
  return () => panel.leave();
}
