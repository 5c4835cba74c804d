/**
 * Goes through numbered frames, step by step or by itself.
 */
import { button, element, labelled, slider } from "./dom.js";
import { latest } from "./latest.js";

const PAUSE_MS = 120;
const CALM_PAUSE_MS = 1000;
const lessMotion = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * Buttons and a slider that choose a frame; `element` goes into the page.
 *
 * It plays only when it is told to. Where the system asks for less motion, it shows a frame a second.
 */
export class Player {
  #playing = null;
  #direction = 1;
  #show;

  /**
   * @param {string} label what the frames are numbered by
   * @param {Object} settings
   * @param {number} settings.last the frames are numbered from 0 to this
   * @param {(frame: number) => Promise<void>} settings.show shows a frame
   * @param {(error: Error) => void} settings.fail is called if a frame cannot be shown
   * @param {boolean} [settings.returns] whether to play back and forth, and not only to the end
   */
  constructor(label, { last, show, fail, returns = false }) {
    this.returns = returns;
    this.stride = 1;
    this.#show = latest(show, (error) => {
      this.stop();
      fail(error);
    });
    this.input = slider("frame", { min: 0, max: last, step: 1, value: 0, oninput: () => this.#choose(this.frame) });
    this.output = element("output", {});
    this.playButton = button("Play", () => (this.#playing ? this.stop() : this.play()));
    const buttons = element("div.buttons", { role: "group", "aria-label": label },
      button("Back", () => this.#choose(this.frame - this.stride)), this.playButton,
      button("Step", () => this.#choose(this.frame + this.stride)));
    const field = labelled(label, this.input);
    field.append(this.output);
    const calm = element("span.quiet", {}, "Your system asks for less motion: it plays a frame a second.");
    this.element = element("div.controls", {}, buttons, field, lessMotion.matches ? calm : null);
  }

  get frame() {
    return Number(this.input.value);
  }

  get last() {
    return Number(this.input.max);
  }

  /** Go to a frame, or to the end that is nearest to it. */
  async go(frame) {
    this.input.value = Math.max(0, Math.min(this.last, frame));
    this.output.textContent = `${this.frame} of ${this.last}`;
    await this.#show(this.frame);
  }

  /** Change the number of the last frame, and show the present frame anew, or the last one if it was further. */
  setLast(last) {
    this.input.max = last;
    this.go(this.frame);
  }

  async play() {
    const playing = (this.#playing = {});
    this.playButton.textContent = "Pause";
    if (!this.returns && this.frame === this.last) this.input.value = 0;
    while (this.#playing === playing) {
      if (this.frame === this.last) this.#direction = -1;
      if (this.frame === 0 || !this.returns) this.#direction = 1;
      await this.go(this.frame + this.#direction * this.stride);
      if (!this.returns && this.frame === this.last) this.stop();
      await new Promise((resolve) => setTimeout(resolve, lessMotion.matches ? CALM_PAUSE_MS : PAUSE_MS));
    }
  }

  stop() {
    this.#playing = null;
    this.playButton.textContent = "Play";
  }

  #choose(frame) {
    this.stop();
    this.go(frame);
  }
}
