/**
 * Your data: drop a file of rows, fit a model to it, and see which rows or steps are unusual, and why.
 */
import { ask } from "../api.js";
import { button, element, labelled, select } from "../dom.js";
import { modelsFor } from "../models.js";
import { writeState } from "../state.js";
import { DataFile } from "./data-file.js";
import { FitForm } from "./data-fit.js";
import { Scores } from "./data-scores.js";

const MODALITIES = ["table", "table_series"];
const ACCEPTED = ".csv,.tsv,.txt,.ndjson,.jsonl,.parquet";

/** Return a field to choose a file with, or to drop one on. */
function fileField(label, onfile) {
  const onchange = () => input.files[0] && onfile(input.files[0]);
  const input = element("input", { type: "file", accept: ACCEPTED, onchange });
  const field = labelled(label, input);
  field.classList.add("drop-file");
  field.append(element("span.quiet", {}, "or drop it here"));
  field.addEventListener("dragover", (event) => {
    event.preventDefault();
    field.classList.add("over");
  });
  field.addEventListener("dragleave", () => field.classList.remove("over"));
  field.addEventListener("drop", (event) => {
    event.preventDefault();
    field.classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file) onfile(file);
  });
  return field;
}

/** The choice of a model and of the rows that it scores. */
class ScorePart {
  #models = [];
  #fitted = null;

  constructor(values) {
    this.chosen = values.model ?? null;
    this.scores = new Scores();
    this.choice = element("div", {});
    this.again = button("Score the file that it was fitted to", () => this.#score(this.#fitted), { hidden: true });
    this.controls = element("div", {}, element("div.controls", {}, this.choice, this.again),
      fileField("Rows to score", (file) => this.#open(file)));
    this.none = element("p.notice", {}, "There is no model of rows yet.");
    this.element = element("section", { "aria-label": "Anomalies" }, element("h2", {}, "Anomalies"), this.none,
      this.controls, this.scores.element);
  }

  /** Offer the models of rows, of which one may just have been fitted to a file. */
  async offer(fitted = null, file = null) {
    this.#models = await modelsFor("detect_anomalies", ({ item }) => MODALITIES.includes(item?.modality));
    const ids = this.#models.map(({ id }) => id);
    this.chosen = fitted ?? (ids.includes(this.chosen) ? this.chosen : (ids[0] ?? null));
    this.#fitted = file;
    this.none.hidden = ids.length > 0;
    this.controls.hidden = ids.length === 0;
    this.again.hidden = file === null;
    const choice = select("model", ids, this.chosen, ({ target }) => this.#choose(target.value));
    this.choice.replaceChildren(labelled("Model", choice));
    if (fitted) {
      writeState({ model: fitted });
      await this.#score(file);
    }
  }

  #choose(id) {
    this.chosen = id;
    writeState({ model: id });
  }

  async #open(file) {
    try {
      await this.#score(await DataFile.read(file));
    } catch (error) {
      this.scores.requests.fail(error);
    }
  }

  async #score(file) {
    await this.scores.score(this.#models.find(({ id }) => id === this.chosen), file);
  }
}

/** Show the panel; see `PANELS` in main.js. */
export async function show(root, values) {
  const { limits } = (await ask({ path: "/info" })).answer;
  const part = new ScorePart(values);
  root.append(element("p", {}, "Drop a table or a series, and see which of its rows are unusual, and because of which ",
    "columns. Nothing leaves the machine of the server."));
  let form = null;
  if (limits.fit_minutes > 0) {
    form = new FitForm(values, limits.fit_minutes, (model, file) => part.offer(model, file));
    const open = async (file) => {
      try {
        form.open(await DataFile.read(file));
      } catch (error) {
        form.requests.fail(error);
      }
    };
    root.append(element("section", { "aria-label": "Fit a model" }, element("h2", {}, "Fit a model"),
      fileField("File of rows, whose first line names the columns", open), form.element));
  } else {
    const advice = "The command “manifold fit” does, where the server runs.";
    root.append(element("p.notice", {}, `This server fits no models. ${advice}`));
  }
  root.append(part.element);
  await part.offer();
  return () => {
    form?.destroy();
    part.scores.destroy();
  };
}
