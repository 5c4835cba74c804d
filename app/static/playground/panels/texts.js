/**
 * Texts: what the Transformers and the autoencoder of sentences do with them. Each part of the panel is a module in the folder `texts`.
 */
import { element, labelled, select } from "../dom.js";
import { defaultModel, modelsFor } from "../models.js";
import { RequestView } from "../request-view.js";
import { writeState } from "../state.js";

/**
 * The parts by their ids, which are the names of their modules. A module exports `show(root, values, { view, model })`,
 * as a panel does; `model` is the list from which the model is chosen. `task` is the task that the models must serve,
 * and `modality` that of their items, which is "text" if it is left out.
 */
const PARTS = {
  masks: { title: "Masked words", task: "fill_mask",
    hint: "The model guesses the words behind the masks. Choose a guess to put it into the text." },
  labels: { title: "Labels", task: "classify",
    hint: "The model says which of its labels fit a text." },
  entities: { title: "Entities", task: "classify_tokens",
    hint: "The model finds the names in a text." },
  answers: { title: "Answers", task: "answer",
    hint: "The model finds the answer to a question in a context." },
  story: { title: "Story", task: "generate", suits: ({ tasks }) => !tasks.includes("translate"),
    hint: "The model continues a text. The bars are the tokens that may come next: choose one, or let it be drawn." },
  translation: { title: "Translation", task: "translate", suits: ({ tasks }) => tasks.includes("attend"),
    hint: "The model translates a text. Its cross-attention shows which words it looked at." },
  attention: { title: "Attention", task: "attend",
    hint: "In each head of each layer, tokens look at others. Point at a token to see its links alone." },
  sentences: { title: "Sentences", task: "similarity", suits: ({ tasks }) => tasks.includes("project"),
    hint: "The model compares sentences by their meaning." },
  walk: { title: "Sentence walk", task: "interpolate", modality: "sentence",
    hint: "The model maps each sentence to one latent. A path between two latents leads over sentences." },
};

let isFollowed = false;

/** Show the panel; see `PANELS` in main.js. */
export async function show(root, values) {
  const id = Object.hasOwn(PARTS, values.part) ? values.part : "masks";
  root.append(links(id), element("p", {}, PARTS[id].hint));
  if (isFollowed) root.querySelector("[aria-current]").focus();
  isFollowed = false;
  const models = await modelsOf(PARTS[id]);
  if (!models.length) {
    root.append(element("p.notice", {}, `No model that suits is loaded: none serves the task ${PARTS[id].task}.`));
    return;
  }
  const [model, choice] = await modelChoice(models, PARTS[id].task, values.model);
  const view = new RequestView();
  const section = element("section", { "aria-label": PARTS[id].title });
  root.append(choice, section, view.element);
  const module = await import(`./texts/${id}.js`);
  return module.show(section, values, { view, model });
}

/** Return a row of links to the parts. A link that was followed keeps the focus, although it is made anew. */
function links(current) {
  const each = ([id, { title }]) => element("a", { href: `#texts?part=${id}`, onclick: () => (isFollowed = true),
    "aria-current": id === current ? "true" : null }, title);
  return element("nav.parts", { "aria-label": "Parts" }, ...Object.entries(PARTS).map(each));
}

function modelsOf({ task, modality = "text", suits = () => true }) {
  return modelsFor(task, (model) => model.item?.modality === modality && suits(model));
}

/** Return a list of the models and an element that holds it, with what the chosen one is known to do badly. */
async function modelChoice(models, task, wanted) {
  const ids = models.map(({ id }) => id);
  const chosen = [wanted, await defaultModel(task, "text"), ids[0]].find((id) => ids.includes(id));
  const failings = element("p.quiet", {});
  const describe = () => {
    const known = models.find(({ id }) => id === model.value).known_failings;
    failings.textContent = known ? `Known failings: ${known}` : "";
  };
  const model = select("model", ids, chosen, () => {
    writeState({ model: model.value });
    describe();
  });
  describe();
  return [model, element("div.controls", {}, labelled("Model", model), failings)];
}
