/**
 * Records a sound from the microphone.
 */
import { Problem } from "../../api.js";

/** One recording. */
export class Recorder {
  #media = null;
  #isCancelled = false;

  /**
   * Record until `stop` is called or the time is over.
   *
   * @param {number} seconds the longest recording
   * @returns {Promise<?Blob>} a file in a format that the browser reads; null if the recording was cancelled
   * @throws {Problem} there is no microphone, or the person or the browser does not allow its use
   */
  async record(seconds) {
    const stream = await microphone();
    if (this.#isCancelled) {
      end(stream);
      return null;
    }
    this.#media = new MediaRecorder(stream);
    const parts = [];
    this.#media.addEventListener("dataavailable", ({ data }) => parts.push(data));
    const ended = new Promise((resolve) => this.#media.addEventListener("stop", resolve));
    this.#media.start();
    const timer = setTimeout(() => this.stop(), 1000 * seconds);
    await ended;
    clearTimeout(timer);
    end(stream);
    return this.#isCancelled ? null : new Blob(parts, { type: this.#media.mimeType });
  }

  stop() {
    if (this.#media?.state === "recording") this.#media.stop();
  }

  /** End the recording, and forget it. */
  cancel() {
    this.#isCancelled = true;
    this.stop();
  }
}

async function microphone() {
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: true });
  } catch (error) {
    throw new Problem({ title: "The microphone cannot be used", detail: error.message });
  }
}

function end(stream) {
  for (const track of stream.getTracks()) track.stop();
}
