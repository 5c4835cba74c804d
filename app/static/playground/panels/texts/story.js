/**
 * A story, which the model writes token by token. The bars are the tokens that may come next, as temperature, top-k and
 * top-p reshape them; each can be chosen by hand.
 */
import { ask, events, task } from "../../api.js";
import { button, element, labelled, oncePerFrame, slider } from "../../dom.js";
import { LastRequest } from "../../last-request.js";
import { writeState } from "../../state.js";
import { Choices } from "./choices.js";
import { reshape } from "./sampling.js";
import { visible } from "./tokens.js";

const N_CANDIDATES = 20;  // as many log-probabilities as the server tells of a token
const TEXT = "Once upon a time there was a little girl who";

/** Show the part; see `PARTS` in texts.js. */
export async function show(root, values, { view, model }) {
  const story = new Story(values, view, model);
  model.addEventListener("change", () => story.begin());
  root.append(story.element);
  story.begin();
  return () => story.request.stop();
}

class Story {
  #ids = [];
  #isWriting = false;
  #candidates = [];

  constructor(values, view, model) {
    this.view = view;
    this.model = model;
    this.text = element("p.story", { "aria-label": "Story so far", role: "region", tabIndex: 0 });
    this.request = new LastRequest(view);
    this.prompt = element("textarea", { value: values.text ?? TEXT, oninput: () => this.beginSoon() });
    const setting = (name, usual, most, step, least = step) => slider(name, {
      min: least, max: most, step, value: values[name] ?? usual, oninput: () => this.renderSoon() });
    this.temperature = setting("temperature", 0.8, 2, 0.05);
    this.topK = setting("top_k", N_CANDIDATES, N_CANDIDATES, 1);
    this.topP = setting("top_p", 1, 1, 0.01);
    this.length = setting("length", 60, 200, 1);
    this.seed = element("input", { type: "number", name: "seed", min: 0, step: 1, value: values.seed ?? 1 });
    const shaping = [this.temperature, this.topK, this.topP];
    shaping.forEach((each) => each.addEventListener("change", () => this.#isWriting && this.write()));
    for (const each of [...shaping, this.length, this.seed]) {
      each.addEventListener("change", () => writeState({ [each.name]: each.value }));
    }
    this.choices = new Choices("Next token", (place) => this.#choose(this.#candidates[place].token));
    this.start = button("Write", () => this.write(), { className: "primary" });
    this.end = button("Stop", () => this.#stop());
    this.renderSoon = oncePerFrame(() => this.#render());
    this.element = this.#layOut();
  }

  #layOut() {
    const twoDigits = (value) => Number(value).toFixed(2);
    return element("div", {},
      labelled("Beginning", this.prompt),
      element("div.controls", {}, labelled("New tokens", this.length, String), labelled("Seed", this.seed)),
      element("div.buttons", {}, this.start, this.end, button("Start over", () => this.begin())),
      element("div.columns", {},
        element("div.grow", {}, element("h2", {}, "Story"), this.text),
        element("div.grow", {}, element("h2", {}, "Next token"),
          element("div.controls.sliders", {}, labelled("Temperature", this.temperature, twoDigits),
            labelled("Top-k", this.topK, String), labelled("Top-p", this.topP, twoDigits)),
          this.choices.element,
          element("p.quiet", {}, "Thick: the probability with which a token is drawn. Thin: that of the model."))));
  }

  beginSoon() {
    this.request.soon((signal) => this.#begin(signal));
  }

  begin() {
    this.request.now((signal) => this.#begin(signal));
  }

  async #begin(signal) {
    this.#setWriting(false);
    writeState({ text: this.prompt.value });
    const { answer } = await task("tokenize", this.model.value, [this.prompt.value], {}, signal);
    this.#ids = answer.outputs[0].ids;
    this.text.textContent = this.prompt.value;
    await this.#showNext(signal);
  }

  /** Let the model continue the story. */
  write() {
    this.request.now((signal) => this.#write(signal).finally(() => signal.aborted || this.#setWriting(false)));
  }

  async #write(signal) {
    const { temperature, topK, topP } = this.#shaping();
    const shaping = { temperature, top_k: topK, top_p: topP, seed: Number(this.seed.value) };
    const request = this.#generation({ max_new_tokens: Number(this.length.value), ...shaping, stream: true }, signal);
    const startedAt = performance.now();
    let [firstMs, nTokens] = [0, 0];
    this.#setWriting(true);
    this.view.wait("The model writes.");
    for await (const { text, token, logprobs, finish_reason: reason } of events(request)) {
      if (token === undefined) continue;  // the last event tells of the whole request
      firstMs ||= performance.now() - startedAt;
      nTokens++;
      this.text.textContent += text;
      if (token !== null && reason !== "stop") this.#ids.push(token);  // the token that ends a text is not part of it
      if (logprobs) this.#candidates = logprobs.top;
      this.renderSoon();
    }
    const ms = performance.now() - startedAt;
    await this.#showNext(signal);
    this.view.show(request, ms, `${nTokens} tokens, the first after ${firstMs.toFixed(0)} ms.`);
  }

  #stop() {
    this.#setWriting(false);
    this.request.now((signal) => this.#showNext(signal));
  }

  /** Put a token behind the story. */
  #choose(token) {
    this.request.now(async (signal) => {
      const ids = [...this.#ids, token];
      const { answer } = await task("detokenize", this.model.value, [ids], {}, signal);
      this.#ids = ids;
      this.text.textContent = answer.outputs[0].text;
      await this.#showNext(signal);
    });
  }

  /** Ask which tokens may come next, and show them. */
  async #showNext(signal) {
    const request = this.#generation({ max_new_tokens: 1 }, signal);
    const { answer, ms } = await ask(request);
    this.view.show(request, ms);
    this.#candidates = answer.outputs[0].generations[0].logprobs[0].top;
    this.#render();
  }

  #shaping() {
    const [temperature, topK, topP] = [this.temperature, this.topK, this.topP].map(({ value }) => Number(value));
    return { temperature, topK, topP };
  }

  #generation(parameters, signal) {
    const shared = { logprobs: N_CANDIDATES, truncate: true };
    return { path: "/generate", signal,
      json: { model: this.model.value, inputs: [this.#ids], parameters: { ...parameters, ...shared } } };
  }

  #setWriting(isWriting) {
    this.#isWriting = isWriting;
    this.#render();
  }

  #render() {
    const probs = reshape(this.#candidates.map(({ logprob }) => logprob), this.#shaping());
    const rows = this.#candidates.map(({ token_str: label, logprob }, place) =>
      ({ label: visible(label), value: probs[place], before: Math.exp(logprob) }));
    this.start.disabled = this.#isWriting;
    this.end.disabled = !this.#isWriting;
    this.choices.show(rows, { disabled: this.#isWriting });
  }
}
