/**
 * Masked words: the likeliest words behind each mask, which are put into the text by a click.
 */
import { task } from "../../api.js";
import { button, element, labelled } from "../../dom.js";
import { LastRequest } from "../../last-request.js";
import { writeState } from "../../state.js";
import { Choices } from "./choices.js";
import { visible } from "./tokens.js";

const MASKS = ["[MASK]", "<mask>"];
const N_FILLS = 8;
const TEXT = "She opened the [MASK] and went into the [MASK].";

/** Show the part; see `PARTS` in texts.js. */
export async function show(root, values, { view, model }) {
  const output = element("div.columns");
  const request = new LastRequest(view, output);
  const text = element("textarea", { value: values.text ?? TEXT, oninput: () => request.soon(update) });
  const insert = button("Insert a mask", () => {
    text.setRangeText(spelling.mask, text.selectionStart, text.selectionEnd, "end");
    request.now(update);
  });
  let spelling = { mask: MASKS[0], marksSpaces: false };

  async function useModel(signal) {
    spelling = await spellingOf(model.value, signal);
    for (const other of MASKS) text.value = text.value.replaceAll(other, spelling.mask);
    await update(signal);
  }

  async function update(signal) {
    writeState({ text: text.value });
    if (!text.value.includes(spelling.mask)) {
      output.replaceChildren(element("p.notice", {}, "There is no mask in the text."));
      return;
    }
    const asked = await task("fill-mask", model.value, [text.value], { top_k: N_FILLS }, signal);
    const [{ fills }] = asked.answer.outputs;
    const ids = fills.flat().map(({ token }) => token);
    const { answer } = await task("tokenize", model.value, [ids], { add_special_tokens: false }, signal);
    const { tokens } = answer.outputs[0];
    view.show(asked.request, asked.ms);
    output.replaceChildren(...fills.map((each, place) => column(each, place, tokens.splice(0, each.length))));
  }

  /** Return the guesses for a mask, of which `tokens` are as the vocabulary writes them. */
  function column(fills, place, tokens) {
    const label = `Mask ${place + 1}`;
    const choices = new Choices(label, (chosen) => {
      text.value = filled(text.value, spelling, place, tokens[chosen], fills[chosen].token_str);
      insert.focus({ preventScroll: true });
      request.now(update);
    });
    choices.show(fills.map(({ token_str: label, score }) => ({ label: visible(label.trim()), value: score })));
    return element("div.grow", {}, element("h2", {}, label), choices.element);
  }

  model.addEventListener("change", () => request.now(useModel));
  root.append(labelled("Text", text), element("div.buttons", {}, insert), output);
  request.now(useModel);
  return () => request.stop();
}

/** Return how a model's vocabulary writes a mask, and whether it writes the spaces before words. */
async function spellingOf(model, signal) {
  const { answer } = await task("tokenize", model, [...MASKS, "a a"], { add_special_tokens: false }, signal);
  const [words, ...masks] = answer.outputs.map(({ tokens }) => tokens).reverse();
  return {
    mask: MASKS.find((mask) => masks.some((tokens) => tokens.length === 1 && tokens[0] === mask)) ?? MASKS[0],
    marksSpaces: /^[▁Ġ]/.test(words.at(-1)),
  };
}

/** Return the text with a token in place of the mask at `place`. Some tokens continue the word before them. */
function filled(text, { mask, marksSpaces }, place, token, written) {
  const parts = text.split(mask);
  const before = parts.slice(0, place + 1).join(mask);
  const after = parts.slice(place + 1).join(mask);
  if (token.startsWith("##")) return before.trimEnd() + token.slice(2) + after;
  if (marksSpaces && !/^[▁Ġ]/.test(token)) return before.trimEnd() + written + after;
  const space = marksSpaces && before && !/\s$/.test(before) ? " " : "";
  return before + space + written.trim() + after;
}
