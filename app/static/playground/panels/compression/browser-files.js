/**
 * Pictures as files of the browser: JPEG and WebP, their sizes and what they lose.
 */
import { drawPicture } from "../../charts.js";
import { element } from "../../dom.js";

const QUALITIES = [0.01, ...Array.from({ length: 20 }, (_, place) => (place + 1) / 20)];

/**
 * Return a picture of the server's as files of one type, in each of `QUALITIES`; none if the browser cannot write it.
 * Their bytes are counted without the colour profile that browsers add, which is larger than a small picture.
 *
 * @param {Array<Array<Array<number>>>} picture numbers from 0 to 1, [channels][height][width]
 * @param {"image/jpeg"|"image/webp"} type
 * @param {AbortSignal} signal ends it
 * @returns {Promise<Array<{quality: number, bytes: number, psnr: number, picture: Array}>>}
 */
export async function filesOf(picture, type, signal) {
  const canvas = element("canvas", {});
  drawPicture(canvas, picture);
  const files = [];
  for (const quality of QUALITIES) {
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, type, quality));
    signal.throwIfAborted();
    if (blob?.type !== type) return [];
    const read = await pictureOf(blob, picture.length);
    const bytes = sizeWithoutProfile(new Uint8Array(await blob.arrayBuffer()));
    files.push({ quality, bytes, psnr: psnrOf(picture, read), picture: read });
  }
  return files;
}

/**
 * Return the picture in a file, as the server gives pictures.
 *
 * @param {Blob} blob
 * @param {number} nChannels 1 or 3; a grey picture has the mean of the three colours
 */
export async function pictureOf(blob, nChannels) {
  const bitmap = await createImageBitmap(blob);
  const { width, height } = bitmap;
  const context = element("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return numbersOf(context.canvas, nChannels);
}

/** Return the colours on a canvas as `pictureOf` does. */
export function numbersOf(canvas, nChannels) {
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const valueAt = (place, channel) =>
    (nChannels === 1 ? (data[place] + data[place + 1] + data[place + 2]) / 3 : data[place + channel]) / 255;
  return Array.from({ length: nChannels }, (_, channel) => Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => valueAt(4 * (y * width + x), channel))));
}

/** Return how many bytes a JPEG or WebP file has but for its colour profile. */
function sizeWithoutProfile(bytes) {
  const isWebP = String.fromCharCode(...bytes.subarray(0, 4)) === "RIFF";
  return bytes.length - (isWebP ? profileOfWebP(bytes) : profileOfJpeg(bytes));
}

/** Return the bytes of the chunks ICCP, which is the profile, and VP8X, which announces it. */
function profileOfWebP(bytes) {
  const view = new DataView(bytes.buffer);
  let [place, profile] = [12, 0];
  while (place < bytes.length) {
    const length = 8 + 2 * Math.ceil(view.getUint32(place + 4, true) / 2);
    if (["ICCP", "VP8X"].includes(String.fromCharCode(...bytes.subarray(place, place + 4)))) profile += length;
    place += length;
  }
  return profile;
}

/** Return the bytes of the segments APP2, which are the profile; they stand before the start of the scan. */
function profileOfJpeg(bytes) {
  const view = new DataView(bytes.buffer);
  let [place, profile] = [2, 0];
  while (bytes[place + 1] !== 0xda) {
    const length = 2 + view.getUint16(place + 2);
    if (bytes[place + 1] === 0xe2) profile += length;
    place += length;
  }
  return profile;
}

/** Return the peak signal-to-noise ratio of a picture in decibels, as `/compress` does: 100 if nothing is lost. */
export function psnrOf(picture, read) {
  const [numbers, others] = [picture.flat(2), read.flat(2)];
  const mse = numbers.reduce((sum, number, place) => sum + (number - others[place]) ** 2, 0) / numbers.length;
  return mse === 0 ? 100 : Math.min(100, -10 * Math.log10(mse));
}

/** Return the bytes of a string of base64. */
export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** Return the content of a file as base64. */
export function base64Of(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1] ?? "");
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
