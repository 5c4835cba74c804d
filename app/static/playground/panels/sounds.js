/**
 * Sounds: record or drop one, choose the bandwidth, and hear and see what is left of it.
 */
import { ask, Problem, task } from "../api.js";
import { bars, percent } from "../charts.js";
import { button, element, labelled, select } from "../dom.js";
import { latest } from "../latest.js";
import { modelsOfSounds } from "../models.js";
import { RequestView } from "../request-view.js";
import { writeState } from "../state.js";
import { base64Of } from "./compression/browser-files.js";
import { byteBars, saveStream } from "./compression/streams.js";
import { Recorder } from "./sounds/recorder.js";
import { SoundCard } from "./sounds/sound-card.js";
import { soundOf, sweep, wavOf } from "./sounds/wave-files.js";


/** The panel: it has one sound, compresses it at the chosen bandwidth, and plays both. */
class Sounds {
  #sound = null;
  #stream = null;
  #recorder = null;

  constructor(models, values) {
    this.models = models;
    this.view = new RequestView();
    const fail = (error) => this.view.fail(error);
    this.fail = fail;
    this.compress = latest(() => this.#compress(), fail);
    const known = models.some(({ id }) => id === values.model) ? values.model : models[0].id;
    this.choice = select("model", models.map(({ id }) => id), known, () => this.#changeModel());
    this.bandwidth = element("select", { name: "bandwidth", onchange: () => this.#changeBandwidth() });
    this.record = button("Record", () => this.#record().catch(fail));
    this.open = element("input", { type: "file", accept: "audio/*", onchange: () => this.#openFile(this.open.files[0]) });
    this.original = new SoundCard("The sound");
    this.restored = new SoundCard("What is left of it");
    this.sizes = element("div", {});
    this.classes = element("div", {});
    this.save = button("Save the stream as a file", () => saveStream(this.#stream), { disabled: true });
    this.element = this.#build();
    this.#showBandwidths(values.bandwidth);
    this.#use(sweep(...this.model.item.shape)).catch(fail);
  }

  get model() {
    return this.models.find(({ id }) => id === this.choice.value);
  }

  #build() {
    const dropping = { ondragover: (event) => event.preventDefault(), ondrop: (event) => this.#drop(event) };
    return element("div", dropping,
      element("div.controls", {}, labelled("Model", this.choice), labelled("Bandwidth", this.bandwidth), this.record,
        labelled("Open a sound", this.open),
        button("Rising tone", () => this.#use(sweep(...this.model.item.shape)).catch(this.fail))),
      element("div.columns", {}, this.original.element, this.restored.element),
      element("h2", {}, "Bytes"), this.sizes, element("div.controls", {}, this.save), this.classes, this.view.element);
  }

  leave() {
    this.#recorder?.cancel();
    for (const card of [this.original, this.restored]) card.leave();
  }

  /** Offer the bandwidths of the chosen model. */
  #showBandwidths(wanted) {
    const options = this.model.item.bandwidths.map((each) => [String(each), `${each} kbit/s`]);
    this.bandwidth.replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
    if (options.some(([value]) => value === wanted)) this.bandwidth.value = wanted;
  }

  /** Read the sound anew, because the model may have another sampling rate or number of channels. */
  #changeModel() {
    writeState({ model: this.choice.value, bandwidth: null });
    this.#showBandwidths();
    const [rate, nChannels] = this.model.item.shape;
    soundOf(this.original.file, rate, nChannels).then((channels) => this.#use(channels)).catch(this.fail);
  }

  #changeBandwidth() {
    writeState({ bandwidth: this.bandwidth.value });
    this.compress();
  }

  /** Begin to record, or end it. It ends by itself when the sound is as long as a request may have it. */
  async #record() {
    if (this.#recorder) {
      this.#recorder.stop();
      return;
    }
    this.#recorder = new Recorder();
    this.record.textContent = "Stop";
    this.record.setAttribute("aria-pressed", "true");
    this.view.wait("Recording …");
    try {
      const { item: { shape: [rate, nChannels] }, limits: { max_audio_seconds: seconds } } = this.model;
      const blob = await this.#recorder.record(seconds);
      if (!blob) return;
      const channels = await soundOf(blob, rate, nChannels);
      await this.#use(channels.map((each) => each.subarray(0, seconds * rate)));
    } finally {
      this.#recorder = null;
      this.record.textContent = "Record";
      this.record.removeAttribute("aria-pressed");
    }
  }

  #openFile(file) {
    if (file) this.#read(file).catch(this.fail);
  }

  #drop(event) {
    event.preventDefault();
    this.#openFile(event.dataTransfer.files[0]);
  }

  /** Use the sound in a file of any format that the browser reads. */
  async #read(blob) {
    const [rate, nChannels] = this.model.item.shape;
    await this.#use(await soundOf(blob, rate, nChannels));
  }

  async #use(channels) {
    const [rate] = this.model.item.shape;
    this.#sound = wavOf(channels, rate);
    this.original.show(this.#sound, channels, rate, `${this.#sound.size} bytes as WAV`);
    await this.compress();
  }

  /** Compress the sound, and show what comes out of the stream. */
  async #compress() {
    const { model } = this;
    const sound = this.#sound;
    const [rate, nChannels] = model.item.shape;
    const url = `data:audio/wav;base64,${await base64Of(sound)}`;
    const parameters = { bandwidth: Number(this.bandwidth.value) };
    const { answer, request, ms } = await task("compress", model.id, [url], parameters);
    const [stream] = answer.outputs;
    const { answer: file } = await ask({ path: "/decompress", json: { model: model.id, inputs: [stream.stream] },
      accept: "audio/wav" });
    this.#stream = { ...stream, name: `${model.id}-${parameters.bandwidth}-kbps`.replaceAll("/", "-") };
    this.save.disabled = false;
    this.restored.show(file, await soundOf(file, rate, nChannels), rate, `${stream.bytes} bytes`,
      `${stream.kbit_per_s.toFixed(2)} kbit/s`, `1 / ${stream.ratio.toFixed(1)} of 16 bits a sample`);
    const sizes = [["the sound as WAV", sound.size], ["the stream", stream.bytes]];
    this.sizes.replaceChildren(byteBars(sizes));
    await this.#classify(model, url);
    this.view.show(request, ms);
  }

  /** Show the classes of the sound, if the model has any. */
  async #classify(model, url) {
    this.classes.replaceChildren();
    if (!model.tasks.includes("classify")) return;
    const { answer } = await task("classify", model.id, [url], { top_k: 5 });
    const rows = answer.outputs[0].labels.map(({ label, score }) => ({ label, value: score }));
    this.classes.append(element("h2", {}, "Classes"), bars(rows, percent));
  }
}

/** Show the panel; see `PANELS` in main.js. */
export async function show(root, values) {
  const models = await modelsOfSounds();
  if (!models.length) {
    root.append(element("p.notice", {}, "No model of sounds is loaded."));
    return undefined;
  }
  if (!window.OfflineAudioContext) throw new Problem({ title: "This browser cannot decode sounds" });
  const sounds = new Sounds(models, values);
  root.append(
    element("p", {}, "Record a sound, or drop a file of one on this page. The model turns it into a stream of indices, at "
      + "the bandwidth that you choose, and back. The stream is a real one, and its bytes are all that is needed to "
      + "hear what you hear on the right."),
    sounds.element);
  return () => sounds.leave();
}
