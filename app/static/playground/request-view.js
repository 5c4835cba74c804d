/**
 * Shows the last request of a panel as a person would write it, the time it took, and errors.
 */
import { Problem, snippets } from "./api.js";
import { button, element } from "./dom.js";

const LANGUAGES = ["curl", "Python", "JavaScript"];

/**
 * A part of a panel: `element` goes into the page; `show` and `fail` are called with the outcome of a request.
 */
export class RequestView {
  #request = null;
  #language = LANGUAGES[0];

  /** @param {string} [label] what distinguishes it where a panel has several */
  constructor(label = "Request") {
    this.status = element("p.status", { role: "status" });
    this.problem = element("div.problem", { role: "alert", hidden: true });
    this.code = element("pre", { tabIndex: 0 });
    this.buttons = LANGUAGES.map((language) => button(language, () => this.#choose(language)));
    this.copy = button("Copy", () => this.#copy());
    const tools = element("div.buttons", {}, ...this.buttons, this.copy);
    this.details = element("details.request", { hidden: true, ontoggle: () => this.#render() },
      element("summary", {}, "Request"), tools, this.code);
    this.element = element("section.outcome", { "aria-label": label }, this.status, this.problem, this.details);
    this.#choose(this.#language);
  }

  /**
   * Show a request that was answered.
   *
   * @param {import("./api.js").Request} request
   * @param {number} ms the time it took, in milliseconds
   * @param {string} [note] what else there is to say
   */
  show(request, ms, note = "") {
    this.problem.hidden = true;
    this.status.textContent = `Answered in ${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms.${note ? ` ${note}` : ""}`;
    this.#request = request;
    this.details.hidden = false;
    this.#render();
  }

  /** Show that work goes on. */
  wait(text) {
    this.problem.hidden = true;
    this.status.textContent = text;
  }

  /**
   * Show why a request failed. Requests that were ended on purpose are no failures.
   *
   * @param {Error} error
   * @throws {Error} it is no answer of the server, but a mistake of this page
   */
  fail(error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Problem)) throw error;
    this.status.textContent = "";
    const lines = error.errors.length ? error.errors.map(({ pointer, detail }) => `${pointer}: ${detail}`) : [error.message];
    const again = error.retryAfter ? `Try again in ${error.retryAfter} s.` : null;
    this.problem.replaceChildren(element("strong", {}, error.title), ...lines.map((line) => element("p", {}, line)),
      ...(again ? [element("p", {}, again)] : []));
    this.problem.hidden = false;
  }

  #choose(language) {
    this.#language = language;
    for (const each of this.buttons) each.setAttribute("aria-pressed", String(each.textContent === language));
    this.#render();
  }

  /** Write the code only where it is seen: it may be long, and requests may follow each other quickly. */
  #render() {
    if (this.#request && this.details.open) this.code.textContent = snippets(this.#request)[this.#language];
  }

  async #copy() {
    await navigator.clipboard.writeText(snippets(this.#request)[this.#language]);
    this.copy.textContent = "Copied";
    setTimeout(() => (this.copy.textContent = "Copy"), 1500);
  }
}
