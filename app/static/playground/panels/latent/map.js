/**
 * The map on the page: its digits, and a cursor under which a digit is decoded.
 */
import { task } from "../../api.js";
import { colour, drawPicture, pictureCanvas } from "../../charts.js";
import { element, oncePerFrame } from "../../dom.js";
import { latest } from "../../latest.js";
import { DIGITS } from "../../models.js";
import { RequestView } from "../../request-view.js";
import { SIDE } from "./latent-map.js";

const MARGIN = 0.03;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const HINT = "Drag in the map, or move the cursor with the arrow keys; with Shift, it moves farther.";

/** The map of a model. `onmove` is called with each place of the cursor; `element` goes into the page. */
export class MapView {
  #points = null;
  #isDragging = false;

  /**
   * @param {Object} model as `GET /models` describes it
   * @param {import("./latent-map.js").LatentMap} map
   * @param {{place: [number, number], onmove: (place: [number, number]) => void}} settings
   */
  constructor(model, map, { place, onmove }) {
    Object.assign(this, { model, map, place, onmove });
    this.view = new RequestView("Request of the map");
    const label = `Map of the latents of ${model.id}. ${HINT}`;
    this.canvas = element("canvas.map", { tabIndex: 0, role: "application", "aria-label": label,
      onkeydown: (event) => this.#press(event), onpointerdown: (event) => this.#begin(event),
      onpointermove: (event) => this.#drag(event), onpointerup: () => (this.#isDragging = false),
      onpointercancel: () => (this.#isDragging = false) });
    this.decoded = pictureCanvas("The digit that is decoded at the cursor", 168);
    this.near = element("p", { role: "status" });
    this.warning = element("p.warning", { role: "status" });
    this.element = element("div", {},
      element("div.columns", {},
        element("div.map-place", {}, this.canvas),
        element("div.beside", {}, this.decoded, this.near, this.warning, legend(), element("p.quiet", {}, HINT))),
      this.view.element);
    this.draw = oncePerFrame(() => this.#draw());
    this.decode = latest((latent) => this.#decode(latent), (error) => this.view.fail(error));
    const redraw = () => {
      this.#points = null;
      this.draw();
    };
    this.resizing = new ResizeObserver(redraw);
    this.resizing.observe(this.canvas);
    window.addEventListener("themechange", redraw);
    this.leave = () => {
      this.resizing.disconnect();
      window.removeEventListener("themechange", redraw);
    };
    this.#show();
  }

  /** Move the cursor to a place of the map, or to the nearest one if it lies beyond. */
  move(x, y) {
    this.place = [x, y].map((number) => Math.round(Math.max(0, Math.min(SIDE, number))));
    this.onmove(this.place);
    this.#show();
  }

  #show() {
    this.found = this.map.at(...this.place);
    const labels = this.found.nearest.map((digit) => this.map.labels[digit]);
    this.near.textContent = `Nearest digits: ${labels.join(", ")}`;
    this.warning.textContent = this.found.isEmpty
      ? "The map is empty here: no test digit is near. What is decoded is a mixture of distant ones." : "";
    this.draw();
    this.decode(this.found.latent);
  }

  async #decode(latent) {
    const rounded = latent.map((number) => Number(number.toFixed(4)));
    const { answer, request, ms } = await task("decode", this.model.id, [rounded]);
    drawPicture(this.decoded, answer.outputs[0].reconstruction);
    this.view.show(request, ms);
  }

  #draw() {
    const side = Math.round(this.canvas.clientWidth * devicePixelRatio);
    if (!side) return;
    if (!this.#points) this.#points = this.#drawPoints(side);
    const context = Object.assign(this.canvas, { width: side, height: side }).getContext("2d");
    context.drawImage(this.#points, 0, 0);
    const cursor = this.#cursor(side);
    for (const [strokeStyle, width] of [[this.colours.paper, 6], [this.colours.ink, 2.5]]) {
      Object.assign(context, { strokeStyle, lineWidth: width * devicePixelRatio });
      context.stroke(cursor);
    }
  }

  /** Return the lines of the cursor: a circle with four arms. */
  #cursor(side) {
    const path = new Path2D();
    const [x, y] = this.place.map((number) => pixelOf(number, side));
    const [radius, end] = [9 * devicePixelRatio, 18 * devicePixelRatio];
    path.arc(x, y, radius, 0, 2 * Math.PI);
    for (const [dx, dy] of Object.values(ARROWS)) {
      path.moveTo(x + dx * radius, y + dy * radius);
      path.lineTo(x + dx * end, y + dy * end);
    }
    return path;
  }

  /** Return a canvas with the digits, each at its place. */
  #drawPoints(side) {
    const canvas = new OffscreenCanvas(side, side);
    const context = canvas.getContext("2d");
    const colours = DIGITS.map((digit) => colour(`--digit-${digit}`));
    this.colours = { paper: colour("--paper"), ink: colour("--ink") };
    const size = Math.max(8, (11 * side) / devicePixelRatio / 560) * devicePixelRatio;
    const font = `600 ${size}px system-ui, sans-serif`;
    Object.assign(context, { font, textAlign: "center", textBaseline: "middle" });
    this.map.places.forEach((place, digit) => {
      const label = this.map.labels[digit];
      context.fillStyle = colours[DIGITS.indexOf(label)];
      context.fillText(label, ...place.map((number) => pixelOf(number, side)));
    });
    return canvas;
  }

  #press(event) {
    const arrow = ARROWS[event.key];
    if (!arrow) return;
    event.preventDefault();
    const step = event.shiftKey ? 60 : 12;
    this.move(this.place[0] + step * arrow[0], this.place[1] + step * arrow[1]);
  }

  #begin(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.#isDragging = true;
    this.#drag(event);
  }

  #drag(event) {
    if (!this.#isDragging) return;
    const box = this.canvas.getBoundingClientRect();
    const places = [event.clientX - box.left, event.clientY - box.top].map((pixel) => placeOf(pixel, box.width));
    this.move(...places);
  }
}

/** Return the place on a canvas of a number of the map: the map has a margin on all sides. */
function pixelOf(number, side) {
  return side * (MARGIN + ((1 - 2 * MARGIN) * number) / SIDE);
}

function placeOf(pixel, side) {
  return (SIDE * (pixel / side - MARGIN)) / (1 - 2 * MARGIN);
}

function legend() {
  const items = DIGITS.map((digit) => element(`li.digit-${digit}`, {}, digit));
  return element("div", {}, element("p.quiet", {}, "Each sign of the map is a test digit of MNIST."),
    element("ul.legend", { "aria-label": "Colours of the digits" }, ...items));
}
