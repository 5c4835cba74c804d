/**
 * Streams of compressed items: their files, and their bytes beside those of other files.
 */
import { bars } from "../../charts.js";
import { element } from "../../dom.js";
import { bytesOf } from "./browser-files.js";

/** The end of the name of a file with a stream. */
export const SUFFIX = ".mfld";

/** Save a stream as a file, `name` without its end. */
export function saveStream({ stream, name }) {
  const href = URL.createObjectURL(new Blob([bytesOf(stream)]));
  element("a", { href, download: name + SUFFIX }).click();
  URL.revokeObjectURL(href);
}

/**
 * Return bars of sizes in bytes.
 *
 * @param {Array<[string, number]>} sizes pairs of a label and its bytes
 */
export function byteBars(sizes) {
  const most = Math.max(...sizes.map(([, bytes]) => bytes));
  return bars(sizes.map(([label, bytes]) => ({ label, value: bytes / most })), (share) => `${Math.round(share * most)} bytes`);
}
