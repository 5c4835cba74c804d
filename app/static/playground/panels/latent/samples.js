/**
 * Samples of a model with a seed.
 */
import { task } from "../../api.js";
import { drawPicture, pictureCanvas } from "../../charts.js";
import { button, element, labelled, oncePerFrame, select, slider } from "../../dom.js";
import { latest } from "../../latest.js";
import { RequestView } from "../../request-view.js";
import { writeState } from "../../state.js";

/** Number of bits of a seed that is drawn here: short enough to be read out. */
const SEED_BITS = 20;

/** Return an input for a seed, and a button that draws another one. */
export function seedField(value, onchange) {
  const limits = { min: 0, max: Number.MAX_SAFE_INTEGER, step: 1 };
  const input = element("input.seed", { type: "number", name: "seed", ...limits, value,
    oninput: () => input.value !== "" && input.checkValidity() && onchange() });
  const another = button("Another", () => {
    input.value = Math.floor(Math.random() * 2 ** SEED_BITS);
    onchange();
  });
  const field = labelled("Seed", input);
  field.append(another);
  return { input, field };
}

/** The samples of a model. `element` goes into the page. */
export class Samples {
  /** `values` of the URL: `n`, `seed`, `temperature`, `label` and `sampler`. */
  constructor(model, { n = 12, seed = 1, temperature = 1, label = "", sampler = "" }) {
    this.model = model;
    this.view = new RequestView("Request of the samples");
    this.pictures = element("div.strip", { role: "group", "aria-label": "Samples" });
    const change = () => this.#change();
    this.n = slider("n", { min: 1, max: 40, step: 1, value: n, oninput: change });
    this.temperature = slider("temperature", { min: 0.1, max: 2, step: 0.1, value: temperature, oninput: change });
    this.seed = seedField(seed, change);
    const samplers = model.samplers ?? [];
    this.sampler = select("sampler", samplers, samplers.includes(sampler) ? sampler : samplers[0], change);
    this.label = select("label", [["", "any"], ...(model.labels ?? [])], label, change);
    this.labelField = labelled("Class", this.label);
    this.ask = latest(() => this.#ask(), (error) => this.view.fail(error));
    this.update = oncePerFrame(() => this.ask());
    this.element = element("div", {},
      element("div.controls", {}, labelled("Number", this.n, (value) => value), this.seed.field,
        labelled("Temperature", this.temperature, (value) => Number(value).toFixed(1)),
        samplers.length > 1 ? labelled("Sampler", this.sampler) : null, this.labelField),
      this.pictures, this.view.element);
    this.#showLabels();
    this.update();
  }

  #change() {
    this.#showLabels();
    writeState({ n: this.n.value, seed: this.seed.input.value, temperature: this.temperature.value,
      label: this.#chosenLabel() ?? null, sampler: this.sampler.value || null });
    this.update();
  }

  /** Only draws from the prior obey a class, and only where the model has classes. */
  #showLabels() {
    this.labelField.hidden = !(this.model.labels?.length && this.sampler.value === "prior");
  }

  #chosenLabel() {
    return this.labelField.hidden || !this.label.value ? undefined : this.label.value;
  }

  async #ask() {
    const parameters = { n: Number(this.n.value), seed: Number(this.seed.input.value),
      temperature: Number(this.temperature.value), sampler: this.sampler.value || undefined,
      label: this.#chosenLabel() };
    const { answer, request, ms } = await task("sample", this.model.id, undefined, parameters);
    this.view.show(request, ms);
    this.pictures.replaceChildren(...answer.outputs.map(({ sample }, number) => {
      const canvas = pictureCanvas(`Sample ${number + 1}`, 84);
      drawPicture(canvas, sample);
      return canvas;
    }));
  }
}
