/**
 * Models: their state and figures, what the server does now, and buttons that load and unload them.
 */
import { ask } from "../api.js";
import { element } from "../dom.js";
import { allModels } from "../models.js";
import { RequestView } from "../request-view.js";
import { LiveMetrics } from "./models/live-metrics.js";
import { bytes, ModelCard } from "./models/model-card.js";

const KINDS = { autoencoders: "Autoencoders", transformers: "Transformers", "": "Others" };
const SERVING = ["ready", "recovering"];

/** Show the panel; see `PANELS` in main.js. */
export async function show(root, values) {
  const startedAt = performance.now();
  const models = await allModels(true);
  const view = new RequestView();
  view.show({ path: "/models" }, performance.now() - startedAt);
  const summary = element("p");
  const cards = new Map(models.map((model) => [model.id, new ModelCard(model, change)]));
  const live = new LiveMetrics([...cards.keys()], values.model, (reading) => followStates(reading, cards, refresh));

  async function refresh() {
    const current = await allModels(true);
    for (const model of current) cards.get(model.id)?.update(model);
    summary.textContent = summaryOf(current);
  }

  async function change(id, action) {
    const request = { path: `/models/${id.split("/").map(encodeURIComponent).join("/")}/${action}`, method: "POST" };
    const { ms } = await ask(request);
    await refresh();
    view.show(request, ms, action === "load" ? `${id} is loaded.` : `${id} is unloaded.`);
  }

  summary.textContent = summaryOf(models);
  root.append(summary, live.element, ...groups(models, cards), view.element);
  live.start();
  return () => live.stop();
}

function summaryOf(models) {
  const serving = models.filter(({ state }) => SERVING.includes(state));
  const memory = models.reduce((total, { memory_bytes: each }) => total + (each ?? 0), 0);
  return `${serving.length} of ${models.length} models are in memory; their weights take ${bytes(memory)}.`;
}

/** Return the cards under a heading for each kind of families. */
function groups(models, cards) {
  const kindOf = ({ family }) => (family && Object.hasOwn(KINDS, family.split("/")[0]) ? family.split("/")[0] : "");
  return Object.entries(KINDS).flatMap(([kind, title]) => {
    const own = models.filter((model) => kindOf(model) === kind).map(({ id }) => cards.get(id).element);
    return own.length ? [element("h2", {}, title), element("div.model-cards", {}, ...own)] : [];
  });
}

/** Ask for the models again if a state in the metrics is not the one that is shown. */
async function followStates(reading, cards, refresh) {
  const states = reading.find("manifold_model_state").filter(({ value }) => value === 1);
  const isNew = states.some(({ labels }) => {
    const card = cards.get(labels.model);
    return card && card.model.state !== labels.state;
  });
  if (isNew) await refresh();
}
