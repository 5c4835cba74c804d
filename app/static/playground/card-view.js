/**
 * Shows the card of a model, with its charts.
 */
import { ask } from "./api.js";
import { element } from "./dom.js";
import { fromMarkdown } from "./markdown.js";

/** A part of a panel; `element` goes into the page. */
export class CardView {
  #url = null;

  constructor() {
    this.content = element("section", { "aria-label": "Model card" });
    this.element = element("details.model-card", { hidden: true }, element("summary", {}, "Card and charts of the model"),
      this.content);
  }

  /**
   * Show the card of a model.
   *
   * @throws {Problem} the model has none
   */
  async show(id) {
    const path = `/cards/${encodeURIComponent(id)}`;
    const [card, charts] = await Promise.all([
      ask({ path, accept: "text/markdown" }).then(({ answer }) => answer.text()),
      ask({ path, accept: "image/png" }).then(({ answer }) => answer, () => null),  // not every card has charts
    ]);
    this.destroy();
    this.#url = charts && URL.createObjectURL(charts);
    const image = (source, label) =>
      source === "charts.png" && this.#url ? element("img.wide", { src: this.#url, alt: label }) : null;
    this.content.replaceChildren(...fromMarkdown(card, { level: 2, image }));
    this.element.hidden = false;
  }

  destroy() {
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = null;
    this.element.hidden = true;
  }
}
