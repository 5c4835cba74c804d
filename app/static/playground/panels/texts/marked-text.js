/**
 * Marks places in a text.
 */
import { element } from "../../dom.js";

/**
 * Return a paragraph of the text with some places marked.
 *
 * @param {string} text
 * @param {Array<{start: number, end: number, make: (part: string) => Node}>} places in the order of the text, without
 *   overlaps. The server counts characters as Python does: one outside the basic plane counts once, not twice
 */
export function markedText(text, places) {
  const characters = [...text];
  const made = element("p.marked");
  let shown = 0;
  for (const { start, end, make } of places) {
    made.append(characters.slice(shown, start).join(""), make(characters.slice(start, end).join("")));
    shown = end;
  }
  made.append(characters.slice(shown).join(""));
  return made;
}
