/**
 * Charts: bars as elements of the page, lines by uPlot, and grey pictures on a canvas.
 */
import { element } from "./dom.js";
import uPlot from "./vendor/uPlot.esm.js";

/**
 * Return horizontal bars.
 *
 * @param {Array<{label: string, value: number}>} rows values from 0 to 1
 * @param {(value: number) => string} [write] how a value is written
 */
export function bars(rows, write = (value) => value.toFixed(2)) {
  const made = element("div.bars", {});
  for (const { label, value } of rows) {
    const bar = element("div.bar", {});
    bar.style.width = `${100 * Math.max(0, Math.min(1, value))}%`;
    made.append(element("span", {}, label), element("div", {}, bar), element("span", {}, write(value)));
  }
  return made;
}

/** Return a share as a percentage. */
export function percent(share) {
  return `${(100 * share).toFixed(0)}%`;
}

/** Return the value of a colour of the style sheet, such as "--ink", in the theme that is shown. */
export function colour(name) {
  const probe = element("span", { hidden: true });
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/**
 * Draw a picture.
 *
 * @param {HTMLCanvasElement} canvas it gets the size of the picture in pixels; its style says how large they are shown
 * @param {Array<Array<Array<number>>>} picture numbers from 0 to 1, [channels][height][width]; 1 or 3 channels
 */
export function drawPicture(canvas, picture) {
  const [height, width] = [picture[0].length, picture[0][0].length];
  const image = new ImageData(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const place = 4 * (y * width + x);
      for (let channel = 0; channel < 3; channel++) {
        image.data[place + channel] = 255 * picture[picture.length === 3 ? channel : 0][y][x];
      }
      image.data[place + 3] = 255;
    }
  }
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** Return a canvas on which `drawPicture` draws, with a label for those who do not see it. */
export function pictureCanvas(label, side = 112) {
  const canvas = element("canvas.pixels", { width: 28, height: 28, role: "img", "aria-label": label });
  canvas.style.width = canvas.style.height = `${side}px`;
  return canvas;
}

/**
 * Return a chart of lines, which follows the width of its element and the theme until it is destroyed.
 *
 * @param {HTMLElement} root the element that it is put into
 * @param {Array<Array<number|null>>} data the x values, and those of each line
 * @param {Array<string|Object>} names names of the lines, or options of uPlot for them with a `label`
 * @param {{height?: number, time?: boolean, xLabel?: string, options?: Object}} [settings] `options` are those of uPlot
 * @returns {{plot: () => uPlot, setData: (data: Array) => void, destroy: () => void}}
 */
export function lineChart(root, data, names, { height = 240, time = false, xLabel, options = {} } = {}) {
  let plot = null;
  let shown = data;
  const draw = () => {
    plot?.destroy();
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 0.5 }, ticks: { stroke: colour("--line") } };
    const lines = names.map((line, place) => ({ stroke: colour(`--series-${1 + (place % 4)}`), width: 1.5,
      ...(typeof line === "string" ? { label: line } : line) }));
    const width = Math.max(200, root.clientWidth);
    const all = { width, height, scales: { x: { time } }, axes: [axis, axis], ...options,
      series: [xLabel ? { label: xLabel } : {}, ...lines] };
    plot = new uPlot(all, shown, root);
  };
  const resize = new ResizeObserver(() => plot?.setSize({ width: Math.max(200, root.clientWidth), height }));
  draw();
  resize.observe(root);
  window.addEventListener("themechange", draw);
  return {
    plot: () => plot,
    setData: (next) => plot.setData((shown = next)),
    destroy: () => {
      resize.disconnect();
      window.removeEventListener("themechange", draw);
      plot.destroy();
    },
  };
}
