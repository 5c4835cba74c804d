/**
 * The models of the server.
 */
import { ask } from "./api.js";

/** The labels of models of digits. */
export const DIGITS = [..."0123456789"];

let known = null;
let info = null;

/**
 * Return all models, as `GET /models` describes them. They are asked for once; `refresh` asks again.
 *
 * @returns {Promise<Array<Object>>}
 */
export async function allModels(refresh = false) {
  if (known === null || refresh) known = (await ask({ path: "/models" })).answer.models;
  return known;
}

/** Return the models that serve; see `allModels`. */
export async function models(refresh = false) {
  return (await allModels(refresh)).filter(({ state }) => ["ready", "idle", "recovering"].includes(state));
}

/** Return the models that serve a task, and that a further condition holds for. */
export async function modelsFor(taskName, condition = () => true) {
  return (await models()).filter((model) => model.tasks.includes(taskName) && condition(model));
}

/** Return the models that turn pictures of any size into streams and back. */
export function modelsOfAnySize() {
  return modelsFor("compress", ({ item, tasks }) =>
    item?.modality === "image" && item.multiple && tasks.includes("decompress"));
}

/** Return the models that turn sounds into streams and back. */
export function modelsOfSounds() {
  return modelsFor("compress", ({ item, tasks }) => item?.modality === "audio" && tasks.includes("decompress"));
}

/**
 * Return the id of the model that serves a task where a request names none, or undefined.
 *
 * @param {string} taskName
 * @param {"text"|"image"|"item"} kind of the inputs
 */
export async function defaultModel(taskName, kind) {
  info ??= (await ask({ path: "/info" })).answer;
  return info.default_models[taskName]?.[kind];
}

/** Whether a model takes pictures of digits, as those of MNIST: grey, 28 by 28, ink on black paper. */
export function isOfDigits(model) {
  return model.item?.modality === "image" && model.item.shape?.join() === "1,28,28" && model.item.paper === "black";
}
