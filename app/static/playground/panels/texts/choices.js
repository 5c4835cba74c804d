/**
 * Bars that are buttons: a token or an answer is chosen by its bar.
 */
import { button, element } from "../../dom.js";

/** A list of bars. `element` goes into the page; `show` may be called often, and leaves the focus where it is. */
export class Choices {
  #rows = [];

  /**
   * @param {string} label what is chosen
   * @param {(place: number) => void} onchoose called with the place of the bar that was chosen
   */
  constructor(label, onchoose) {
    this.onchoose = onchoose;
    this.element = element("div.choices", { role: "group", "aria-label": label });
  }

  /**
   * Show these bars.
   *
   * @param {Array<{label: string, value: number, before?: number, isPressed?: boolean}>} rows values from 0 to 1;
   *   `before` is another value, which is shown as a thin bar
   * @param {{disabled?: boolean}} [settings] whether nothing can be chosen at this moment
   */
  show(rows, { disabled = false } = {}) {
    while (this.#rows.length < rows.length) this.#add(this.#rows.length);
    while (this.#rows.length > rows.length) this.#rows.pop().made.remove();
    rows.forEach(({ label, value, before = 0, isPressed }, place) => {
      const { made, name, bar, thin, number } = this.#rows[place];
      name.textContent = label;
      number.textContent = `${(100 * value).toFixed(1)}%`;
      bar.style.width = `${100 * value}%`;
      thin.style.width = `${100 * before}%`;
      made.classList.toggle("out", value === 0);
      made.disabled = disabled;
      if (isPressed !== undefined) made.setAttribute("aria-pressed", String(isPressed));
    });
  }

  #add(place) {
    const [name, bar, thin, number] = [element("span.name"), element("div.bar"), element("div.thin"), element("span")];
    const made = button("", () => this.onchoose(place));
    made.append(name, element("div", {}, bar, thin), number);
    this.#rows.push({ made, name, bar, thin, number });
    this.element.append(made);
  }
}
