/**
 * The distribution from which the server draws the next token.
 */

/**
 * Return the probability with which each candidate is drawn, 0 for those that are left out. It is what
 * `models/generation/sampling.py` computes: log-probabilities are divided by the temperature; then the `topK` likeliest
 * tokens are left, and of these the fewest that together have at least the probability `topP`.
 *
 * @param {number[]} logprobs log-probabilities of the likeliest tokens, best first; at least `topK`
 * @param {{temperature: number, topK: number, topP: number}} settings
 * @returns {number[]}
 */
export function reshape(logprobs, { temperature, topK, topP }) {
  const weights = logprobs.map((logprob, place) =>
    place < topK ? Math.exp((logprob - logprobs[0]) / temperature) : 0);
  const total = sum(weights);
  let before = 0;
  const kept = weights.map((weight) => {
    const isKept = before < topP;
    before += weight / total;
    return isKept ? weight : 0;
  });
  const left = sum(kept);
  return kept.map((weight) => weight / left);
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}
