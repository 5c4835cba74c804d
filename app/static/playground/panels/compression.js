/**
 * Compression: bits against quality, with the bytes of real streams.
 */
import { task } from "../api.js";
import { drawPicture, pictureCanvas } from "../charts.js";
import { button, element, labelled, oncePerFrame, select, slider } from "../dom.js";
import { DrawingField, isEmpty, prepared } from "../drawing.js";
import { exampleMaker } from "../examples.js";
import { latest } from "../latest.js";
import { DIGITS, isOfDigits, modelsFor } from "../models.js";
import { RequestView } from "../request-view.js";
import { writeState } from "../state.js";
import { base64Of, bytesOf, filesOf, pictureOf } from "./compression/browser-files.js";
import { LANDSCAPES, paintLandscape } from "./compression/landscape.js";
import { QualityChart } from "./compression/quality-chart.js";
import { byteBars, saveStream, SUFFIX } from "./compression/streams.js";

const DEFAULT_MODEL = "vae-mnist";
const MAX_BITS = 16;
const TYPES = { JPEG: "image/jpeg", WebP: "image/webp" };

/** A picture with a title and what there is to say about it. */
class PictureCard {
  constructor(title) {
    this.picture = pictureCanvas(`Picture: ${title}`);
    this.lines = element("div", {});
    this.element = element("section.card", { "aria-label": title }, element("h3", {}, title), this.picture, this.lines);
  }

  /** Show a picture of the server's, or none. */
  show(picture, ...lines) {
    this.picture.hidden = picture === null;
    if (picture) drawPicture(this.picture, picture);
    this.lines.replaceChildren(...lines.map((line) => element("div", {}, line)));
  }
}

/** The panel: it reads a picture as the model does, compresses it, and compares the stream with other files. */
class Compression {
  #isExample = false;
  #picture = null;
  #stream = null;
  #files = {};
  #measuring = new AbortController();

