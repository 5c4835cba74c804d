/**
 * The models of the server.
 */
import { ask } from "./api.js";

let known = null;

/**
 * Return the models that serve, as `GET /models` describes them. They are asked for once; `refresh` asks again.
 *
 * @returns {Promise<Array<Object>>}
 */
export async function models(refresh = false) {
  if (known === null || refresh) known = (await ask({ path: "/models" })).answer.models;
  return known.filter(({ state }) => state === "ready" || state === "idle" || state === "recovering");
}

/** Return the models that serve a task, and that a further condition holds for. */
export async function modelsFor(taskName, condition = () => true) {
  return (await models()).filter((model) => model.tasks.includes(taskName) && condition(model));
}

/** Whether a model takes pictures of digits, as those of MNIST: grey, 28 by 28, ink on black paper. */
export function isOfDigits(model) {
  return model.item?.modality === "image" && model.item.shape?.join() === "1,28,28" && model.item.paper === "black";
}
