/**
 * Pictures: open a photograph, choose the bits, and see what an autoencoder of pictures of any size leaves of it.
 */
import { Problem, task } from "../api.js";
import { drawPicture } from "../charts.js";
import { button, element, labelled, select, slider } from "../dom.js";
import { latest } from "../latest.js";
import { modelsOfAnySize } from "../models.js";
import { RequestView } from "../request-view.js";
import { writeState } from "../state.js";
import { bytesOf, numbersOf, psnrOf } from "./compression/browser-files.js";
import { LANDSCAPES, paintLandscape } from "./compression/landscape.js";
import { byteBars, saveStream } from "./compression/streams.js";

const MAX_BITS = 16;
const SIDES = ["64", "128", "256", "512"];
const DEFAULT_SIDE = "128";
const CONTRAST = 8;

/** A canvas with a title and what there is to say about it. */
class Card {
  constructor(title) {
    this.canvas = element("canvas", { role: "img", "aria-label": `Picture: ${title}` });
    this.lines = element("div", {});
    this.element = element("section.card.picture", { "aria-label": title }, element("h3", {}, title), this.canvas, this.lines);
  }

  say(...lines) {
    this.lines.replaceChildren(...lines.map((line) => element("div", {}, line)));
  }
}

/** The panel: it scales a picture to the chosen size, compresses it, and shows what comes out of the stream. */
class Pictures {
  #source = null;
  #stream = null;

