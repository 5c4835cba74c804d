/**
 * Makes elements of the page.
 */

/**
 * Return an element. Properties that begin with "on" are listeners; those with a hyphen, and "role", are attributes.
 *
 * @param {string} tag name of the element, which may be followed by classes, as in "div.card.wide"
 * @param {Object} [properties] what it has; undefined and null are left out
 * @param {...(Node|string|number|null|undefined)} children what it contains
 * @returns {HTMLElement}
 */
export function element(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const made = document.createElement(name);
  made.classList.add(...classes);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key.includes("-") || key === "role" || key === "list" || key === "for") made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

let nLabels = 0;

/**
 * Return a labelled control: its label stands before it, and its value behind it if `show` tells how to write it.
 *
 * @param {string} text the label
 * @param {HTMLElement} control an input or a select
 * @param {(value: string) => string} [show]
 * @returns {HTMLElement}
 */
export function labelled(text, control, show) {
  control.id ||= `control-${nLabels++}`;
  const parts = [element("label", { for: control.id }, text), control];
  if (show) {
    const output = element("output", { for: control.id }, show(control.value));
    control.addEventListener("input", () => (output.textContent = show(control.value)));
    parts.push(output);
  }
  return element("div.field", {}, ...parts);
}

/** Return a slider. */
export function slider(name, { min, max, step, value, oninput }) {
  return element("input", { type: "range", name, min, max, step, value, oninput });
}

/**
 * Return a list to choose from.
 *
 * @param {string} name
 * @param {Array<string|[string, string]>} options values, or pairs of a value and its label
 * @param {string} value the one that is chosen
 * @param {(event: Event) => void} onchange
 */
export function select(name, options, value, onchange) {
  const pairs = options.map((option) => (Array.isArray(option) ? option : [option, option]));
  const made = element("select", { name, onchange });
  made.append(...pairs.map(([each, text]) => element("option", { value: each, selected: each === value }, text)));
  return made;
}

/**
 * Return a table that can be scrolled to the side where it is too wide for the page.
 *
 * @param {string} label what it holds
 * @param {string[]} heads the heads of the columns; none where the list is empty
 * @param {Array<Array<Node|string|number>>} rows the cells of each row
 */
export function table(label, heads, rows) {
  const row = (cells) => element("tr", {}, ...cells.map((cell) => element("td", {}, cell)));
  const head = element("thead", {}, element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text))));
  return element("div.scroll", { tabIndex: 0, role: "region", "aria-label": label },
    element("table", {}, ...(heads.length ? [head] : []), element("tbody", {}, ...rows.map(row))));
}

/** Return a button. */
export function button(text, onclick, properties = {}) {
  return element("button", { type: "button", onclick, ...properties }, text);
}

/** Return a function that calls another at most once before the next frame, with the last arguments. */
export function oncePerFrame(call) {
  let last = null;
  return (...values) => {
    if (last === null) {
      requestAnimationFrame(() => {
        const found = last;
        last = null;
        call(...found);
      });
    }
    last = values;
  };
}
