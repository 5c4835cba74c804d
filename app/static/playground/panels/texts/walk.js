/**
 * Sentence walk: the sentences on a path from one to another, words that are put in order, and samples.
 */
import { task } from "../../api.js";
import { button, element, labelled, select, slider } from "../../dom.js";
import { LastRequest } from "../../last-request.js";
import { writeState } from "../../state.js";

const FIRST = "A man is riding a bike.";
const SECOND = "Two dogs are playing in the snow.";
const SCRAMBLED = "man a riding is bike. a";
const METHODS = [["slerp", "along a great circle"], ["linear", "straight"]];
const N_SAMPLES = 5;
const MAX_SEED = 2 ** 32;

/** Show the part; see `PARTS` in texts.js. */
export async function show(root, values, { view, model }) {
  const parts = [walk, order, samples].map((part) => part(values, view, model));
  const restart = () => parts.forEach(({ start }) => start());
  model.addEventListener("change", restart);
  root.append(...parts.flatMap(({ elements }) => elements));
  restart();
  return () => parts.forEach(({ stop }) => stop());
}

/** Return the path from one sentence to another: its elements, and what starts and stops its requests. */
function walk(values, view, model) {
  const output = element("ol.walk", { "aria-label": "Sentences on the path", "aria-live": "polite" });
  const request = new LastRequest(view, output);
  const later = () => request.soon(update);
  const first = element("input.wide", { type: "text", value: values.from ?? FIRST, oninput: later });
  const second = element("input.wide", { type: "text", value: values.to ?? SECOND, oninput: later });
  const steps = slider("steps", { min: 3, max: 16, step: 1, value: values.steps ?? 8, oninput: later });
  const method = select("method", METHODS, values.method ?? "slerp", () => request.now(update));

  async function update(signal) {
    writeState({ from: first.value, to: second.value, steps: steps.value, method: method.value });
    const parameters = { steps: Number(steps.value), method: method.value };
    const asked = await task("interpolate", model.value, [first.value, second.value], parameters, signal);
    const [{ frames }] = asked.answer.outputs;
    view.show(asked.request, asked.ms);
    output.replaceChildren(...frames.map((frame) => element("li", {}, frame)));
  }

  const controls = element("div.controls", {}, labelled("Sentences", steps, String), labelled("Path", method));
  return { elements: [labelled("From", first), labelled("To", second), controls, output],
    start: () => request.now(update), stop: () => request.stop() };
}

/** Return the part that puts the words of a sentence in order, as `walk` does. */
function order(values, view, model) {
  const output = element("p.marked", { role: "status" });
  const request = new LastRequest(view, output);
  const text = element("input.wide", { type: "text", value: values.scrambled ?? SCRAMBLED,
    oninput: () => request.soon(update) });
  const scramble = button("Scramble", () => {
    text.value = shuffled(text.value.trim().split(/\s+/)).join(" ");
    request.now(update);
  });

  async function update(signal) {
    writeState({ scrambled: text.value });
    const asked = await task("denoise", model.value, [text.value], {}, signal);
    view.show(asked.request, asked.ms);
    output.textContent = asked.answer.outputs[0].denoised;
  }

  return { elements: [element("h2", {}, "Words put in order"), labelled("Words", text),
    element("div.buttons", {}, scramble), output], start: () => request.now(update), stop: () => request.stop() };
}

/** Return the part that draws sentences, as `walk` does. */
function samples(values, view, model) {
  const output = element("ul.walk", { "aria-label": "Samples", "aria-live": "polite" });
  const request = new LastRequest(view, output);
  let seed = Number(values.seed ?? 1);
  const again = button("Draw others", () => {
    seed = Math.floor(Math.random() * MAX_SEED);
    writeState({ seed });
    request.now(update);
  });

  async function update(signal) {
    const asked = await task("sample", model.value, undefined, { n: N_SAMPLES, seed }, signal);
    view.show(asked.request, asked.ms);
    output.replaceChildren(...asked.answer.outputs.map(({ sample }) => element("li", {}, sample)));
  }

  return { elements: [element("h2", {}, "Samples"), element("div.buttons", {}, again), output],
    start: () => request.now(update), stop: () => request.stop() };
}

/** Return the elements of a list in a random order. Source: Fisher and Yates 1938. */
function shuffled(list) {
  const found = [...list];
  for (let last = found.length - 1; last > 0; last--) {
    const place = Math.floor(Math.random() * (last + 1));
    [found[last], found[place]] = [found[place], found[last]];
  }
  return found;
}
