/**
 * Sounds as samples and as WAV files.
 */
import { Problem } from "../../api.js";

const HEADER_BYTES = 44;
const FULL_SCALE = 32767;
const SWEEP_SECONDS = 1.5;

/**
 * Return the samples of a sound in a file, at a sampling rate and with as many channels as a model has.
 *
 * @param {Blob} blob a file of any format that the browser reads
 * @param {number} rate samples of a second
 * @param {number} nChannels one, for the mean of all channels; or two, of which a single one is copied
 * @returns {Promise<Float32Array[]>}
 * @throws {Problem} the browser cannot read the file, or there is nothing in it
 */
export async function soundOf(blob, rate, nChannels) {
  let buffer;
  try {
    buffer = await new OfflineAudioContext(nChannels, 1, rate).decodeAudioData(await blob.arrayBuffer());
  } catch (error) {
    throw new Problem({ title: "This browser cannot read the sound", detail: error.message });
  }
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, place) => buffer.getChannelData(place));
  if (nChannels === 1) {
    return [channels[0].map((_, place) => channels.reduce((sum, each) => sum + each[place], 0) / channels.length)];
  }
  return [channels[0], channels[1] ?? channels[0]];
}

/** Return a WAV file of samples, with 16 bits for each. */
export function wavOf(channels, rate) {
  const nBytes = 2 * channels.length * channels[0].length;
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + nBytes));
  const text = (place, letters) => [...letters].forEach((letter, i) => view.setUint8(place + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, HEADER_BYTES - 8 + nBytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);  // PCM
  view.setUint16(22, channels.length, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * channels.length * rate, true);
  view.setUint16(32, 2 * channels.length, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, nBytes, true);
  let place = HEADER_BYTES;
  for (let i = 0; i < channels[0].length; i++) {
    for (const channel of channels) {
      view.setInt16(place, Math.round(FULL_SCALE * Math.max(-1, Math.min(1, channel[i]))), true);
      place += 2;
    }
  }
  return new Blob([view], { type: "audio/wav" });
}

/** Return a tone that rises over four octaves, with overtones, and fades in and out. */
export function sweep(rate, nChannels) {
  const n = Math.round(SWEEP_SECONDS * rate);
  const samples = new Float32Array(n);
  let phase = 0;
  for (let i = 0; i < n; i++) {
    phase += (2 * Math.PI * 110 * 2 ** ((4 * i) / n)) / rate;
    const loudness = 0.4 * Math.sin((Math.PI * i) / n);
    samples[i] = loudness * (Math.sin(phase) + 0.4 * Math.sin(2 * phase));
  }
  return Array.from({ length: nChannels }, () => samples);
}
