/**
 * Shows texts in Markdown, as far as model cards use it. All of it is put into the page as text.
 */
import { element } from "./dom.js";

const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\(([^)\s]+)\)/g;
const IMAGE = /^!\[([^\]]*)\]\(([^)\s]+)\)$/;
const DIVIDER = /^\|?[\s:|-]+\|?$/;

/**
 * Return the elements of a text.
 *
 * @param {string} text
 * @param {{level?: number, image?: (source: string, label: string) => ?HTMLElement}} [settings] `level` is that of the
 *   first heading; `image` makes the element of a picture, or null
 * @returns {HTMLElement[]}
 */
export function fromMarkdown(text, { level = 3, image = () => null } = {}) {
  const made = [];
  const lines = text.split("\n");
  while (lines.length) {
    const block = nextBlock(lines);
    const node = block.length ? elementOf(block, level, image) : null;
    if (node) made.push(node);
  }
  return made;
}

/** Take the lines of the next block: a fenced one, or those up to an empty line or a change of kind. */
function nextBlock(lines) {
  const block = [lines.shift()];
  if (block[0].startsWith("```")) {
    while (lines.length && !lines[0].startsWith("```")) block.push(lines.shift());
    lines.shift();
    return block;
  }
  if (!block[0].trim()) return [];
  if (/^#+ /.test(block[0]) || IMAGE.test(block[0])) return block;
  while (lines.length && lines[0].trim() && kindOf(lines[0]) === kindOf(block[0])) block.push(lines.shift());
  return block;
}

function kindOf(line) {
  return line.startsWith("|") ? "table" : line.startsWith("```") ? "code" : /^#+ /.test(line) ? "heading" : "text";
}

function elementOf(block, level, image) {
  const [first] = block;
  const heading = /^(#+) (.*)$/.exec(first);
  const picture = IMAGE.exec(first);
  if (first.startsWith("```")) return element("pre", { tabIndex: 0 }, block.slice(1).join("\n"));
  if (heading) return element(`h${Math.min(6, level + heading[1].length - 1)}`, {}, ...inline(heading[2]));
  if (picture) return image(picture[2], picture[1]);
  if (first.startsWith("|")) return tableOf(block);
  if (first.startsWith("- ")) {
    return element("ul", {}, ...itemsOf(block).map((item) => element("li", {}, ...inline(item))));
  }
  return element("p", {}, ...inline(block.join(" ")));
}

function itemsOf(block) {
  return block.reduce((items, line) => (line.startsWith("- ") ? [...items, line.slice(2)]
    : [...items.slice(0, -1), `${items.at(-1)} ${line.trim()}`]), []);
}

function tableOf(block) {
  const cells = (line) => line.replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  const [head, ...rows] = block.filter((line) => !DIVIDER.test(line));
  const row = (line, tag) => element("tr", {}, ...cells(line).map((cell) => element(tag, {}, ...inline(cell))));
  return element("div.scroll", {}, element("table", {}, element("thead", {}, row(head, "th")),
    element("tbody", {}, ...rows.map((line) => row(line, "td")))));
}

function inline(text) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(INLINE)) {
    const [whole, code, strong, label, target] = found;
    parts.push(text.slice(end, found.index));
    if (code) parts.push(element("code", {}, code));
    else if (strong) parts.push(element("strong", {}, ...inline(strong)));
    else parts.push(/^https?:/.test(target) ? element("a", { href: target, rel: "noreferrer" }, label) : label);
    end = found.index + whole.length;
  }
  return [...parts, text.slice(end)].filter((part) => part !== "");
}
