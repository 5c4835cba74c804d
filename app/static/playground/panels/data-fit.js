/**
 * The first part of the panel: a file, what it is, and a model that is fitted to it.
 */
import { ask, askByLine, Problem } from "../api.js";
import { CardView } from "../card-view.js";
import { button, element, labelled, select, table } from "../dom.js";
import { models } from "../models.js";
import { RequestView } from "../request-view.js";
import { writeState } from "../state.js";
import { written } from "../steps-chart.js";
import { ColumnTable } from "./data-columns.js";

const NAME = "[A-Za-z0-9_\\-][A-Za-z0-9_.\\-]{0,99}";

/** A form of the options of a fit, its progress and its result; `element` goes into the page. */
export class FitForm {
  #file = null;
  #looking = null;
  #isStale = false;
  #isFitting = false;
  #controller = null;

  /**
   * @param {Object<string, string>} values the state of the URL
   * @param {number} longest most minutes of a fit
   * @param {(model: string, file: DataFile) => void} onFitted called once the model serves
   */
  constructor(values, longest, onFitted) {
    Object.assign(this, { values, longest, onFitted });
    this.requests = new RequestView();
    this.card = new CardView();
    this.columns = new ColumnTable(() => this.#changed());
    this.found = element("p", { role: "status" });
    this.options = element("form.options", { hidden: true, onsubmit: (event) => this.#submit(event) });
    this.bar = element("progress", { max: 1, value: 0, "aria-label": "Progress of the fit" });
    this.stage = element("p.status", { role: "status" });
    this.stop = button("Stop", () => this.#controller?.abort());
    this.progress = element("div.controls", { hidden: true }, this.bar, this.stage, this.stop);
    this.result = element("section", { hidden: true });
    this.element = element("div", {}, this.found, this.columns.element, this.options, this.progress, this.result,
      this.card.element, this.requests.element);
  }

  /** Show a file, and ask the server what it holds. @param {DataFile} file */
  open(file) {
    this.#controller?.abort();
    this.#file = file;
    this.result.hidden = true;
    this.card.destroy();
    this.#buildOptions();
    if (file.isTable) this.columns.show(file.table.names, file.table.rows, this.values.ignore?.split(",") ?? []);
    else this.columns.element.hidden = true;
    this.#look();
  }

  destroy() {
    this.#controller?.abort();
    this.card.destroy();
  }

  #buildOptions() {
    const { values } = this;
    const names = this.#file.isTable ? this.#file.table.names : [];
    const choice = (name, first, others = names) =>
      select(name, [["", first], ...others], values[name] ?? "", () => this.#changed());
    const number = (name, value, least, step) =>
      element("input", { type: "number", name, min: least, step, value: values[name] ?? value, required: true });
    this.inputs = {
      name: element("input",
        { name: "name", value: values.name ?? this.#file.modelName, pattern: NAME, required: true }),
      kind: choice("kind", "as found", [["table", "a table without order"], ["series", "a series"]]),
      time: choice("time", "as found"),
      key: choice("key", "none"),
      label: choice("label", "none"),
      minutes: number("minutes", Math.min(1, this.longest), 0.01, "any"),
      false_alarms: number("false_alarms", 0.01, 0.0001, "any"),
    };
    this.inputs.minutes.max = this.longest;
    this.inputs.false_alarms.max = 0.5;
    this.replaces = element("input", { type: "checkbox", name: "replace" });
    const { name, kind, time, key, label, minutes, false_alarms } = this.inputs;
    this.submitButton = element("button.primary", { type: "submit" }, "Fit a model");
    this.options.replaceChildren(
      element("div.controls", {}, labelled("The rows are", kind), labelled("Times", time),
        labelled("Series apart by", key), labelled("Known anomalies", label)),
      element("div.controls", {}, labelled("Name of the model", name), labelled("Minutes", minutes),
        labelled("Share of false alarms", false_alarms), labelled("Replace a model of this name", this.replaces),
        this.submitButton));
    this.options.hidden = false;
  }

  #changed() {
    const { kind, time, key, label } = this.inputs;
    const isTable = kind.value === "table";
    for (const order of [time, key]) {
      order.disabled = isTable;
      if (isTable) order.value = "";
    }
    writeState({ kind: kind.value || null, time: time.value || null, key: key.value || null, label: label.value || null,
      ignore: this.columns.ignored.join(",") || null });
    this.#look();
  }

  /** Return the request of a fit with the options as they are. */
  #request(more) {
    const { name, kind, time, key, label, minutes, false_alarms } = this.inputs;
    const given = { name: name.value, kind: kind.value, time: time.value, key: key.value, label: label.value,
      ignore: this.columns.ignored.join(","), minutes: minutes.value, false_alarms: false_alarms.value, ...more };
    const query = new URLSearchParams(Object.entries(given).filter(([, value]) => value !== ""));
    return { path: `/fit?${query}`, method: "POST", body: this.#file.file, type: this.#file.type, file: this.#file.name,
      accept: "application/x-ndjson" };
  }

  /** Ask the server what the file holds. It looks at one file at a time, so that of several changes the last counts. */
  async #look() {
    this.#isStale = true;
    if (this.#looking || this.#isFitting) return;
    this.#looking = this.#lookUntilCurrent();
    await this.#looking;
    this.#looking = null;
  }

  async #lookUntilCurrent() {
    while (this.#isStale) {
      this.#isStale = false;
      this.columns.describe(null);
      this.found.textContent = "Finding out what the file holds …";
      try {
        await this.#lookOnce();
      } catch (error) {
        this.found.textContent = "";
        this.columns.refuse();
        this.requests.fail(error);
      }
    }
  }

  async #lookOnce() {
    const file = this.#file;
    const request = this.#request({ name: "look", dry_run: "true" });
    const startedAt = performance.now();
    for await (const line of askByLine(request)) {
      if (line.error) throw new Problem(line.error);
      if (file !== this.#file || !line.found) continue;
      this.requests.show(request, performance.now() - startedAt);
      const { kind, rows, window, time, columns } = line.found;
      const order = time ? `, in the order of ${time}` : "";
      this.found.textContent = kind === "series"
        ? `A series of ${rows} rows${order}, which a model sees in windows of ${window}: ${columns.length} columns.`
        : `A table of ${rows} rows without order, of which a model sees ${columns.length} columns.`;
      this.columns.describe(line.found);
    }
  }

  async #submit(event) {
    event.preventDefault();
    const name = this.inputs.name.value;
    writeState({ name, minutes: this.inputs.minutes.value, false_alarms: this.inputs.false_alarms.value });
    this.submitButton.disabled = this.#isFitting = true;
    this.result.hidden = true;
    this.card.destroy();
    const { signal } = (this.#controller = new AbortController());
    try {
      this.#showStage("waiting", null);
      this.progress.hidden = false;
      await this.#looking;
      await this.#fit({ ...this.#request({ replace: this.replaces.checked ? "true" : "" }), signal });
      this.#showStage("loading the model", null);
      await ask({ path: `/models/${encodeURIComponent(name)}/load`, method: "POST", signal });
      await models(true);
      await this.card.show(name);
      this.onFitted(name, this.#file);
    } catch (error) {
      if (error.name === "AbortError") this.requests.wait("The fit was stopped, and nothing of it is left.");
      else this.requests.fail(error);
    } finally {
      this.submitButton.disabled = this.#isFitting = false;
      this.progress.hidden = true;
    }
  }

  async #fit(request) {
    const startedAt = performance.now();
    this.#showStage("starting", null);
    const notes = [];
    for await (const line of askByLine(request)) {
      if (line.error) throw new Problem(line.error);
      if (line.note) notes.push(line.note);
      if (line.progress) this.#showStage(line.progress.stage, line.progress);
      if (line.result) {
        this.requests.show(request, performance.now() - startedAt);
        this.#showResult(line.result, notes);
      }
    }
  }

  #showStage(stage, progress) {
    if (progress === null) this.bar.removeAttribute("value");
    else this.bar.value = progress.done;
    const error = progress?.error ? `, error ${written(progress.error)} after ${progress.steps} steps` : "";
    const done = progress === null ? " …" : `: ${Math.round(100 * progress.done)}%`;
    this.stage.textContent = `${stage}${done}${error}`;
  }

  #showResult(result, notes) {
    const { rows, figures } = result;
    const facts = [
      ["trained on", `${rows.training} ${result.kind === "series" ? "windows" : "rows"}, in ${result.steps} steps`],
      ["left out as suspicious", rows.suspects],
      ["time", `${written(result.seconds)} s`],
      ["threshold", written(result.threshold)],
      ["share of false alarms", `at most ${written(result.false_alarm_rate)}`],
      ...(result.found_share === null ? []
        : [["known anomalies", `${rows.anomalies}, of which ${(100 * result.found_share).toFixed(0)}% are found`]]),
      ...Object.entries(figures ?? {}).map(([name, each]) => [`AUROC of ${name}`, each.auroc.toFixed(4)]),
    ];
    this.result.replaceChildren(element("h2", {}, "The model"), table("Result of the fit", [], facts),
      ...notes.map((note) => element("p.quiet", {}, note)));
    this.result.hidden = false;
  }
}
