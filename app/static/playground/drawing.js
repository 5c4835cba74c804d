/**
 * A field to draw a digit in, and the preparation of what was drawn.
 */
import { button, element } from "./dom.js";

const SIDE = 280;
const PEN = 20;

/**
 * Return how the server is asked to see a drawing: as a PNG, moved into the middle and scaled as the pictures of MNIST
 * are, and with dark and bright exchanged if its paper is bright.
 *
 * @param {HTMLCanvasElement} canvas
 * @returns {{input: string, parameters: {centre: true, invert: boolean}}}
 */
export function prepared(canvas) {
  return { input: canvas.toDataURL("image/png"), parameters: { centre: true, invert: hasBrightPaper(canvas) } };
}

/** Whether most of the edge of a picture is bright: there is paper at the edge, wherever the ink is. */
export function hasBrightPaper(canvas) {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  let bright = 0, counted = 0;
  for (let y = 0; y < height; y++) {
    const step = y === 0 || y === height - 1 ? 1 : width - 1;
    for (let x = 0; x < width; x += step) {
      const place = 4 * (y * width + x);
      bright += data[place] + data[place + 1] + data[place + 2] > 382 ? 1 : 0;
      counted++;
    }
  }
  return bright > counted / 2;
}

/** Whether a picture is of one colour: there is nothing drawn on it. */
export function isEmpty(canvas) {
  const pixels = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  return pixels.every((pixel) => pixel === pixels[0]);
}

/**
 * A field to draw in with a pen, a finger or a mouse, or to drop a picture on.
 *
 * `element` goes into the page; `canvas` has the drawing. `onchange` is called whenever it changes.
 */
export class DrawingField {
  #last = null;
  #isDark = true;

  constructor(label, onchange) {
    this.onchange = onchange;
    this.canvas = element("canvas.drawing", { width: SIDE, height: SIDE, role: "img", "aria-label": label });
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    this.canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) this.canvas.addEventListener(name, () => (this.#last = null));
    this.canvas.addEventListener("dragover", (event) => event.preventDefault());
    this.canvas.addEventListener("drop", (event) => this.#drop(event));
    const file = element("input", { type: "file", accept: "image/*", "aria-label": "Open a picture",
      onchange: () => file.files[0] && this.drawFile(file.files[0]) });
    const colours = button("Black on white", () => {
      this.#isDark = !this.#isDark;
      colours.textContent = this.#isDark ? "Black on white" : "White on black";
      this.clear();
    });
    this.element = element("div", {}, this.canvas,
      element("div.buttons", {}, button("Clear", () => this.clear()), colours), file);
    this.clear();
  }

  /** Clear the field, and put the pen down. */
  clear() {
    this.context.fillStyle = this.#isDark ? "#000" : "#fff";
    this.context.fillRect(0, 0, SIDE, SIDE);
    this.onchange?.();
  }

  /** Draw a picture of the server's, [1][height][width] of numbers from 0 to 1, in the middle of the field. */
  drawDigit(picture) {
    const [rows] = picture;
    this.#isDark || this.element.querySelectorAll("button")[1].click();
    this.context.fillStyle = "#000";
    this.context.fillRect(0, 0, SIDE, SIDE);
    const pixel = SIDE / rows.length;
    rows.forEach((row, y) => row.forEach((value, x) => {
      const grey = Math.round(255 * Math.max(0, Math.min(1, value)));
      this.context.fillStyle = `rgb(${grey} ${grey} ${grey})`;
      this.context.fillRect(Math.floor(x * pixel), Math.floor(y * pixel), Math.ceil(pixel), Math.ceil(pixel));
    }));
    this.onchange?.();
  }

  /** Draw a picture file, as large as fits. */
  async drawFile(file) {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(SIDE / bitmap.width, SIDE / bitmap.height);
    const [width, height] = [bitmap.width * scale, bitmap.height * scale];
    this.context.drawImage(bitmap, 0, 0, 1, 1, 0, 0, SIDE, SIDE);  // its corner is the paper
    this.context.drawImage(bitmap, (SIDE - width) / 2, (SIDE - height) / 2, width, height);
    this.onchange?.();
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * SIDE) / box.width, ((event.clientY - box.top) * SIDE) / box.height];
  }

  #begin(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.#last = this.#place(event);
    this.#move(event);
  }

  #move(event) {
    if (!this.#last) return;
    const place = this.#place(event);
    Object.assign(this.context, { lineWidth: PEN, lineCap: "round", strokeStyle: this.#isDark ? "#fff" : "#000" });
    this.context.beginPath();
    this.context.moveTo(...this.#last);
    this.context.lineTo(...place);
    this.context.stroke();
    this.#last = place;
    this.onchange?.();
  }

  #drop(event) {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) this.drawFile(file);
  }
}
