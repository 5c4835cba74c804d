/**
 * Attention weights: a small map for each head of each layer, and the links between the tokens for one of them.
 */
import { drawPicture } from "../../charts.js";
import { button, element } from "../../dom.js";
import { moveByArrows } from "../../keyboard.js";

const SVG = "http://www.w3.org/2000/svg";
const ROW = 30;  // height of a token in pixels, as in texts.css
const LEAST = 0.02;  // weights below are not shown
const N_NAMED = 5;

/**
 * The view of one text. `element` goes into the page.
 */
export class AttentionView {
  #links = [];

  /**
   * @param {Object} maps
   * @param {string[]} maps.queries the tokens that look at others
   * @param {string[]} maps.keys the tokens that are looked at
   * @param {number[][][][]} maps.weights [layer][head][query][key]
   * @param {[string, string]} maps.titles what the queries and the keys are
   * @param {{layer: number, head: number}} shown which head is shown, from 0; the nearest one if there is no such head
   * @param {(layer: number, head: number) => void} onchoose called when another head is chosen
   */
  constructor({ queries, keys, weights, titles }, { layer, head }, onchoose) {
    Object.assign(this, { queries, keys, weights, onchoose });
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("aria-hidden", "true");
    this.caption = element("h3");
    this.summary = element("p.quiet", { "aria-live": "polite" });
    this.queryButtons = queries.map((token, place) => this.#token(token, 0, place));
    this.keyButtons = keys.map((token, place) => this.#token(token, 1, place));
    const sides = [this.queryButtons, this.keyButtons].map((buttons, side) => {
      moveByArrows(buttons);
      return element("div.side", { role: "group", "aria-label": titles[side] }, ...buttons);
    });
    const links = element("div.links", { onpointerleave: () => this.#isolateFocused(),
      onfocusout: () => this.#isolate(null) }, sides[0], this.svg, sides[1]);
    this.element = element("div.columns", {},
      element("div", {}, element("h3", {}, "All heads"), this.#heads()),
      element("div.grow", {}, this.caption, this.summary,
        element("div.link-titles", {}, ...titles.map((title) => element("span", {}, title))), links));
    this.#choose(within(layer, weights.length), within(head, weights[0].length));
  }

  #token(text, side, place) {
    const isolate = () => this.#isolate(side, place);
    const made = button(text, () => made.focus(), { onpointerenter: isolate, onfocus: isolate, title: text });
    return made;
  }

  /** Return the small maps, layer by layer. */
  #heads() {
    const rows = this.weights.map((heads, layer) => heads.map((map, head) => this.#smallMap(map, layer, head)));
    this.headButtons = rows.flat();
    moveByArrows(this.headButtons, rows[0].length);
    const table = element("div.heads", { role: "group", "aria-label": "Heads by layer" },
      ...rows.map((row, layer) => element("div.layer", {}, element("span", {}, `Layer ${layer + 1}`), ...row)));
    return element("div.scroll", {}, table);
  }

  #smallMap(map, layer, head) {
    const canvas = element("canvas.pixels");
    drawPicture(canvas, [map.map((row) => row.map(strength))]);
    const made = button("", () => {
      this.#choose(layer, head);
      this.onchoose(layer, head);
    }, { "aria-label": `Layer ${layer + 1}, head ${head + 1}` });
    made.append(canvas);
    return made;
  }

  #choose(layer, head) {
    const nHeads = this.weights[0].length;
    this.headButtons.forEach((each, place) => {
      each.setAttribute("aria-pressed", String(place === layer * nHeads + head));
    });
    this.caption.textContent = `Layer ${layer + 1}, head ${head + 1}`;
    this.map = this.weights[layer][head];
    const height = ROW * Math.max(this.queries.length, this.keys.length);
    this.svg.setAttribute("viewBox", `0 0 100 ${height}`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.style.height = `${height}px`;
    this.#links = this.map.flatMap((row, query) =>
      row.flatMap((weight, key) => (weight < LEAST ? [] : [{ query, key, line: lineOf(query, key, weight) }])));
    this.svg.replaceChildren(...this.#links.map(({ line }) => line));
    this.#isolate(null);
  }

  #isolateFocused() {
    const query = this.queryButtons.indexOf(document.activeElement);
    const key = this.keyButtons.indexOf(document.activeElement);
    if (query >= 0) this.#isolate(0, query);
    else if (key >= 0) this.#isolate(1, key);
    else this.#isolate(null);
  }

  /** Show the links of one token alone: of a query if `side` is 0, of a key if it is 1, and all links if it is null. */
  #isolate(side, place) {
    const weightsOf = [(key) => this.map[place][key], (query) => this.map[query][place]];
    for (const { query, key, line } of this.#links) {
      line.classList.toggle("off", side !== null && [query, key][side] !== place);
    }
    [this.queryButtons, this.keyButtons].forEach((buttons, each) => buttons.forEach((token, other) => {
      const share = side === null ? 0 : each === side ? Number(other === place) : strength(weightsOf[side](other));
      token.style.setProperty("--share", share.toFixed(3));
    }));
    this.summary.textContent = side === null
      ? "The stronger a link, the more the token on the left looks at the one on the right."
      : this.#describe(side, place, weightsOf[side]);
  }

  #describe(side, place, weightOf) {
    const [names, others] = side === 0 ? [this.queries, this.keys] : [this.keys, this.queries];
    const strongest = others.map((name, other) => ({ name, weight: weightOf(other) }))
      .sort((a, b) => b.weight - a.weight).slice(0, N_NAMED).filter(({ weight }) => weight >= LEAST);
    const list = strongest.map(({ name, weight }) => `${name} ${weight.toFixed(2)}`).join(", ");
    return `${names[place]} ${side === 0 ? "looks at" : "is looked at by"}: ${list || "nothing"}`;
  }
}

/** Return the index that is nearest to a number, of so many. */
function within(number, count) {
  return Math.max(0, Math.min(count - 1, Math.round(number) || 0));
}

/** Return how strongly a weight is shown, from 0 to 1: its root, so that small weights are seen as well. */
function strength(weight) {
  return Math.min(1, Math.sqrt(weight));
}

function lineOf(query, key, weight) {
  const line = document.createElementNS(SVG, "line");
  const [y1, y2] = [ROW * (query + 0.5), ROW * (key + 0.5)];
  const attributes = { x1: 0, y1, x2: 100, y2, "stroke-opacity": strength(weight) };
  for (const [name, value] of Object.entries(attributes)) line.setAttribute(name, value);
  return line;
}
