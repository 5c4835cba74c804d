/**
 * The state of the page, which is in the URL behind "#", so that a view can be shared: "#latent?model=vae-mnist&seed=3".
 */

/** Pause between two changes of the URL, of which browsers allow few: Safari allows 100 in 30 seconds. */
const PAUSE_MS = 350;

let waiting = null;

/** Return the id of the panel, and its values by name. */
export function readState() {
  const [panel, query = ""] = location.hash.slice(1).split("?");
  return { panel, values: Object.fromEntries(new URLSearchParams(query)) };
}

/**
 * Change values of the panel that is shown. Those that are null or undefined are removed. The panel is not shown anew.
 * The URL changes after a pause, with what was changed meanwhile, unless another panel is shown by then.
 *
 * @param {Object<string, string|number|boolean|null|undefined>} changes
 */
export function writeState(changes) {
  const { panel } = readState();
  if (waiting?.panel !== panel) {
    const started = { panel, changes: {} };
    waiting = started;
    setTimeout(() => writeNow(started), PAUSE_MS);
  }
  Object.assign(waiting.changes, changes);
}

function writeNow(started) {
  if (waiting === started) waiting = null;
  const { panel, values } = readState();
  if (panel !== started.panel) return;
  const merged = Object.entries({ ...values, ...started.changes }).filter(([, value]) => (value ?? null) !== null);
  const query = new URLSearchParams(merged.map(([name, value]) => [name, String(value)])).toString();
  history.replaceState(null, "", `#${panel}${query ? `?${query}` : ""}`);
}
