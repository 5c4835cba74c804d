/**
 * Requests of which only the newest counts, as those about a text that someone is typing.
 */

const PAUSE_MS = 300;

/** Sends the newest request, and ends the one before it if it is not answered yet. */
export class LastRequest {
  #controller = null;
  #timer = null;

  /**
   * @param {import("./request-view.js").RequestView} view it shows why a request failed
   * @param {HTMLElement} [output] what the last answer is shown in, if it is to be emptied when a request fails
   */
  constructor(view, output) {
    this.view = view;
    this.output = output;
  }

  /**
   * Call `ask` with the signal that ends its requests.
   *
   * @param {(signal: AbortSignal) => Promise<void>} ask
   */
  async now(ask) {
    this.stop();
    const { signal } = (this.#controller = new AbortController());
    try {
      await ask(signal);
    } catch (error) {
      if (!signal.aborted) this.output?.replaceChildren();
      this.view.fail(error);
    }
  }

  /** Do the same as `now` after a short pause, unless there is another call before. */
  soon(ask) {
    this.stop();
    this.#timer = setTimeout(() => this.now(ask), PAUSE_MS);
  }

  /** End the request that is not answered yet. */
  stop() {
    clearTimeout(this.#timer);
    this.#controller?.abort();
  }
}
