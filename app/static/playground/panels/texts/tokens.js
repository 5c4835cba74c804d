/**
 * Writes tokens so that people can read them.
 */

const SPACE_SIGN = "Ġ";  // how vocabularies of bytes write a space

/** Return a text of a token with its spaces and line breaks as signs: many tokens differ in nothing else. */
export function visible(text) {
  return text.replaceAll(" ", "␣").replaceAll("\n", "↵").replaceAll("\t", "⇥") || "∅";
}

/**
 * Return the tokens of a text so that they can be read. Vocabularies of bytes, such as that of GPT-2, write a printable
 * character for each byte of UTF-8; others write ▁ for a space.
 *
 * @param {string[]} tokens the tokens as the vocabulary writes them
 */
export function readable(tokens) {
  const isOfBytes = tokens.some((token) => token.includes(SPACE_SIGN));
  return tokens.map((token) => visible(isOfBytes ? decodeBytes(token) : token.replaceAll("▁", " ")));
}

/** Return the text of a token that is written byte by byte, or the token itself if a character stands for no byte. */
function decodeBytes(token) {
  const bytes = [...token].map((character) => BYTES.get(character));
  return bytes.includes(undefined) ? token : new TextDecoder().decode(new Uint8Array(bytes));
}

/** The bytes by the characters of GPT-2: printable ones stand for themselves, the others for those from U+0100 on. */
const BYTES = new Map();
for (let byte = 0, code = 0x100; byte < 256; byte++) {
  const isPrintable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  BYTES.set(String.fromCharCode(isPrintable ? byte : code++), byte);
}
