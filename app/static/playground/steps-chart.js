/**
 * A chart of a series by step: its lines, the steps that stand out, and a hole that is torn into it.
 */
import { colour, lineChart } from "./charts.js";
import { element } from "./dom.js";

const HEIGHT = 260;
const HATCHING = 7;
const FLAT_SPACE = 3;

/**
 * @typedef {Object} Lines what is drawn
 * @property {Array<{label: string, values: Array<?number>, dash?: number[], width?: number, colour?: string}>} lines
 * @property {Array<{first: number, last: number}>} [stretches] the steps that stand out
 * @property {?{from: number, to: number}} [hole] the steps that are missing
 * @property {string} words what the chart shows, for those who do not see it
 */

/** A chart; `element` goes into the page. */
export class StepsChart {
  #chart = null;
  #shape = "";
  #shown = { lines: [], stretches: [], hole: null };
  #mode = null;
  #range = null;
  #pressed = null;

  /**
   * @param {{height?: number, onHole?: (from: number, to: number) => void,
   *   onPen?: (strokes: Array<[number, number]>, isDone: boolean) => void}} [settings] what is called when a person
   *   drags over the chart: `onHole` with two steps, and `onPen` with steps and values
   */
  constructor({ height = HEIGHT, onHole, onPen } = {}) {
    Object.assign(this, { height, onHole, onPen });
    this.element = element("div.steps", { role: "img" });
  }

  /** Show lines. The axes stay as they are while the pen is down. @param {Lines} shown */
  show(shown) {
    this.#shown = { stretches: [], hole: null, ...shown };
    this.element.setAttribute("aria-label", shown.words);
    const data = [shown.lines[0].values.map((_, step) => step), ...shown.lines.map(({ values }) => values)];
    const shape = JSON.stringify(shown.lines.map(({ values, ...options }) => options));
    if (this.#chart && shape === this.#shape) {
      this.#chart.setData(data);
      return;
    }
    this.#chart?.destroy();
    this.#shape = shape;
    const names = shown.lines.map(({ label, dash, width, colour: name }) => ({ label, dash, width: width ?? 1.5,
      ...(name ? { stroke: () => colour(name) } : {}), points: { show: false }, value: (_, value) => written(value) }));
    this.#chart = lineChart(this.element, data, names, { height: this.height, xLabel: "step",
      options: this.#options() });
  }

  /** Choose what dragging does: "hole", "pen" or nothing. */
  setMode(mode) {
    this.#mode = mode;
    this.element.classList.toggle("torn", mode === "hole");
    this.element.classList.toggle("penned", mode === "pen");
    if (mode === "pen") this.#freeze();
    else this.#range = null;
  }

  destroy() {
    this.#chart?.destroy();
    this.#chart = null;
  }

