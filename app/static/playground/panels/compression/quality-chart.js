/**
 * The chart of quality against bytes, and a table of its numbers.
 */
import { lineChart } from "../../charts.js";
import { element } from "../../dom.js";

const LINES = ["streams of the model", "JPEG", "WebP", "the chosen stream"];
const HEIGHT = 240;
/** Quality in decibels from which a file is left out: it loses next to nothing, and would squeeze the rest. */
const MAX_PSNR = 60;

/** Return a number with one digit that is not 0, rounded up or down. */
function rounded(number, round) {
  const unit = 10 ** Math.floor(Math.log10(number));
  return unit * round(number / unit);
}

/**
 * The chart. `element` goes into the page.
 *
 * @typedef {{bytes: number, psnr: number}} Size what a file takes, and how near its picture is to the original
 */
export class QualityChart {
  #chart = null;
  #lines = [[], [], []];
  #chosen = null;

  constructor() {
    const label = "Peak signal-to-noise ratio in decibels against bytes";
    this.place = element("div.chart", { role: "img", "aria-label": label });
    this.place.style.minHeight = `${HEIGHT}px`;  // the text below does not move when it is drawn
    this.rows = element("tbody", {});
    this.table = element("details", {}, element("summary", {}, "The numbers of the streams"),
      element("div.scroll", { tabIndex: 0 }, element("table", {}, element("thead", {}, element("tr", {},
        ...["Bits", "Bytes", "PSNR in dB"].map((title) => element("th", { scope: "col" }, title)))), this.rows)));
    this.element = element("div", {}, this.place, this.table);
  }

  /**
   * Show what files take.
   *
   * @param {Array<Size & {bits: number}>} streams
   * @param {Size[]} jpeg
   * @param {Size[]} webp
   */
  show(streams, jpeg, webp) {
    this.#lines = [streams, jpeg, webp].map((sizes) => sizes.filter(({ psnr }) => psnr < MAX_PSNR));
    this.rows.replaceChildren(...streams.map(({ bits, bytes, psnr }) => element("tr", {},
      ...[bits, bytes, psnr.toFixed(1)].map((cell) => element("td", {}, cell)))));
    this.#draw();
  }

  /** Mark one of the streams. */
  mark(size) {
    this.#chosen = size.psnr < MAX_PSNR ? size : null;
    if (this.#chart) this.#draw();
  }

  leave() {
    this.#chart?.destroy();
  }

  #draw() {
    const lines = [...this.#lines, this.#chosen ? [this.#chosen] : []];
    const bytes = [...new Set(lines.flat().map((size) => size.bytes))].sort((a, b) => a - b);
    const data = [bytes, ...lines.map((sizes) => {
      const psnrs = new Map(sizes.map((size) => [size.bytes, size.psnr]));
      return bytes.map((each) => psnrs.get(each) ?? null);
    })];
    const drawn = LINES.map((label, place) => ({ label, spanGaps: true,
      points: { show: true, size: place === 3 ? 14 : 6 } }));
    const range = (_, least, most) => [rounded(least, Math.floor), rounded(most, Math.ceil)];
    const options = { scales: { x: { time: false, distr: 3, range } }, legend: { live: false } };
    if (this.#chart) this.#chart.setData(data);
    else this.#chart = lineChart(this.place, data, drawn, { height: HEIGHT, options });
  }
}
