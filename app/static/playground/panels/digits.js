/**
 * Digits: draw one, and see every model of digits encode, reconstruct, denoise and classify it.
 */
import { task } from "../api.js";
import { bars, drawPicture, pictureCanvas } from "../charts.js";
import { button, element, labelled, oncePerFrame, slider } from "../dom.js";
import { DrawingField, isEmpty, prepared } from "../drawing.js";
import { exampleMaker } from "../examples.js";
import { latest } from "../latest.js";
import { DIGITS, isOfDigits, modelsFor } from "../models.js";
import { RequestView } from "../request-view.js";
import { writeState } from "../state.js";

/** A model's card. */
class ModelCard {
  constructor(model, view) {
    this.model = model;
    this.view = view;
    this.noisy = pictureCanvas(`What ${model.id} receives`, 72);
    this.restored = pictureCanvas(`What ${model.id} makes of it`, 72);
    this.error = element("p.quiet", {});
    this.labels = element("div", {});
    this.latent = element("canvas", { height: 24, role: "img", "aria-label": `Latent of ${model.id}` });
    this.element = element("section.card", { "aria-label": model.id }, element("h3", {}, model.id),
      element("div.columns.tight", {}, this.noisy, this.restored), this.error, this.labels, this.latent);
    this.update = latest((drawing) => this.#ask(drawing), (error) => view.fail(error));
  }

  async #ask({ input, parameters, noise, startedAt }) {
    const { id, tasks } = this.model;
    const noisy = { ...parameters, noise: { type: "gaussian", level: noise }, seed: 1 };
    const [restored, encoded, classified] = await Promise.all([
      noise > 0 ? task("denoise", id, [input], noisy) : task("reconstruct", id, [input], parameters),
      task("encode", id, [input], parameters),
      tasks.includes("classify") ? task("classify", id, [input], { ...parameters, top_k: 3 }) : null,
    ]);
    const [output] = restored.answer.outputs;
    if (output.noisy) drawPicture(this.noisy, output.noisy);
    this.noisy.hidden = !output.noisy;
    drawPicture(this.restored, output.denoised ?? output.reconstruction);
    this.error.textContent = output.noisy
      ? `PSNR ${output.psnr_before.toFixed(1)} → ${output.psnr_after.toFixed(1)} dB`
      : `mean squared error ${output.mse.toFixed(4)}`;
    this.#drawLatent(encoded.answer.outputs[0].latent);
    if (classified) {
      const rows = classified.answer.outputs[0].labels.map(({ label, score }) => ({ label, value: score }));
      this.labels.replaceChildren(bars(rows));
    }
    this.view.show(restored.request, restored.ms);
    this.element.dataset.drawnAfterMs = String(Math.round(performance.now() - startedAt));
  }

  /** Draw a bar for each number of a latent. */
  #drawLatent(latent) {
    const numbers = latent.flat(Infinity);
    const most = Math.max(1e-6, ...numbers.map(Math.abs));
    const context = Object.assign(this.latent, { width: numbers.length * 4 }).getContext("2d");
    context.fillStyle = getComputedStyle(this.latent).color;
    numbers.forEach((number, place) => {
      const height = (11 * number) / most;
      context.fillRect(4 * place, 12 - Math.max(0, height), 3, Math.max(1, Math.abs(height)));
    });
  }
}

/** Show the panel; see `PANELS` in main.js. */
export async function show(root, values) {
  const view = new RequestView();
  const models = await modelsFor("reconstruct", isOfDigits);
  if (!models.length) {
    root.append(element("p.notice", {}, "No model of digits is loaded."));
    return;
  }
  const cards = models.map((model) => new ModelCard(model, view));
  const noise = slider("noise", { min: 0, max: 0.6, step: 0.05, value: values.noise ?? 0, oninput: () => {
    writeState({ noise: Number(noise.value) || null });
    update(performance.now());
  } });
  const update = oncePerFrame((startedAt) => {
    if (isEmpty(field.canvas)) return;
    const drawing = { ...prepared(field.canvas), noise: Number(noise.value), startedAt };
    for (const card of cards) card.update(drawing);
  });
  const field = new DrawingField("Draw a digit here", () => update(performance.now()));
  const makeExample = await exampleMaker();
  const examples = makeExample && element("div.buttons", { role: "group", "aria-label": "Examples" },
    ...DIGITS.map((digit) => button(digit, () => drawExample(digit))));

  async function drawExample(digit) {
    try {
      field.drawDigit(await makeExample(digit));
    } catch (error) {
      view.fail(error);
    }
  }

  root.append(
    element("p", {}, "Draw a digit, or drop a picture of one, or choose an example. Each model sees it centred, white on black."),
    element("div.columns", {},
      element("div", {}, field.element, examples, labelled("Noise", noise, (value) => Number(value).toFixed(2))),
      element("div.cards.grow", {}, ...cards.map((card) => card.element))),
    view.element,
  );
}