  constructor(models, makeExample, values) {
    Object.assign(this, { models, makeExample });
    this.view = new RequestView();
    const fail = (error) => this.view.fail(error);
    this.read = latest(() => this.#read(), fail);
    this.compress = latest(() => this.#compress(), fail);
    const known = [values.model, DEFAULT_MODEL, models[0].id].find((id) => models.some((model) => model.id === id));
    this.choice = select("model", models.map(({ id }) => id), known, () => this.#changeModel());
    this.bits = slider("bits", { min: 1, max: MAX_BITS, step: 1, value: values.bits ?? 8,
      oninput: () => this.#changeBits() });
    this.lossless = element("input", { type: "checkbox", name: "lossless", checked: values.lossless === "true",
      onchange: () => this.#changeLossless() });
    this.losslessField = labelled("Lossless, in black and white", this.lossless);
    const update = oncePerFrame(() => this.read());
    this.field = new DrawingField("Draw here", () => {
      if (this.element && !this.#isExample) writeState({ example: null });
      update();
    });
    this.examples = element("div.buttons", { role: "group", "aria-label": "Examples" });
    this.cards = Object.fromEntries(["original", "stream", "JPEG", "WebP", "file"].map((name) => [name, new PictureCard(
      { original: "The picture", stream: "The stream", file: "From a file" }[name] ?? name)]));
    this.cards.file.element.hidden = true;
    this.sizes = element("div", {});
    this.chart = new QualityChart();
    this.save = button("Save the stream as a file", () => this.#save());
    this.open = element("input", { type: "file", accept: SUFFIX, onchange: () => this.#open().catch(fail) });
    this.element = this.#build();
    this.#showModel(values.example);
  }

  get model() {
    return this.models.find(({ id }) => id === this.choice.value);
  }

  #build() {
    return element("div", {},
      element("div.controls", {}, labelled("Model", this.choice), labelled("Bits", this.bits, (value) => value),
        this.losslessField),
      element("div.columns", {}, element("div", {}, this.field.element, this.examples),
        element("div.grow", {}, element("div.cards", {}, ...Object.values(this.cards).map((card) => card.element)),
          element("h2", {}, "Bytes"), this.sizes,
          element("div.controls", {}, this.save, labelled("Open a stream", this.open)))),
      element("h2", {}, "Quality against bytes"),
      element("p.quiet", {}, "Each point is a stream of the picture with 1 to 16 bits for each number of its latent, or "
        + "a file that this browser writes with some quality. To the right are the bytes, and upwards the peak "
        + "signal-to-noise ratio (PSNR) in decibels: the higher, the nearer to the picture. JPEG and WebP are counted "
        + "without the colour profile that browsers add."),
      this.chart.element, this.view.element);
  }

  leave() {
    this.#measuring.abort();
    this.chart.leave();
  }

  /** Show what the chosen model offers, and an example for it. */
  #showModel(example) {
    this.losslessField.hidden = !this.model.lossless;
    this.bits.disabled = this.#isLossless;
    const names = !isOfDigits(this.model) ? LANDSCAPES : this.makeExample ? DIGITS : [];
    this.examples.replaceChildren(...names.map((name) => button(name, () => {
      writeState({ example: name });
      this.#drawExample(name);
    })));
    if (names.length) this.#drawExample(names.includes(example) ? example : names[names.length >> 1]);
  }

  async #drawExample(name) {
    try {
      const picture = DIGITS.includes(name) ? await this.makeExample(name) : null;
      this.#isExample = true;
      if (picture) this.field.drawDigit(picture);
      else paintLandscape(this.field.context, name);
      this.field.onchange();
      this.#isExample = false;
    } catch (error) {
      this.view.fail(error);
    }
  }

  #changeModel() {
    writeState({ model: this.choice.value, example: null });
    this.cards.file.element.hidden = true;
    this.#showModel();
  }

  #changeBits() {
    writeState({ bits: this.bits.value });
    this.compress();
  }

  #changeLossless() {
    writeState({ lossless: this.lossless.checked || null });
    this.bits.disabled = this.#isLossless;
    this.read();
  }

  get #isLossless() {
    return this.lossless.checked && !this.losslessField.hidden;
  }

  /** Read the drawing as the model does, in black and white for lossless streams, and compress it anew. */
  async #read() {
    this.#measuring.abort();
    if (isEmpty(this.field.canvas)) {
      this.view.wait("Draw something, open a picture, or choose an example.");
      return;
    }
    const { model } = this;
    const drawing = isOfDigits(model) ? prepared(this.field.canvas)
      : { input: this.field.canvas.toDataURL("image/png"), parameters: {} };
    let picture = await readPicture(model, drawing.input, drawing.parameters);
    const isLossless = this.#isLossless;
    if (isLossless) {
      const binary = picture.numbers.map((rows) => rows.map((row) => row.map((number) => (number < 0.5 ? 0 : 1))));
      picture = await readPicture(model, binary, {});
    }
    this.#picture = { ...picture, model, isLossless };
    this.#files = {};
    const nBytes = picture.numbers.flat(2).length / (isLossless ? 8 : 1);
    this.#picture.rawBytes = nBytes;
    this.cards.original.show(picture.numbers, `${nBytes} bytes as raw pixels`, `${picture.pngBytes} bytes as PNG`);
    await this.compress();
    this.#measuring = new AbortController();
    this.#measure(this.#picture, this.#measuring.signal).catch((error) => this.view.fail(error));
  }

  /** Compress the picture, and show what comes out of the stream. */
  async #compress() {
    if (!this.#picture) return;
    const { model, url, isLossless } = this.#picture;
    const parameters = isLossless ? { lossless: true } : { bits: Number(this.bits.value) };
    const { answer, request, ms } = await task("compress", model.id, [url], parameters);
    const [stream] = answer.outputs;
    const name = `${model.id}-${isLossless ? "lossless" : `${parameters.bits}-bits`}`.replaceAll("/", "-");
    this.#stream = { ...stream, name };
    const { answer: read } = await task("decompress", model.id, [stream.stream]);
    const bitsPerPixel = stream.bits_per_element * model.item.shape[0];
    this.cards.stream.show(read.outputs[0].items[0], `${stream.bytes} bytes`, qualityOf(stream.psnr),
      `${bitsPerPixel.toFixed(2)} bits a pixel`);
    this.view.show(request, ms);
    this.chart.mark(stream);
    this.#showFiles();
  }

  /** Measure all streams of the picture, and its files of the browser. */
  async #measure(picture, signal) {
    const files = {};
    for (const [name, type] of Object.entries(TYPES)) files[name] = await filesOf(picture.numbers, type, signal);
    this.#files = files;
    this.#showFiles();
    const streams = [];
    for (let bits = 1; bits <= MAX_BITS; bits++) {
      const { answer } = await task("compress", picture.model.id, [picture.url], { bits }, signal);
      streams.push({ bits, ...answer.outputs[0] });
    }
    this.chart.show(streams, files.JPEG, files.WebP);
  }

  /** Show the file of each type whose quality is nearest to that of the stream. */
  #showFiles() {
    if (!this.#stream) return;
    const sizes = [["raw pixels", this.#picture.rawBytes], ["PNG", this.#picture.pngBytes]];
    for (const name of Object.keys(TYPES)) {
      const files = this.#files[name];
      if (!files) continue;
      const distance = ({ psnr }) => Math.abs(psnr - this.#stream.psnr);
      const [file] = files.toSorted((a, b) => distance(a) - distance(b) || a.bytes - b.bytes);
      if (file) sizes.push([name, file.bytes]);
      if (!file) this.cards[name].show(null, "This browser does not write it.");
      else this.cards[name].show(file.picture, `${file.bytes} bytes`, qualityOf(file.psnr),
        `quality ${Math.round(100 * file.quality)}`);
    }
    sizes.push(["the stream", this.#stream.bytes]);
    this.sizes.replaceChildren(byteBars(sizes));
  }

  #save() {
    if (this.#stream) saveStream(this.#stream);
  }

  /** Show the pictures of a stream in a file, which must be of the chosen model. */
  async #open() {
    const [file] = this.open.files;
    if (!file) return;
    const { answer, request, ms } = await task("decompress", this.model.id, [await base64Of(file)]);
    const { items } = answer.outputs[0];
    const others = items.length > 1 ? [`the first of ${items.length}`] : [];
    this.cards.file.show(items[0], file.name, `${file.size} bytes`, ...others);
    this.cards.file.element.hidden = false;
    this.view.show(request, ms);
  }
}

/** Return a picture as a model reads it: its numbers, the URL of a PNG with exactly these, and the bytes of that. */
async function readPicture(model, input, parameters) {
  // /impute fills in what is missing. Nothing is: it answers with the picture as the model reads it.
  const { answer } = await task("impute", model.id, [input], { ...parameters, iterations: 1, format: "png" });
  const url = answer.outputs[0].imputed;
  const png = bytesOf(url.split(",")[1]);
  const numbers = await pictureOf(new Blob([png], { type: "image/png" }), model.item.shape[0]);
  return { url, numbers, pngBytes: png.length };
}

function qualityOf(psnr) {
  return psnr >= 100 ? "nothing is lost" : `PSNR ${psnr.toFixed(1)} dB`;
}

/** Show the panel; see `PANELS` in main.js. */
export async function show(root, values) {
  const models = await modelsFor("compress", ({ item, tasks }) =>
    item?.modality === "image" && !item.multiple && tasks.includes("decompress") && tasks.includes("impute"));
  if (!models.length) {
    root.append(element("p.notice", {}, "No model of pictures is loaded."));
    return undefined;
  }
  const compression = new Compression(models, await exampleMaker(), values);
  root.append(
    element("p", {}, "A model compresses a picture into its latent, each number of which is rounded to so many bits "
      + "and coded. JPEG and WebP are shown in the quality that is nearest to it. All sizes are those of real files."),
    compression.element);
  return () => compression.leave();
}
