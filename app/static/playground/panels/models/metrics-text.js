/**
 * Reads the metrics of the server, which are in the text format of Prometheus.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 */

const NAME = /^[a-zA-Z_:][\w:]*/;
const SAMPLE = /^[\w:]+(?:\{(.*)\})?\s+(\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
const ESCAPES = { "\\n": "\n", '\\"': '"', "\\\\": "\\" };
const NUMBERS = { "+Inf": Infinity, "-Inf": -Infinity };

/** The metrics at one moment. A metric is parsed when it is first asked for, because most never are. */
export class Reading {
  #lines = new Map();
  /** @type {Map<string, Array<{labels: Object<string, string>, value: number}>>} */
  #samples = new Map();

  /**
   * @param {string} text what `GET /metrics` answers
   * @param {number} at when it was read, in seconds
   */
  constructor(text, at) {
    this.at = at;
    for (const line of text.split("\n")) {
      const [name] = NAME.exec(line) ?? [];
      if (name === undefined) continue;  // a comment or an empty line
      if (!this.#lines.has(name)) this.#lines.set(name, []);
      this.#lines.get(name).push(line);
    }
  }

  /**
   * Return the samples of a metric whose labels have these values.
   *
   * @param {string} name
   * @param {Object<string, string|((value: string) => boolean)>} [wanted] values, or tests of them, by label
   */
  find(name, wanted = {}) {
    const tests = Object.entries(wanted);
    const suits = ({ labels }) => tests.every(([label, value]) =>
      typeof value === "function" ? value(labels[label]) : labels[label] === value);
    if (!this.#samples.has(name)) this.#samples.set(name, (this.#lines.get(name) ?? []).map(parseSample));
    return this.#samples.get(name).filter(suits);
  }

  /** Return the sum of these samples. */
  sum(name, wanted) {
    return this.find(name, wanted).reduce((total, { value }) => total + value, 0);
  }
}

function parseSample(line) {
  const [, labels = "", value] = SAMPLE.exec(line);
  const unescape = (text) => text.replace(/\\[n"\\]/g, (found) => ESCAPES[found]);
  const pairs = [...labels.matchAll(LABEL)].map(([, name, text]) => [name, unescape(text)]);
  return { labels: Object.fromEntries(pairs), value: NUMBERS[value] ?? Number(value) };
}

/**
 * What happened between two readings.
 */
export class Interval {
  /**
   * @param {Reading} before
   * @param {Reading} after
   */
  constructor(before, after) {
    Object.assign(this, { before, after, seconds: after.at - before.at });
  }

  /** Return by how much counters grew. A counter that is less than before was started anew with the server. */
  growth(name, wanted) {
    const [before, after] = [this.before.sum(name, wanted), this.after.sum(name, wanted)];
    return after < before ? after : after - before;
  }

  /** Return by how much counters grew in a second. */
  rate(name, wanted) {
    return this.growth(name, wanted) / this.seconds;
  }

  /** Return the mean of what a histogram counted, or null if it counted nothing. */
  mean(name, wanted) {
    const count = this.growth(`${name}_count`, wanted);
    return count ? this.growth(`${name}_sum`, wanted) / count : null;
  }

  /**
   * Return a quantile of what a histogram counted, or null if it counted nothing. It is estimated as Prometheus does:
   * the values of a bucket are taken to lie evenly in it, and those above the last limit at that limit.
   *
   * @param {number} share from 0 to 1
   */
  quantile(name, share, wanted) {
    if (!this.growth(`${name}_count`, wanted)) return null;
    const limits = [...new Set(this.after.find(`${name}_bucket`, wanted).map(({ labels }) => labels.le))];
    const counts = limits.map((le) => this.growth(`${name}_bucket`, { ...wanted, le }));
    const target = share * counts.at(-1);
    const place = counts.findIndex((count) => count >= target);
    const [from, below] = place === 0 ? [0, 0] : [Number(limits[place - 1]), counts[place - 1]];
    if (limits[place] === "+Inf") return from;
    return from + ((Number(limits[place]) - from) * (target - below)) / (counts[place] - below);
  }
}
