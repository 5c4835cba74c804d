/**
 * A sound to hear and to see: its wave and its spectrogram.
 */
import { colour } from "../../charts.js";
import { element } from "../../dom.js";
import { spectrogram } from "./spectrogram.js";

const WIDTH = 480;
const WAVE_HEIGHT = 80;

/** A card with a title, a player, both pictures, and what there is to say. */
export class SoundCard {
  #channels = null;

  constructor(title) {
    this.file = null;
    this.player = element("audio", { controls: true, "aria-label": `Play: ${title}` });
    this.wave = element("canvas", { width: WIDTH, height: WAVE_HEIGHT, role: "img", "aria-label": `Wave: ${title}` });
    this.spectrum = element("canvas", { role: "img", "aria-label": `Spectrogram: ${title}` });
    this.lines = element("div", {});
    this.element = element("section.card.sound", { "aria-label": title }, element("h3", {}, title), this.player, this.wave,
      this.spectrum, this.lines);
    this.redraw = () => this.#channels && this.#drawWave();
    window.addEventListener("themechange", this.redraw);
  }

  /**
   * Show a sound.
   *
   * @param {Blob} file what the player plays
   * @param {Float32Array[]} channels its samples, of which the first channel is drawn
   * @param {number} rate samples of a second
   * @param {...string} lines what there is to say
   */
  show(file, channels, rate, ...lines) {
    this.leave();
    window.addEventListener("themechange", this.redraw);
    this.file = file;
    this.#channels = channels;
    this.player.src = URL.createObjectURL(file);
    this.#drawWave();
    const picture = spectrogram(channels[0], WIDTH);
    Object.assign(this.spectrum, { width: picture.width, height: picture.height });
    this.spectrum.getContext("2d").putImageData(picture, 0, 0);
    const size = `${(channels[0].length / rate).toFixed(2)} s, up to ${rate / 2} Hz`;
    this.lines.replaceChildren(...[size, ...lines].map((line) => element("div", {}, line)));
  }

  /** Release the file that the player has. */
  leave() {
    window.removeEventListener("themechange", this.redraw);
    if (this.player.src) URL.revokeObjectURL(this.player.src);
  }

  /** Draw the least and the largest sample in each column. */
  #drawWave() {
    const context = this.wave.getContext("2d");
    const [samples] = this.#channels;
    context.clearRect(0, 0, WIDTH, WAVE_HEIGHT);
    context.fillStyle = colour("--accent");
    for (let x = 0; x < WIDTH; x++) {
      const begin = Math.floor((x * samples.length) / WIDTH);
      const part = samples.subarray(begin, Math.max(begin + 1, Math.floor(((x + 1) * samples.length) / WIDTH)));
      const [low, high] = [part.reduce((a, b) => Math.min(a, b), 1), part.reduce((a, b) => Math.max(a, b), -1)];
      const y = (value) => ((1 - Math.max(-1, Math.min(1, value))) / 2) * WAVE_HEIGHT;
      context.fillRect(x, y(high), 1, Math.max(1, y(low) - y(high)));
    }
  }
}