  constructor(models, values) {
    this.models = models;
    this.view = new RequestView();
    const fail = (error) => this.view.fail(error);
    this.fail = fail;
    this.compress = latest(() => this.#compress(), fail);
    const known = models.some(({ id }) => id === values.model) ? values.model : models[0].id;
    const side = SIDES.includes(values.side) ? values.side : DEFAULT_SIDE;
    this.choice = select("model", models.map(({ id }) => id), known, () => this.#change({ model: this.choice.value }));
    this.side = select("side", SIDES.map((each) => [each, `${each} pixels`]), side,
      () => this.#change({ side: this.side.value }));
    this.bits = slider("bits", { min: 1, max: MAX_BITS, step: 1, value: values.bits ?? 8,
      oninput: () => this.#change({ bits: this.bits.value }) });
    this.open = element("input", { type: "file", accept: "image/*", onchange: () => this.#openFile(this.open.files[0]) });
    this.original = new Card("The picture");
    this.restored = new Card("What is left of it");
    this.difference = new Card("The difference");
    this.latent = new Card("The latent");
    this.sizes = element("div", {});
    this.save = button("Save the stream as a file", () => saveStream(this.#stream), { disabled: true });
    this.element = this.#build();
    this.#paint(LANDSCAPES.includes(values.example) ? values.example : LANDSCAPES[0]);
  }

  get model() {
    return this.models.find(({ id }) => id === this.choice.value);
  }

  #build() {
    const dropping = { ondragover: (event) => event.preventDefault(), ondrop: (event) => this.#drop(event) };
    const examples = LANDSCAPES.map((name) => button(name, () => {
      writeState({ example: name });
      this.#paint(name);
    }));
    return element("div", dropping,
      element("div.controls", {}, labelled("Model", this.choice), labelled("Longer side", this.side),
        labelled("Bits", this.bits, (value) => value), labelled("Open a picture", this.open)),
      element("div.buttons", { role: "group", "aria-label": "Examples" }, ...examples),
      element("div.columns", {}, this.original.element, this.restored.element, this.difference.element, this.latent.element),
      element("h2", {}, "Bytes"), this.sizes, element("div.controls", {}, this.save), this.view.element);
  }

  #change(state) {
    writeState(state);
    this.compress();
  }

  /** Use a landscape that is painted here. */
  #paint(name) {
    const canvas = element("canvas", { width: 512, height: 384 });
    paintLandscape(canvas.getContext("2d"), name);
    this.#source = canvas;
    this.compress();
  }

  #openFile(file) {
    if (file) this.#read(file).catch(this.fail);
  }

  #drop(event) {
    event.preventDefault();
    this.#openFile(event.dataTransfer.files[0]);
  }

  /** Use the picture in a file of any format that the browser reads. */
  async #read(file) {
    try {
      this.#source = await createImageBitmap(file);
    } catch (error) {
      throw new Problem({ title: "This browser cannot read the picture", detail: error.message });
    }
    writeState({ example: null });
    await this.compress();
  }

  /** Draw the picture in the chosen size, with sides that the model takes. */
  #scale() {
    const { multiple } = this.model.item;
    const { width, height } = this.#source;
    const factor = Number(this.side.value) / Math.max(width, height);
    const [columns, rows] = [width, height].map((each) => multiple * Math.max(1, Math.round((factor * each) / multiple)));
    Object.assign(this.original.canvas, { width: columns, height: rows });
    this.original.canvas.getContext("2d").drawImage(this.#source, 0, 0, columns, rows);
  }

  /** Compress the picture, and show what comes out of the stream, what is lost, and the latent. */
  async #compress() {
    const { model } = this;
    this.#scale();
    const { canvas } = this.original;
    const url = canvas.toDataURL("image/png");
    this.view.wait("Compressing …");
    const parameters = { bits: Number(this.bits.value) };
    const { answer, request, ms } = await task("compress", model.id, [url], parameters);
    const [stream] = answer.outputs;
    const { answer: read } = await task("decompress", model.id, [stream.stream], { format: "png" });
    const { answer: encoded } = await task("encode", model.id, [url]);
    this.#stream = { ...stream, name: `${model.id}-${parameters.bits}-bits`.replaceAll("/", "-") };
    this.save.disabled = false;
    const png = new Blob([bytesOf(read.outputs[0].items[0].split(",")[1])], { type: "image/png" });
    drawOn(this.restored.canvas, await createImageBitmap(png));
    const nPixels = canvas.width * canvas.height;
    const rawBytes = model.item.shape[0] * nPixels;
    const [before, after] = [canvas, this.restored.canvas].map((each) => numbersOf(each, 3));
    this.original.say(`${canvas.width} x ${canvas.height} pixels`, `${rawBytes} bytes as raw pixels`);
    this.restored.say(`${stream.bytes} bytes`, `PSNR ${psnrOf(before, after).toFixed(1)} dB`,
      `${((8 * stream.bytes) / nPixels).toFixed(2)} bits a pixel`);
    drawPicture(this.difference.canvas, differences(before, after));
    this.difference.say(`${CONTRAST} times as large as it is`);
    this.#showLatent(encoded.outputs[0].latent);
    const files = await Promise.all(["image/png", "image/jpeg"].map((type) => sizeAs(canvas, type)));
    const sizes = [["raw pixels", rawBytes], ["PNG", files[0]], ["JPEG, quality 75", files[1]], ["the stream", stream.bytes]];
    this.sizes.replaceChildren(byteBars(sizes));
    this.view.show(request, ms);
  }

  /** Draw the channels of a latent `[Z][h][w]` above each other, each from its least number to its largest. */
  #showLatent(latent) {
    const grey = latent.flatMap((channel) => {
      const numbers = channel.flat();
      const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
      return channel.map((row) => row.map((number) => (number - low) / (high - low || 1)));
    });
    drawPicture(this.latent.canvas, [grey]);
    this.latent.say(`${latent.length} channels of ${latent[0][0].length} x ${latent[0].length} numbers`);
  }
}

function drawOn(canvas, bitmap) {
  Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
}

/** Return the differences of two pictures, `CONTRAST` times as large as they are. */
function differences(picture, other) {
  return picture.map((rows, channel) => rows.map((row, y) => row.map((value, x) =>
    Math.min(1, CONTRAST * Math.abs(value - other[channel][y][x])))));
}

/** Return how many bytes a picture has as a file of a type, in the quality 75 where there is one. */
async function sizeAs(canvas, type) {
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, type, 0.75));
  return blob.size;
}

/** Show the panel; see `PANELS` in main.js. */
export async function show(root, values) {
  const models = await modelsOfAnySize();
  if (!models.length) {
    root.append(element("p.notice", {}, "No model of pictures of any size is loaded."));
    return;
  }
  const pictures = new Pictures(models, values);
  root.append(
    element("p", {}, "Open a picture, or drop one on this page. The model makes a smaller picture of it, its latent, whose "
      + "numbers are rounded to so many bits and coded; the bytes of the stream are all that is needed to see what "
      + "you see beside the picture. Large pictures take the model some seconds."),
    pictures.element);
}
