/**
 * Entities: the names in a text, marked where they are.
 */
import { task } from "../../api.js";
import { bars } from "../../charts.js";
import { element, labelled } from "../../dom.js";
import { LastRequest } from "../../last-request.js";
import { writeState } from "../../state.js";
import { markedText } from "./marked-text.js";

const N_COLOURS = 4;
const TEXT = "Anna Schmidt left London to work for Google in Geneva, where she met John Miller.";

/** Show the part; see `PARTS` in texts.js. */
export async function show(root, values, { view, model }) {
  const output = element("div");
  const request = new LastRequest(view, output);
  const text = element("textarea", { value: values.text ?? TEXT, oninput: () => request.soon(update) });

  async function update(signal) {
    writeState({ text: text.value });
    const asked = await task("classify-tokens", model.value, [text.value], {}, signal);
    const [{ entities }] = asked.answer.outputs;
    const kinds = [...new Set(entities.map(({ entity_group: kind }) => kind))].sort();
    const mark = (kind) => (part) =>
      element(`mark.kind-${1 + (kinds.indexOf(kind) % N_COLOURS)}`, {}, part, element("small", {}, kind));
    const places = entities.map(({ start, end, entity_group: kind }) => ({ start, end, make: mark(kind) }));
    const rows = entities.map(({ word, entity_group: kind, score }) => ({ label: `${word} (${kind})`, value: score }));
    view.show(asked.request, asked.ms, entities.length === 1 ? "1 entity." : `${entities.length} entities.`);
    output.replaceChildren(markedText(text.value, places), bars(rows));
  }

  model.addEventListener("change", () => request.now(update));
  root.append(labelled("Text", text), output);
  request.now(update);
  return () => request.stop();
}
