/**
 * Moves the focus among many buttons with the arrow keys.
 */

/**
 * Let the arrow keys move among buttons, of which the Tab key reaches only one: the first, or the one used last.
 *
 * @param {HTMLElement[]} buttons row by row
 * @param {number} nColumns number of buttons in a row
 */
export function moveByArrows(buttons, nColumns = 1) {
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: nColumns, ArrowUp: -nColumns };
  let reached = buttons[0];
  buttons.forEach((each, place) => {
    each.tabIndex = each === reached ? 0 : -1;
    each.addEventListener("focus", () => {
      reached.tabIndex = -1;
      reached = each;
      each.tabIndex = 0;
    });
    each.addEventListener("keydown", (event) => {
      const next = buttons[place + (steps[event.key] ?? NaN)];
      if (!next) return;
      event.preventDefault();
      next.focus();
    });
  });
}
