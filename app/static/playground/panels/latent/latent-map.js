/**
 * The map of a latent space: MNIST test digits with their latents, and a place in the plane for each.
 *
 * `training/latent_maps.py` draws the maps and describes their files.
 */
import { ask } from "../../api.js";

const FOLDER = "/static/playground/maps";
const N_NEAREST = 6;

/** Side of a map: places are from 0 to this. */
export const SIDE = 1000;

/**
 * Return the map of a model, or null if none is drawn of it.
 *
 * @returns {Promise<?LatentMap>}
 */
export async function mapOf(model) {
  const { answer: drawn } = await ask({ path: `${FOLDER}/index.json` });
  if (!drawn.includes(model.id)) return null;
  const { answer } = await ask({ path: `${FOLDER}/${model.id}.json` });
  return new LatentMap(answer);
}

/** The digits of a map: `labels`, `places` and `latents` by their number. */
export class LatentMap {
  constructor({ sha256, labels, places, spacing, scales, latents }) {
    Object.assign(this, { sha256, places, spacing });
    this.labels = [...labels];
    this.width = scales.length;
    const levels = Int8Array.from(atob(latents), (character) => character.charCodeAt(0));
    this.latents = this.labels.map((_, digit) =>
      scales.map((scale, place) => scale * levels[digit * this.width + place]));
  }

  /**
   * Return what is at a place: the digits that are nearest to it, the mean of their latents, of which the nearer count
   * more, and whether the place is farther from all digits than digits are from each other.
   *
   * @returns {{nearest: number[], latent: number[], isEmpty: boolean}}
   */
  at(x, y) {
    const distances = this.places.map(([left, top]) => Math.hypot(left - x, top - y));
    const nearest = [...distances.keys()].sort((a, b) => distances[a] - distances[b]).slice(0, N_NEAREST);
    const weights = nearest.map((digit) => 1 / (1 + distances[digit] ** 2));
    return { nearest, latent: this.#mean(nearest, weights), isEmpty: distances[nearest[0]] > this.spacing };
  }

  /** Return the mean of all latents. */
  mean() {
    return this.#mean([...this.labels.keys()]);
  }

  /** Return the standard deviation of each element of the latents. */
  deviations() {
    const mean = this.mean();
    return mean.map((middle, place) =>
      Math.sqrt(this.latents.reduce((sum, latent) => sum + (latent[place] - middle) ** 2, 0) / this.latents.length));
  }

  /** Return the latent of the digit with a label that is nearest to the mean of all digits with it. */
  typical(label) {
    const digits = [...this.labels.keys()].filter((digit) => this.labels[digit] === label);
    const mean = this.#mean(digits);
    const distance = (digit) => Math.hypot(...this.latents[digit].map((number, place) => number - mean[place]));
    return this.latents[digits.reduce((best, digit) => (distance(digit) < distance(best) ? digit : best))];
  }

  #mean(digits, weights = digits.map(() => 1)) {
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return Array.from({ length: this.width }, (_, place) =>
      digits.reduce((sum, digit, i) => sum + weights[i] * this.latents[digit][place], 0) / total);
  }
}
