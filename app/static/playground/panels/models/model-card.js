/**
 * What the server knows about a model, and the buttons that load and unload it.
 */
import { Problem } from "../../api.js";
import { button, element } from "../../dom.js";

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Return a number of bytes in words. */
export function bytes(number) {
  const power = number ? Math.min(UNITS.length - 1, Math.floor(Math.log2(number) / 10)) : 0;
  return `${(number / 1024 ** power).toFixed(power ? 1 : 0)} ${UNITS[power]}`;
}

/** A card. `element` goes into the page. */
export class ModelCard {
  /**
   * @param {Object} model a model as `GET /models` describes it
   * @param {(id: string, action: "load"|"unload") => Promise<void>} onchange called to load or unload the model; the
   *   card shows the problem that it may throw
   */
  constructor(model, onchange) {
    this.onchange = onchange;
    this.element = element("section.card", { "aria-label": model.id });
    this.update(model);
  }

  /** Show the model as it is described now. */
  update(model) {
    const isOpen = this.element.querySelector("details")?.open ?? false;
    const hadFocus = this.element.contains(document.activeElement);
    this.model = model;
    this.load = button("Load", () => this.#change("load"), { "aria-label": `Load ${model.id}` });
    this.unload = button("Unload", () => this.#confirm(), { "aria-label": `Unload ${model.id}` });
    this.load.hidden = !["unloaded", "failed", "idle"].includes(model.state);
    this.unload.hidden = !["ready", "recovering"].includes(model.state);
    this.note = element("p.quiet", { role: "status" });
    this.element.replaceChildren(
      element("div.head", {}, element("h4", {}, model.id), element(`span.state.state-${model.state}`, {}, model.state)),
      element("p.quiet", {}, this.#sizes()),
      ...(model.reason ? [element("p.warning", {}, model.reason)] : []),
      ...(model.known_failings ? [element("p", {}, `Known failings: ${model.known_failings}`)] : []),
      this.#figures(isOpen), element("div.buttons", {}, this.load, this.unload), this.note);
    if (hadFocus) [this.load, this.unload].find((each) => !each.hidden)?.focus();
  }

  #sizes() {
    const { title, parameters, dtype, memory_bytes: memory } = this.model;
    const compact = Intl.NumberFormat("en", { notation: "compact" });
    const count = parameters ? `${compact.format(parameters)} parameters` : null;
    return [title, count, dtype, memory ? bytes(memory) : null].filter(Boolean).join(" · ");
  }

  #figures(isOpen) {
    const { tasks, item, metrics, limits, licence, cosine_to_float32: cosine, self_check: check } = this.model;
    const rows = [
      ["tasks", tasks.join(", ")],
      ["items", item ? `${item.modality} of shape [${item.shape.join(", ")}]` : null],
      ...Object.entries(metrics).map(([name, value]) => [inWords(name), Number(value.toPrecision(4))]),
      ...Object.entries(limits).map(([name, value]) => [`limit: ${inWords(name)}`, value.toLocaleString("en")]),
      ["cosine to float32", cosine],
      ["self-check", check ? `${check.agrees ? "agrees" : "differs"} (${check.source})` : null],
      ["licence", licence],
    ].filter(([, value]) => value !== null && value !== undefined && value !== "");
    return element("details", { open: isOpen }, element("summary", {}, "Figures and limits"),
      element("table", {}, ...rows.map(([name, value]) =>
        element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value)))));
  }

  #confirm() {
    const { id } = this.model;
    const yes = button("Unload", () => dialog.close("yes"), { className: "primary" });
    const dialog = element("dialog", { "aria-label": `Unload ${id}`, onclose: () => {
      dialog.remove();
      this.unload.focus();
      if (dialog.returnValue === "yes") this.#change("unload");
    } }, element("form", { method: "dialog" },
      element("p", {}, `Unload ${id}? Requests that wait for it are still answered. Later ones are refused until it is `
        + "loaded again."),
      element("div.buttons", {}, yes, button("Cancel", () => dialog.close("no")))));
    document.body.append(dialog);
    dialog.showModal();
  }

  async #change(action) {
    this.load.disabled = this.unload.disabled = true;
    this.note.textContent = action === "load" ? "The model is being loaded." : "The model is being unloaded.";
    try {
      await this.onchange(this.model.id, action);
      this.note.textContent = "";
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.note.textContent = `${error.title}: ${error.message}`;
    } finally {
      this.load.disabled = this.unload.disabled = false;
    }
  }
}

function inWords(name) {
  return name.replaceAll("_", " ");
}
