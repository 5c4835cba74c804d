/**
 * The way between two drawings through the latent space.
 */
import { task } from "../../api.js";
import { drawPicture, pictureCanvas } from "../../charts.js";
import { element, labelled, oncePerFrame, select, slider } from "../../dom.js";
import { DrawingField, hasBrightPaper, isEmpty } from "../../drawing.js";
import { latest } from "../../latest.js";
import { DIGITS } from "../../models.js";
import { Player } from "../../player.js";
import { RequestView } from "../../request-view.js";
import { writeState } from "../../state.js";

const METHODS = [["linear", "straight line"], ["slerp", "great circle (slerp)"]];
const DRAWN = "drawn";

/** Two drawings and the frames between them. `element` goes into the page; call `start` once it is there. */
export class Interpolation {
  #frames = [];

  /**
   * @param {Object} model as `GET /models` describes it
   * @param {?(label: string) => Promise<Array>} makeExample see `exampleMaker`
   * @param {Object<string, string>} values of the URL: `from` and `to`, digits of examples; `steps` and `method`
   */
  constructor(model, makeExample, { from = "3", to = "8", steps = 9, method = "linear" }) {
    Object.assign(this, { model, makeExample });
    this.view = new RequestView("Request of the interpolation");
    this.ends = [this.#end("from", "From", from), this.#end("to", "To", to)];
    this.steps = slider("steps", { min: 3, max: 24, step: 1, value: steps,
      oninput: () => this.#change({ steps: this.steps.value }) });
    this.method = select("method", METHODS, method, () => this.#change({ method: this.method.value }));
    this.row = element("div.strip", { role: "group", "aria-label": "Frames" });
    this.large = pictureCanvas("The frame that is shown", 168);
    this.player = new Player("Frame", { last: 0, returns: true, show: async (frame) => this.#showFrame(frame),
      fail: (error) => this.view.fail(error) });
    this.ask = latest(() => this.#ask(), (error) => this.view.fail(error));
    this.update = oncePerFrame(() => this.ask());
    this.element = element("div", {},
      element("div.columns", {}, ...this.ends.map(({ part }) => part),
        element("div.grow", {},
          element("div.controls", {}, labelled("Frames", this.steps, (value) => value), labelled("Path", this.method)),
          this.row, this.player.element, this.large)),
      this.view.element);
    this.leave = () => this.player.stop();
  }

  /** Draw the examples that the URL names. */
  async start() {
    try {
      for (const end of this.ends) await this.#drawExample(end);
    } catch (error) {
      this.view.fail(error);
    }
  }

  #end(name, title, chosen) {
    const end = { name, isExample: false };
    end.field = new DrawingField(`${title}: draw a digit here`, () => {
      if (end.example && !end.isExample) {
        end.example.value = DRAWN;
        writeState({ [name]: DRAWN });
      }
      this.update?.();
    });
    const first = [DRAWN, ...DIGITS].includes(chosen) ? chosen : DIGITS[0];
    end.example = this.makeExample && select(name, [[DRAWN, "my own drawing"], ...DIGITS], first, async () => {
      writeState({ [name]: end.example.value });
      await this.#drawExample(end).catch((error) => this.view.fail(error));
    });
    end.part = element("div.small", {}, element("h3", {}, title), end.field.element,
      end.example ? labelled("Example", end.example) : null);
    return end;
  }

  async #drawExample(end) {
    if (!end.example || end.example.value === DRAWN) return;
    const picture = await this.makeExample(end.example.value);
    end.isExample = true;
    end.field.drawDigit(picture);
    end.isExample = false;
  }

  #change(values) {
    writeState(values);
    this.update();
  }

  async #ask() {
    const canvases = this.ends.map(({ field }) => field.canvas);
    if (canvases.some(isEmpty)) {
      this.view.wait("Draw a digit in both fields, or choose examples.");
      return;
    }
    const parameters = { steps: Number(this.steps.value), method: this.method.value, centre: true };
    const { answer, request, ms } = await task("interpolate", this.model.id, canvases.map(whiteOnBlack), parameters);
    this.view.show(request, ms);
    this.#frames = answer.outputs[0].frames;
    this.row.replaceChildren(...this.#frames.map((frame, number) => {
      const canvas = pictureCanvas(`Frame ${number} of ${this.#frames.length - 1}`, 56);
      drawPicture(canvas, frame);
      return canvas;
    }));
    this.player.setLast(this.#frames.length - 1);
  }

  #showFrame(number) {
    if (!this.#frames.length) return;
    drawPicture(this.large, this.#frames[number]);
    [...this.row.children].forEach((canvas, place) => canvas.classList.toggle("current", place === number));
  }
}

/** Return a drawing as the URL of a PNG, with dark and bright exchanged if its paper is bright. */
function whiteOnBlack(canvas) {
  if (!hasBrightPaper(canvas)) return canvas.toDataURL("image/png");
  const copy = element("canvas", { width: canvas.width, height: canvas.height });
  const context = copy.getContext("2d");
  context.drawImage(canvas, 0, 0);
  Object.assign(context, { globalCompositeOperation: "difference", fillStyle: "#fff" });
  context.fillRect(0, 0, copy.width, copy.height);
  return copy.toDataURL("image/png");
}
