/**
 * Attention: which tokens each head of each layer looks at.
 */
import { task } from "../../api.js";
import { element, labelled, select } from "../../dom.js";
import { LastRequest } from "../../last-request.js";
import { writeState } from "../../state.js";
import { AttentionView } from "./attention-view.js";
import { readable } from "./tokens.js";

const TEXT = "The dog ran home because it was hungry.";
const KINDS = {
  text: "the text", target: "its translation", cross: "the translation and the text",
};

/** Show the part; see `PARTS` in texts.js. */
export async function show(root, values, { view, model }) {
  const output = element("div");
  const request = new LastRequest(view, output);
  const text = element("textarea", { value: values.text ?? TEXT, oninput: () => request.soon(update) });
  const kind = select("kind", Object.entries(KINDS), values.kind ?? "text", () => {
    writeState({ kind: kind.value });
    request.now(update);
  });
  const kindField = labelled("Between the tokens of", kind);
  let chosen = { layer: Number(values.layer ?? 1) - 1, head: Number(values.head ?? 1) - 1 };

  async function update(signal) {
    writeState({ text: text.value });
    const asked = await task("attend", model.value, [text.value], {}, signal);
    const [answered] = asked.answer.outputs;
    view.show(asked.request, asked.ms);
    kindField.hidden = !answered.cross_attention;
    const maps = mapsOf(answered, kindField.hidden ? "text" : kind.value);
    const shown = new AttentionView(maps, chosen, (layer, head) => {
      chosen = { layer, head };
      writeState({ layer: layer + 1, head: head + 1 });
    });
    output.replaceChildren(shown.element);
  }

  model.addEventListener("change", () => request.now(update));
  root.append(labelled("Text", text), element("div.controls", {}, kindField), output);
  request.now(update);
  return () => request.stop();
}

/** Return the maps of a kind of `KINDS` in an answer of `/attend`. */
export function mapsOf(answered, kind) {
  const tokens = readable(answered.tokens);
  const targets = readable(answered.target_tokens ?? []);
  const titles = kind === "cross" ? ["Translation", "Source"] : ["Token", "Looks at"];
  if (kind === "target") return { queries: targets, keys: targets, weights: answered.target_attention, titles };
  if (kind === "cross") return { queries: targets, keys: tokens, weights: answered.cross_attention, titles };
  return { queries: tokens, keys: tokens, weights: answered.attention, titles };
}
