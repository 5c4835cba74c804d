/**
 * Examples of digits, which a model of the server makes.
 */
import { task } from "./api.js";
import { DIGITS, defaultModel, isOfDigits, modelsFor } from "./models.js";

const SEED = 7;
/** Below 1, digits are more alike, and fewer of them are odd. */
const TEMPERATURE = 0.6;

/**
 * Return a function that makes a picture of a digit with a model that samples by label, or null if there is none. It
 * is the server's default model for samples if that does.
 *
 * @returns {Promise<?(label: string) => Promise<Array<Array<Array<number>>>>>}
 */
export async function exampleMaker() {
  const models = await modelsFor("sample", (each) =>
    isOfDigits(each) && each.samplers?.[0] === "prior" && DIGITS.every((digit) => each.labels?.includes(digit)));
  if (!models.length) return null;
  const usual = await defaultModel("sample", "item");
  const model = models.find(({ id }) => id === usual) ?? models[0];
  return async (label) => {
    const { answer } = await task("sample", model.id, undefined, { label, seed: SEED, temperature: TEMPERATURE });
    return answer.outputs[0].sample;
  };
}
