/**
 * The state of the page, which is in the URL behind "#", so that a view can be shared: "#latent?model=vae-mnist&seed=3".
 */

/** Return the id of the panel, and its values by name. */
export function readState() {
  const [panel, query = ""] = location.hash.slice(1).split("?");
  return { panel, values: Object.fromEntries(new URLSearchParams(query)) };
}

/**
 * Change values of the panel that is shown. Those that are null or undefined are removed. The panel is not shown anew.
 *
 * @param {Object<string, string|number|boolean|null|undefined>} changes
 */
export function writeState(changes) {
  const { panel, values } = readState();
  const merged = Object.entries({ ...values, ...changes }).filter(([, value]) => value !== null && value !== undefined);
  const query = new URLSearchParams(merged.map(([name, value]) => [name, String(value)])).toString();
  history.replaceState(null, "", `#${panel}${query ? `?${query}` : ""}`);
}
