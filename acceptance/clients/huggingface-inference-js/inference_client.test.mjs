// Every pipeline by the unmodified client of `@huggingface/inference`.

import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { deflateSync } from "node:zlib";

import { InferenceClient } from "@huggingface/inference";

const URL = process.env.MANIFOLD_URL;
const client = (model, token = "hf_any") => new InferenceClient(token).endpoint(`${URL}/hf/${model}`);

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

function chunk(kind, data) {
  const body = Buffer.concat([Buffer.from(kind), data]);
  let crc = 0xffffffff;
  for (const byte of body) crc = CRC_TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  check.writeUInt32BE((crc ^ 0xffffffff) >>> 0);
  return Buffer.concat([length, body, check]);
}

// A one, in white on black, as in MNIST.
function png(type = "") {
  const header = Buffer.from([0, 0, 0, 28, 0, 0, 0, 28, 8, 0, 0, 0, 0]);
  const rows = Buffer.alloc(28 * 29);
  for (let y = 4; y < 25; y++) for (let x = 13; x < 16; x++) rows[y * 29 + 1 + x] = 255;
  const parts = [chunk("IHDR", header), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))];
  return new Blob([Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), ...parts], { type });
}

test("fill-mask", async () => {
  const fills = await client("bert-mini-en").fillMask({ inputs: "The [MASK] was born .", parameters: { top_k: 3 } });
  assert.equal(fills.length, 3);
  assert.ok(fills[0].score > fills[1].score);
});

test("text-classification", async () => {
  const labels = await client("bert-sst2-en").textClassification({ inputs: "a wonderful film" });
  assert.deepEqual(labels.map((each) => each.label), ["positive", "negative"]);
});

test("token-classification", async () => {
  const entities = await client("bert-ner-en").tokenClassification({ inputs: "Anna lives in London." });
  assert.deepEqual(entities.map((each) => [each.entity_group, each.word]), [["PER", "Anna"], ["LOC", "London"]]);
});

test("question-answering", async () => {
  const inputs = { question: "Where does Anna live?", context: "Anna lives in London. She likes tea." };
  const answer = await client("bert-qa-en").questionAnswering({ inputs });
  assert.equal(answer.answer, "London");
  assert.equal(inputs.context.slice(answer.start, answer.end), "London");
  assert.equal((await client("bert-qa-en").questionAnswering({ inputs, parameters: { top_k: 2 } })).answer, "London");
});

test("feature-extraction", async () => {
  const sentences = client("sentence-mini-en");
  const both = await sentences.featureExtraction({ inputs: ["A dog runs.", "Stock prices fell."], normalize: true });
  const one = await sentences.featureExtraction({ inputs: "A dog runs." });
  assert.deepEqual([both.length, one.length, one[0].length], [2, 1, both[0].length]);
});

test("sentence-similarity", async () => {
  const inputs = { source_sentence: "A dog runs.", sentences: ["A puppy runs outside.", "Stock prices fell."] };
  const [near, far] = await client("sentence-mini-en").sentenceSimilarity({ inputs });
  assert.ok(near > far);
});

test("translation", async () => {
  const translator = client("transformer-multi30k-en-de");
  const one = await translator.translation({ inputs: "A man is riding a bike." });
  assert.match(one.translation_text, /Mann/);
  assert.equal((await translator.translation({ inputs: ["A man sleeps.", "A dog runs."] })).length, 2);
});

test("text-generation", async () => {
  const generator = client("gpt-mini-en");
  const parameters = { max_new_tokens: 8, temperature: 0 };
  const { generated_text: text } = await generator.textGeneration({ inputs: "Once upon a time", parameters });
  assert.ok(text.length > 0);
  let streamed = "";
  for await (const part of generator.textGenerationStream({ inputs: "Once upon a time", parameters })) {
    streamed += part.choices[0]?.text ?? "";
  }
  assert.equal(streamed, text);
});

test("image-classification", async () => {
  for (const data of [png(), png("image/png"), await png().arrayBuffer()]) {
    const labels = await client("denoising-ae-mnist").imageClassification({ data });
    assert.equal(labels[0].label, "1");
  }
});

test("image-to-image", async () => {
  for (const parameters of [undefined, { prompt: "reconstruct" }]) {
    const picture = await client("conv-ae-mnist").imageToImage({ inputs: png(), ...(parameters && { parameters }) });
    assert.equal(picture.type, "image/png");
    assert.ok(picture.size > 60);
  }
  const named = client("denoising-ae-mnist/pipeline/image-to-image");
  assert.equal((await named.imageToImage({ inputs: png() })).type, "image/png");
});

test("refusals carry the server's reason", async () => {
  await assert.rejects(client("nobody").fillMask({ inputs: "The [MASK] ran." }), /no model is named 'nobody'/);
  const call = client("bert-mini-en").fillMask({ inputs: "The [MASK] ran.", parameters: { top_k: 0 } });
  await assert.rejects(call, /parameters\.top_k/);
});

test("a token is not needed", async () => {
  const labels = await client("bert-sst2-en", "").textClassification({ inputs: "a wonderful film" });
  assert.equal(labels[0].label, "positive");
});

test("the snippet of the document runs", async (context) => {
  let folder = process.cwd();  // the scripts are copied beside the packages, somewhere below the root of the project
  while (!existsSync(join(folder, "docs/dialects.md"))) folder = dirname(folder);
  const document = readFileSync(join(folder, "docs/dialects.md"), "utf8");
  const [, code] = document.match(/```javascript\n([^]*?)```/);
  const file = new globalThis.URL("./snippet.mjs", import.meta.url);
  writeFileSync(file, code.replace("http://localhost:8000", URL));
  context.after(() => rmSync(file));
  const log = context.mock.method(console, "log", () => {});
  await import(file);
  assert.equal(log.mock.calls[0].arguments[0][0].label, "positive");
});
