/**
 * A translation, with the words of the text that the decoder looked at for each of its tokens.
 */
import { task } from "../../api.js";
import { element, labelled, slider } from "../../dom.js";
import { LastRequest } from "../../last-request.js";
import { writeState } from "../../state.js";
import { AttentionView } from "./attention-view.js";
import { mapsOf } from "./attention.js";

const TEXT = "Two dogs are playing in the snow.";

/** Show the part; see `PARTS` in texts.js. */
export async function show(root, values, { view, model }) {
  const output = element("div");
  const request = new LastRequest(view, output);
  const text = element("textarea", { value: values.text ?? TEXT, oninput: () => request.soon(update) });
  const beams = slider("num_beams", { min: 1, max: 8, step: 1, value: values.num_beams ?? 5, oninput: () => {
    writeState({ num_beams: beams.value });
    request.soon(update);
  } });
  let chosen = { layer: Number(values.layer ?? 4) - 1, head: Number(values.head ?? 1) - 1 };

  async function update(signal) {
    writeState({ text: text.value });
    const parameters = { num_beams: Number(beams.value) };
    const translated = await task("translate", model.value, [text.value], parameters, signal);
    const [{ translation, score }] = translated.answer.outputs;
    view.show(translated.request, translated.ms, `Log-likelihood ${score.toFixed(2)}.`);
    const pair = { text: text.value, text_pair: translation };
    const { answer } = await task("attend", model.value, [pair], {}, signal);
    const shown = new AttentionView(mapsOf(answer.outputs[0], "cross"), chosen, (layer, head) => {
      chosen = { layer, head };
      writeState({ layer: layer + 1, head: head + 1 });
    });
    output.replaceChildren(element("h2", {}, "Translation"), element("p.translation", { role: "status" }, translation),
      element("h2", {}, "Cross-attention"),
      element("p", {}, "The decoder has just read a token on the left, and looks at the text to choose the next one."),
      shown.element);
  }

  model.addEventListener("change", () => request.now(update));
  root.append(labelled("Text", text), element("div.controls", {}, labelled("Beams", beams, String)), output);
  request.now(update);
  return () => request.stop();
}
