/**
 * Answers: the answers to a question, highlighted in the context.
 */
import { task } from "../../api.js";
import { element, labelled } from "../../dom.js";
import { LastRequest } from "../../last-request.js";
import { writeState } from "../../state.js";
import { Choices } from "./choices.js";
import { markedText } from "./marked-text.js";

const N_ANSWERS = 5;
const QUESTION = "Which country has most of the forest?";
const CONTEXT = "The Amazon rainforest covers most of the Amazon basin of South America. Most of the forest lies in "
  + "Brazil, with 60%, followed by Peru with 13%. In 2005, the forest had its worst drought in one hundred years.";

/** Show the part; see `PARTS` in texts.js. */
export async function show(root, values, { view, model }) {
  const output = element("div");
  const request = new LastRequest(view, output);
  const later = () => request.soon(update);
  const question = element("input.wide", { type: "text", value: values.question ?? QUESTION, oninput: later });
  const context = element("textarea", { value: values.context ?? CONTEXT, oninput: later });

  async function update(signal) {
    writeState({ question: question.value, context: context.value });
    const item = { question: question.value, context: context.value };
    const asked = await task("answer", model.value, [item], { top_k: N_ANSWERS }, signal);
    const [{ answers }] = asked.answer.outputs;
    const choices = new Choices("Answers", highlight);
    let shown = element("p");
    function highlight(chosen) {
      const { start, end } = answers[chosen];
      const marked = markedText(item.context, [{ start, end, make: (part) => element("mark", {}, part) }]);
      shown.replaceWith(marked);
      shown = marked;
      choices.show(answers.map(({ answer, score }, place) =>
        ({ label: answer || "no answer", value: score, isPressed: place === chosen })));
    }
    view.show(asked.request, asked.ms, answers.length ? `The answer is: ${answers[0].answer}` : "");
    output.replaceChildren(element("h2", {}, "Answers"), choices.element, element("h2", {}, "In the context"), shown);
    if (answers.length) highlight(0);
  }

  model.addEventListener("change", () => request.now(update));
  root.append(labelled("Question", question), labelled("Context", context), output);
  request.now(update);
  return () => request.stop();
}
