/**
 * Labels: the classes of a text, as bars.
 */
import { task } from "../../api.js";
import { bars } from "../../charts.js";
import { button, element, labelled } from "../../dom.js";
import { LastRequest } from "../../last-request.js";
import { writeState } from "../../state.js";

const N_LABELS = 10;
const EXAMPLES = [
  "A wonderful, moving film with a brilliant cast.",
  "I have never been so bored in a cinema.",
  "Stocks rose on Wall Street after strong earnings reports.",
  "The striker scored twice in the last ten minutes.",
];

/** Show the part; see `PARTS` in texts.js. */
export async function show(root, values, { view, model }) {
  const output = element("div", { "aria-live": "polite" });
  const request = new LastRequest(view, output);
  const text = element("textarea", { value: values.text ?? EXAMPLES[0], oninput: () => request.soon(update) });

  async function update(signal) {
    writeState({ text: text.value });
    const asked = await task("classify", model.value, [text.value], { top_k: N_LABELS }, signal);
    view.show(asked.request, asked.ms);
    output.replaceChildren(bars(asked.answer.outputs[0].labels.map(({ label, score }) => ({ label, value: score }))));
  }

  const examples = EXAMPLES.map((example, place) => button(`Example ${place + 1}`, () => {
    text.value = example;
    request.now(update);
  }));
  model.addEventListener("change", () => request.now(update));
  root.append(labelled("Text", text), element("div.buttons", {}, ...examples), output);
  request.now(update);
  return () => request.stop();
}
