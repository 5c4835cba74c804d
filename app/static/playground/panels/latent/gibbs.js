/**
 * Gibbs sampling, step by step: each picture is the state of a chain.
 */
import { task } from "../../api.js";
import { drawPicture, pictureCanvas } from "../../charts.js";
import { element, labelled, select, slider } from "../../dom.js";
import { Player } from "../../player.js";
import { RequestView } from "../../request-view.js";
import { writeState } from "../../state.js";
import { seedField } from "./samples.js";

const N_CHAINS = 8;
const N_STEPS = 300;
const STRIDES = ["1", "5", "25"];

/** The chains of a model with the sampler `gibbs`. `element` goes into the page. */
export class Gibbs {
  /** `values` of the URL: `gibbs` is the number of steps; `gibbs_seed`, `gibbs_temperature` and `stride`. */
  constructor(model, { gibbs = 0, gibbs_seed: seed = 1, gibbs_temperature: temperature = 1, stride = STRIDES[0] }) {
    this.model = model;
    this.view = new RequestView("Request of Gibbs sampling");
    this.pictures = Array.from({ length: N_CHAINS }, (_, chain) => pictureCanvas(`State of chain ${chain + 1}`, 84));
    const change = () => {
      writeState({ gibbs_seed: this.seed.input.value, gibbs_temperature: this.temperature.value,
        stride: this.stride.value });
      this.player.stride = Number(this.stride.value);
      this.player.go(this.player.frame);
    };
    this.seed = seedField(seed, change);
    this.temperature = slider("gibbs-temperature", { min: 0.1, max: 2, step: 0.1, value: temperature,
      oninput: change });
    this.stride = select("stride", STRIDES, stride, change);
    this.player = new Player("Steps", { last: N_STEPS, show: (steps) => this.#show(steps),
      fail: (error) => this.view.fail(error) });
    this.player.stride = Number(this.stride.value);
    this.element = element("div", {},
      element("p", {}, `Each of the ${N_CHAINS} chains begins with a state that was kept from the training. A step `
        + "draws the hidden units of the network's top machine, and from them its visible units; the lower machines and the "
        + "autoencoder make a picture of these."),
      this.player.element,
      element("div.controls", {}, labelled("Steps at a time", this.stride), this.seed.field,
        labelled("Temperature", this.temperature, (value) => Number(value).toFixed(1))),
      element("div.strip", { role: "group", "aria-label": "Chains" }, ...this.pictures), this.view.element);
    this.player.go(Number(gibbs));
    this.leave = () => this.player.stop();
  }

  /** With the same seed, fewer steps are an earlier state of the same chain: each frame is asked for by itself. */
  async #show(steps) {
    const parameters = { n: N_CHAINS, sampler: "gibbs", seed: Number(this.seed.input.value),
      temperature: Number(this.temperature.value), gibbs_steps: steps };
    const { answer, request, ms } = await task("sample", this.model.id, undefined, parameters);
    writeState({ gibbs: steps || null });
    answer.outputs.forEach(({ sample }, chain) => drawPicture(this.pictures[chain], sample));
    this.view.show(request, ms);
  }
}
