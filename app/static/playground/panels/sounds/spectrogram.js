/**
 * The spectrogram of a sound as a picture: time to the right, frequency upwards, louder is brighter.
 */
const LENGTH = 256;
const RANGE_DB = 80;
/** Colours from silence to the full scale, between which others are interpolated: red, green and blue. */
const COLOURS = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];

/**
 * Return a spectrogram.
 *
 * @param {Float32Array} samples
 * @param {number} width pixels of the picture, each of which is the spectrum of a window of 256 samples
 * @returns {ImageData} 128 pixels high, from 0 Hz at the bottom to half the sampling rate
 */
export function spectrogram(samples, width) {
  const height = LENGTH / 2;
  const image = new ImageData(width, height);
  const window = Array.from({ length: LENGTH }, (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / LENGTH));
  for (let x = 0; x < width; x++) {
    const begin = Math.round(((x + 0.5) * samples.length) / width) - LENGTH / 2;
    const real = window.map((weight, i) => weight * (samples[begin + i] ?? 0));
    const imaginary = new Array(LENGTH).fill(0);
    transform(real, imaginary);
    for (let bin = 0; bin < height; bin++) {
      const amplitude = (4 / LENGTH) * Math.hypot(real[bin], imaginary[bin]);  // 1 for a sine of the full scale
      const share = Math.max(0, Math.min(1, 1 + (20 * Math.log10(amplitude + 1e-9)) / RANGE_DB));
      const place = 4 * ((height - 1 - bin) * width + x);
      image.data.set([...colourOf(share), 255], place);
    }
  }
  return image;
}

function colourOf(share) {
  const place = share * (COLOURS.length - 1);
  const [first, second] = [COLOURS[Math.floor(place)], COLOURS[Math.ceil(place)]];
  return first.map((value, i) => value + (second[i] - value) * (place % 1));
}

/**
 * Replace numbers, whose count is a power of 2, by their discrete Fourier transform.
 *
 * Source: Cooley and Tukey 1965.
 */
function transform(real, imaginary) {
  const n = real.length;
  if (n === 1) return;
  const half = n / 2;
  const parts = [0, 1].map((odd) => [real, imaginary].map((all) => all.filter((_, i) => i % 2 === odd)));
  for (const [r, i] of parts) transform(r, i);
  const [[evenReal, evenImaginary], [oddReal, oddImaginary]] = parts;
  for (let k = 0; k < half; k++) {
    const [cos, sin] = [Math.cos((-2 * Math.PI * k) / n), Math.sin((-2 * Math.PI * k) / n)];
    const [r, i] = [cos * oddReal[k] - sin * oddImaginary[k], cos * oddImaginary[k] + sin * oddReal[k]];
    [real[k], imaginary[k]] = [evenReal[k] + r, evenImaginary[k] + i];
    [real[k + half], imaginary[k + half]] = [evenReal[k] - r, evenImaginary[k] - i];
  }
}
