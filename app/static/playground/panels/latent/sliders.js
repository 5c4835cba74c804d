/**
 * A slider for each element of a latent, and the digit that is decoded.
 */
import { task } from "../../api.js";
import { drawPicture, pictureCanvas } from "../../charts.js";
import { button, element, labelled, oncePerFrame, select, slider } from "../../dom.js";
import { latest } from "../../latest.js";
import { DIGITS } from "../../models.js";
import { RequestView } from "../../request-view.js";
import { writeState } from "../../state.js";

const GROUP = 10;
const N_DEVIATIONS = 4;
const LEAST_SHARE = 0.25;
const ORDERS = [["deviation", "those that vary most first"], ["number", "by number"]];

/** The sliders of a model's latents. `element` goes into the page. */
export class LatentSliders {
  /**
   * @param {Object} model as `GET /models` describes it
   * @param {import("./latent-map.js").LatentMap} map
   * @param {() => [number, number]} cursor returns the place of the map's cursor
   * @param {Object<string, string>} values of the URL: `start`, "mean", a digit, or "x,y" of a place of the map;
   *     `changed`, as "number:value,…"; and `order`
   */
  constructor(model, map, cursor, { start = "mean", changed = "", order = "deviation" }) {
    Object.assign(this, { model, map, cursor });
    this.mean = map.mean();
    this.deviations = map.deviations();
    this.view = new RequestView("Request of the sliders");
    this.picture = pictureCanvas("The digit of the sliders", 168);
    this.groups = element("div.grow", {});
    this.from = select("start", [["mean", "the mean of the map"], ["cursor", "the map's cursor"],
      ...DIGITS.map((digit) => [digit, `a typical ${digit}`])], "", () => this.begin(this.from.value));
    this.order = select("order", ORDERS, order, () => {
      writeState({ order: this.order.value });
      this.#build();
    });
    this.decode = latest(() => this.#decode(), (error) => this.view.fail(error));
    this.update = oncePerFrame(() => this.decode());
    this.element = element("div", {},
      element("div.controls", {}, labelled("Start from", this.from), labelled("Order", this.order),
        button("Reset", () => this.begin(this.from.value))),
      element("div.columns", {}, element("div.beside", {}, this.picture), this.groups), this.view.element);
    this.begin(start, changed);
  }

  /** Set the sliders to where they start from, but for those in `changed`. */
  begin(start, changed = "") {
    const named = start === "cursor" ? this.cursor() : start.split(",").map(Number);
    const place = named.length === 2 && named.every(Number.isFinite) ? named : null;
    this.start = place ? place.join(",") : DIGITS.includes(start) ? start : "mean";
    this.from.value = place ? "cursor" : this.start;
    const latent = place ? this.map.at(...place).latent
      : this.start === "mean" ? this.mean : this.map.typical(this.start);
    this.latent = latent.map((number) => Number(number.toFixed(2)));
    this.changed = new Map();
    for (const [number, value] of changed.split(",").map((each) => each.split(":").map(Number))) {
      if (number in this.latent && Number.isFinite(value)) this.#set(number, value);
    }
    this.#write();
    this.#build();
    this.update();
  }

  #set(number, value) {
    this.latent[number] = value;
    this.changed.set(number, value);
  }

  #write() {
    const changed = [...this.changed].map(([number, value]) => `${number}:${value}`).join(",");
    writeState({ start: this.start === "mean" ? null : this.start, changed: changed || null });
  }

  /** Build the sliders anew, in groups of which the first is open. */
  #build() {
    const numbers = [...this.mean.keys()];
    if (this.order.value === "deviation") numbers.sort((a, b) => this.deviations[b] - this.deviations[a]);
    const groups = [];
    for (let first = 0; first < numbers.length; first += GROUP) {
      const members = numbers.slice(first, first + GROUP);
      groups.push(element("details", { open: first === 0 },
        element("summary", {}, `Sliders ${first + 1} to ${first + members.length} of ${numbers.length}`),
        element("div.sliders", {}, ...members.map((number) => this.#slider(number)))));
    }
    this.groups.replaceChildren(...groups);
  }

  #slider(number) {
    const label = this.#classOf(number);
    const reach = N_DEVIATIONS * Math.max(this.deviations[number], LEAST_SHARE * Math.max(...this.deviations));
    const ends = [this.mean[number] - reach, this.mean[number] + reach].map((end) => Number(end.toFixed(2)));
    const [min, max] = label ? [0, 1] : ends;
    const input = slider(`latent-${number}`, { min, max, step: 0.01, value: this.latent[number], oninput: () => {
      this.#set(number, Number(input.value));
      this.#write();
      this.update();
    } });
    return labelled(label ? `class ${label}` : `z ${number + 1}`, input, (value) => Number(value).toFixed(2));
  }

  /** Return the class of an element: models that draw labels from a prior have an element for each, after the others. */
  #classOf(number) {
    const labels = this.model.samplers?.includes("prior") ? this.model.labels : [];
    return labels[number - (this.map.width - labels.length)];
  }

  async #decode() {
    const { answer, request, ms } = await task("decode", this.model.id, [[...this.latent]]);
    drawPicture(this.picture, answer.outputs[0].reconstruction);
    this.view.show(request, ms);
  }
}
