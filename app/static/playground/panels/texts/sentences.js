/**
 * Sentences: how similar each is to each other one, where they lie on a map, and which are nearest to each other.
 */
import { task } from "../../api.js";
import { button, element, labelled } from "../../dom.js";
import { moveByArrows } from "../../keyboard.js";
import { LastRequest } from "../../last-request.js";
import { writeState } from "../../state.js";

const SVG = "http://www.w3.org/2000/svg";
const N_NEAREST = 3;
const MAX_SENTENCES = 30;  // each is compared with each other one, and a request has a limit
const SENTENCES = ["A man is playing a guitar.", "Someone makes music.", "A woman plays the violin.",
  "The stock market fell sharply.", "Shares lost much of their value.", "Two dogs run through the snow.",
  "Animals are running outside in winter.", "How old are you?", "What is your age?"].join("\n");

/** Show the part; see `PARTS` in texts.js. */
export async function show(root, values, { view, model }) {
  const output = element("div");
  const request = new LastRequest(view, output);
  const text = element("textarea", { rows: 9, value: values.text ?? SENTENCES, oninput: () => request.soon(update) });

  async function update(signal) {
    writeState({ text: text.value });
    const sentences = text.value.split("\n").map((line) => line.trim()).filter(Boolean);
    if (sentences.length < 2) {
      output.replaceChildren(element("p.notice", {}, "Write at least two sentences, each on a line of its own."));
      return;
    }
    if (sentences.length > MAX_SENTENCES) {
      output.replaceChildren(element("p.notice", {}, `Write at most ${MAX_SENTENCES} sentences.`));
      return;
    }
    const comparisons = sentences.map((source) => ({ source, candidates: sentences }));
    const [compared, projected] = await Promise.all([
      task("similarity", model.value, comparisons, {}, signal),
      task("project", model.value, sentences, {}, signal),
    ]);
    view.show(compared.request, compared.ms);
    const scores = compared.answer.outputs.map((each) => each.scores);
    output.replaceChildren(
      element("h2", {}, "Similarity"), matrix(sentences, scores),
      element("h2", {}, "Map"), map(sentences, scores, projected.answer));
  }

  model.addEventListener("change", () => request.now(update));
  root.append(labelled("Sentences, one on each line", text), output);
  request.now(update);
  return () => request.stop();
}

/** Return a table of the scores, which is the darker, the higher a score is among those of different sentences. */
function matrix(sentences, scores) {
  const others = scores.flatMap((row, source) => row.filter((_, place) => place !== source));
  const [least, most] = [Math.min(...others), Math.max(...others)];
  const cell = (score) => {
    const made = element("td", {}, score.toFixed(2));
    made.style.setProperty("--share", Math.max(0, Math.min(1, (score - least) / (most - least || 1))).toFixed(3));
    return made;
  };
  const numbers = sentences.map((_, place) => element("th", { scope: "col" }, place + 1));
  const rows = sentences.map((sentence, place) =>
    element("tr", {}, element("th", { scope: "row" }, `${place + 1} ${sentence}`), ...scores[place].map(cell)));
  return element("div.scroll", { tabIndex: 0, role: "region", "aria-label": "Table of similarities" },
    element("table.matrix", {}, element("tr", {}, element("td"), ...numbers), ...rows));
}

/** Return a map of the sentences, and the nearest neighbours of the one that is chosen on it. */
function map(sentences, scores, { outputs, explained_variance: explained }) {
  const places = scaled(outputs);
  const lines = document.createElementNS(SVG, "svg");
  lines.setAttribute("viewBox", "0 0 100 100");
  lines.setAttribute("preserveAspectRatio", "none");
  lines.setAttribute("aria-hidden", "true");
  const neighbours = element("div.grow", { "aria-live": "polite" });
  const points = sentences.map((sentence, place) => point(sentence, place, places[place], () => choose(place)));
  moveByArrows(points);

  function choose(chosen) {
    const nearest = scores[chosen].map((score, place) => ({ score, place })).filter(({ place }) => place !== chosen)
      .sort((a, b) => b.score - a.score).slice(0, N_NEAREST);
    points.forEach((each, place) => each.setAttribute("aria-pressed", String(place === chosen)));
    lines.replaceChildren(...nearest.map(({ place }) => line(places[chosen], places[place])));
    neighbours.replaceChildren(element("h3", {}, sentences[chosen]), element("p.quiet", {}, "Its nearest neighbours:"),
      element("ol", {}, ...nearest.map(({ place, score }) =>
        element("li", {}, `${sentences[place]} `, element("span.quiet", {}, score.toFixed(2))))));
  }

  choose(0);
  const shares = explained?.map((share) => `${(100 * share).toFixed(0)}%`).join(" and ");
  const note = shares ? `The axes show ${shares} of the variance of the embeddings.` : "";
  return element("div.columns", {},
    element("div.grow", {},
      element("div.map", { role: "group", "aria-label": "Map of the sentences" }, lines, ...points),
      element("p.quiet", {}, note)),
    neighbours);
}

/** Return the points in percent of the map, which they fill. */
function scaled(points) {
  const axis = (name) => {
    const values = points.map((point) => point[name]);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    return values.map((value) => (most > least ? 6 + (88 * (value - least)) / (most - least) : 50));
  };
  const [across, up] = [axis("x"), axis("y")];
  return across.map((x, place) => ({ x, y: 100 - up[place] }));
}

function point(sentence, place, { x, y }, onchoose) {
  const label = `${place + 1} ${sentence}`;
  const made = button(place + 1, onchoose, { onfocus: onchoose, title: sentence, "aria-label": label });
  Object.assign(made.style, { left: `${x}%`, top: `${y}%` });
  return made;
}

function line(from, to) {
  const made = document.createElementNS(SVG, "line");
  const ends = { x1: from.x, y1: from.y, x2: to.x, y2: to.y };
  for (const [name, value] of Object.entries(ends)) made.setAttribute(name, value);
  return made;
}