  #freeze() {
    const { min, max } = this.#chart?.plot().scales.y ?? {};
    if (Number.isFinite(min) && max > min) this.#range = [min, max];
  }

  #options() {
    const range = (plot, min, max) => {
      if (this.#range) return this.#range;
      const [low, high] = [min ?? 0, max ?? 1];
      const space = high === low ? FLAT_SPACE : (high - low) * 0.08;
      return [low - space, high + space];
    };
    return {
      scales: { x: { time: false }, y: { range } },
      cursor: { drag: { x: false, y: false }, points: { show: false } },
      hooks: {
        ready: [(plot) => this.#listen(plot)],
        drawClear: [(plot) => this.#drawBands(plot)],
        draw: [(plot) => this.#drawMarks(plot)],
      },
    };
  }

  #listen(plot) {
    const over = plot.over;
    over.addEventListener("pointerdown", (event) => {
      if (this.#mode === null) return;
      event.preventDefault();
      over.setPointerCapture(event.pointerId);
      this.#pressed = this.#place(plot, event);
      this.#drag(plot, this.#pressed);
    });
    over.addEventListener("pointermove", (event) => this.#pressed && this.#drag(plot, this.#place(plot, event)));
    for (const name of ["pointerup", "pointercancel"]) {
      over.addEventListener(name, (event) => this.#pressed && this.#release(plot, this.#place(plot, event)));
    }
  }

  #place(plot, event) {
    const box = plot.over.getBoundingClientRect();
    const [left, top] = [clamp(event.clientX - box.left, 0, box.width), clamp(event.clientY - box.top, 0, box.height)];
    return { left, step: plot.posToIdx(left), value: plot.posToVal(top, "y") };
  }

  #drag(plot, place) {
    if (this.#mode === "pen") {
      this.onPen?.(between(this.#pressed, place), false);
      this.#pressed = place;
    } else {
      const [left, right] = [this.#pressed.left, place.left].sort((first, second) => first - second);
      plot.setSelect({ left, width: right - left, top: 0, height: plot.over.clientHeight }, false);
    }
  }

  #release(plot, place) {
    const pressed = this.#pressed;
    this.#pressed = null;
    if (this.#mode === "pen") {
      this.onPen?.([], true);
      return;
    }
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    const [from, to] = [pressed.step, place.step].sort((first, second) => first - second);
    if (to > from) this.onHole?.(from, to);
  }

  /** Draw what lies behind the lines: hatched bands for steps that stand out, and a plain one for a hole. */
  #drawBands(plot) {
    const { stretches, hole } = this.#shown;
    const context = plot.ctx;
    context.save();
    if (hole) {
      const [left, width] = spanOf(plot, hole.from, hole.to);
      context.fillStyle = colour("--mark");
      context.fillRect(left, plot.bbox.top, width, plot.bbox.height);
    }
    Object.assign(context, { strokeStyle: colour("--warn"), lineWidth: devicePixelRatio });
    for (const { first, last } of stretches) drawHatching(plot, ...spanOf(plot, first, last));
    context.restore();
  }

  /** Draw a triangle above each stretch of steps that stand out. */
  #drawMarks(plot) {
    const context = plot.ctx;
    const size = 6 * devicePixelRatio;
    context.save();
    context.fillStyle = colour("--warn");
    for (const { first, last } of this.#shown.stretches) {
      const [left, width] = spanOf(plot, first, last);
      const middle = left + width / 2;
      context.beginPath();
      context.moveTo(middle - size, plot.bbox.top);
      context.lineTo(middle + size, plot.bbox.top);
      context.lineTo(middle, plot.bbox.top + 1.6 * size);
      context.fill();
    }
    context.restore();
  }
}

/** Return the left edge and the width, in pixels of the canvas, of steps with half a step around them. */
function spanOf(plot, first, last) {
  const [start, end] = [plot.bbox.left, plot.bbox.left + plot.bbox.width];
  const left = clamp(plot.valToPos(first - 0.5, "x", true), start, end);
  const right = clamp(plot.valToPos(last + 0.5, "x", true), start, end);
  return [left, right - left];
}

function drawHatching(plot, left, width) {
  const { ctx: context, bbox: { top, height } } = plot;
  const step = HATCHING * devicePixelRatio;
  context.save();
  context.globalAlpha = 0.55;
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.beginPath();
  for (let start = Math.floor((left - height) / step) * step; start < left + width; start += step) {  // in one pattern
    context.moveTo(start, top + height);
    context.lineTo(start + height, top);
  }
  context.stroke();
  context.restore();
}

/** Return the steps and values on the line between two places of the pen. */
function between(from, to) {
  const n = Math.abs(to.step - from.step);
  const way = Math.sign(to.step - from.step);
  return Array.from({ length: n + 1 }, (_, place) =>
    [from.step + way * place, n ? from.value + ((to.value - from.value) * place) / n : to.value]);
}

function clamp(value, least, most) {
  return Math.max(least, Math.min(most, value));
}

/** Return a number as charts and tables show it. */
export function written(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const isOfUsualSize = value === 0 || (Math.abs(value) >= 1e-3 && Math.abs(value) < 1e5);
  return isOfUsualSize ? String(Number(value.toPrecision(4))) : value.toExponential(2);
}
