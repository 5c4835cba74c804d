/**
 * Latent space: its map, ways through it, its elements, and samples of it.
 */
import { element, labelled, select } from "../dom.js";
import { exampleMaker } from "../examples.js";
import { isOfDigits, modelsFor } from "../models.js";
import { writeState } from "../state.js";
import { Gibbs } from "./latent/gibbs.js";
import { Interpolation } from "./latent/interpolation.js";
import { SIDE, mapOf } from "./latent/latent-map.js";
import { MapView } from "./latent/map.js";
import { Samples } from "./latent/samples.js";
import { LatentSliders } from "./latent/sliders.js";

const DEFAULT_MODEL = "vae-mnist";

/** Show the panel; see `PANELS` in main.js. */
export async function show(root, values) {
  const models = await modelsFor("decode", isOfDigits);
  if (!models.length) {
    root.append(element("p.notice", {}, "No model of digits is loaded."));
    return undefined;
  }
  const makeExample = await exampleMaker();
  const [gibbsModel] = await modelsFor("sample", (model) => isOfDigits(model) && model.samplers?.includes("gibbs"));
  const known = [values.model, DEFAULT_MODEL, models[0].id].find((id) => models.some((model) => model.id === id));
  const sections = element("div", {});
  let leaving = [];
  let nShown = 0;

  /** Show the sections of a model. `state` is what the URL says of them. */
  async function showModel(id, state) {
    const number = ++nShown;
    const model = models.find((each) => each.id === id);
    const map = await mapOf(model);
    if (number !== nShown) return;
    leave();
    const interpolation = new Interpolation(model, makeExample, state);
    sections.replaceChildren(
      ...mapSections(model, map, state),
      element("h2", {}, "From one digit to another"), interpolation.element,
      element("h2", {}, "Samples"), new Samples(model, state).element,
    );
    leaving.push(interpolation.leave);
    interpolation.start();
  }

  /** Return the map and the sliders, or a sentence if there is no map. */
  function mapSections(model, map, state) {
    if (map === null) return [element("p.notice", {}, `No map has been drawn of ${model.id}.`)];
    const place = [state.x, state.y].map((number) => (Number.isFinite(Number(number)) ? Number(number) : SIDE / 2));
    const view = new MapView(model, map, { place, onmove: ([x, y]) => writeState({ x, y }) });
    leaving.push(view.leave);
    const isOther = map.sha256 !== model.sha256;
    return [
      element("h2", {}, "Map of the test digits"),
      isOther ? element("p.warning", {}, `This map was drawn of another version of ${model.id}: what the model decodes `
        + "may not be what the map shows.") : null,
      view.element,
      element("h2", {}, "Sliders"), new LatentSliders(model, map, () => view.place, state).element,
    ].filter((part) => part !== null);
  }

  function leave() {
    for (const each of leaving) each();
    leaving = [];
  }

  const choice = select("model", models.map(({ id }) => id), known, () => {
    writeState({ model: choice.value, x: null, y: null, start: null, changed: null, label: null, sampler: null });
    showModel(choice.value, {}).catch((error) =>
      sections.replaceChildren(element("p.warning", { role: "alert" }, error.message)));
  });
  root.append(
    element("p", {}, "A model turns each picture into a few numbers, its latent, and any such numbers into a picture."),
    labelled("Model", choice), sections,
  );
  await showModel(known, values);
  if (!gibbsModel) return leave;
  const gibbs = new Gibbs(gibbsModel, values);
  root.append(element("h2", {}, `Gibbs sampling with ${gibbsModel.id}`), gibbs.element);
  return () => {
    leave();
    gibbs.leave();
  };
}
