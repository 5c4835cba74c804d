/**
 * Asks the server, and tells what a request was and how long it took.
 */

const KEY = "manifold-key";

/** An answer that is an error: problem details by RFC 9457, or what the browser says if there is no answer. */
export class Problem extends Error {
  /**
   * @param {{title?: string, detail?: string, status?: number, errors?: Array<{pointer: string, detail: string}>}} details
   * @param {?string} retryAfter seconds after which to try again
   */
  constructor(details, retryAfter = null) {
    super(details.detail ?? details.title ?? "The request failed");
    this.title = details.title ?? "The request failed";
    this.status = details.status ?? 0;
    this.errors = details.errors ?? [];
    this.retryAfter = retryAfter;
  }
}

export function apiKey() {
  return sessionStorage.getItem(KEY) ?? "";
}

/** Keep an API key until the browser's tab is closed; an empty one forgets it. */
export function setApiKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

/**
 * A request, as it is sent and as it is shown.
 *
 * @typedef {Object} Request
 * @property {string} path the path, and a query where there is one
 * @property {string} [method] POST where there is a body, and GET otherwise
 * @property {Object} [json] the body as JSON
 * @property {string|Blob} [body] another body, whose type is `type`
 * @property {string} [type] content type of `body`
 * @property {string} [file] name of the file that stands for `body` where the request is shown
 * @property {string} [accept] type of the answer; JSON if omitted
 * @property {AbortSignal} [signal] ends the request
 */

/**
 * Send a request, and return its answer when the head of it is there.
 *
 * @param {Request} request
 * @returns {Promise<Response>}
 * @throws {Problem} the server refused it, or cannot be reached
 */
export async function send(request) {
  const headers = headersOf(request);
  const body = request.json === undefined ? request.body : JSON.stringify(request.json);
  let response;
  try {
    response = await fetch(request.path, { method: methodOf(request), headers, body, signal: request.signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ title: "The server cannot be reached", detail: error.message });
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

/**
 * Send a request, and return its answer: the parsed JSON, or bytes if another type was asked for.
 *
 * @param {Request} request
 * @returns {Promise<{answer: any, ms: number}>}
 * @throws {Problem} see `send`
 */
export async function ask(request) {
  const startedAt = performance.now();
  const response = await send(request);
  const answer = request.accept === undefined ? await response.json() : await response.blob();
  return { answer, ms: performance.now() - startedAt };
}

/**
 * Send a request whose answer has a JSON object on each line, and yield each as soon as it is there.
 *
 * @param {Request} request
 * @returns {AsyncGenerator<Object>}
 * @throws {Problem} see `send`; or the connection broke
 */
export async function* askByLine(request) {
  for await (const line of partsOf(request, "\n")) yield JSON.parse(line);
}

/** Ask a task: `task("encode", "vae-mnist", inputs, parameters)`. Returns what `ask` returns, and the request. */
export async function task(name, model, inputs, parameters, signal) {
  const request = { path: `/${name}`, json: { model, inputs, parameters }, signal };
  return { request, ...(await ask(request)) };
}

/**
 * Send a request whose answer is a stream of Server-Sent Events, and yield the objects that they hold.
 *
 * @param {Request} request
 * @yields {Object}
 * @throws {Problem} see `send`; or the stream ends with an error, or the connection breaks
 */
export async function* events(request) {
  for await (const block of partsOf(request, "\n\n")) {
    const data = block.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5));
    const event = JSON.parse(data.join("\n"));
    if (event.error) throw new Problem(event.error);
    yield event;
  }
}

/** Send a request, and yield each part of its answer up to a separator as soon as it is there. */
async function* partsOf(request, separator) {
  const response = await send(request);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (let read = await readFrom(reader); !read.done; read = await readFrom(reader)) {
      const parts = (rest + read.value).split(separator);
      rest = parts.pop();
      yield* parts;
    }
  } finally {
    await reader.cancel().catch(() => null);  // it has ended already if the request was aborted
  }
}

async function readFrom(reader) {
  try {
    return await reader.read();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ title: "The connection to the server broke", detail: error.message });
  }
}

/** Return the request in the words of a shell, of Python and of JavaScript. */
export function snippets(request) {
  const url = `${location.origin}${request.path}`;
  const method = methodOf(request);
  const headers = Object.entries(headersOf(request)).map(([name, value]) =>
    name === "authorization" ? [name, "Bearer $MANIFOLD_KEY"] : [name, value],
  );
  return { curl: curlOf(url, method, headers, request), Python: pythonOf(url, method, headers, request),
    JavaScript: javascriptOf(url, method, headers, request) };
}

function methodOf(request) {
  return request.method ?? (request.json === undefined && request.body === undefined ? "GET" : "POST");
}

function headersOf(request) {
  const headers = {};
  if (request.json !== undefined) headers["content-type"] = "application/json";
  else if (request.type) headers["content-type"] = request.type;
  if (request.accept) headers.accept = request.accept;
  if (apiKey()) headers.authorization = `Bearer ${apiKey()}`;
  return headers;
}

async function problemOf(response) {
  let details = {};
  try {
    details = await response.json();
  } catch {
    details = { title: response.statusText, status: response.status };
  }
  return new Problem({ status: response.status, ...details }, response.headers.get("retry-after"));
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function curlOf(url, method, headers, request) {
  const parts = [method === "GET" ? `curl -s ${quoted(url)}` : `curl -s -X ${method} ${quoted(url)}`];
  for (const [name, value] of headers) {
    parts.push(name === "authorization" ? `-H "${name}: ${value}"` : `-H ${quoted(`${name}: ${value}`)}`);
  }
  if (request.json !== undefined) parts.push(`-d ${quoted(JSON.stringify(request.json))}`);
  else if (request.file) parts.push(`--data-binary @${request.file}`);
  else if (request.body !== undefined) parts.push(`--data-binary ${quoted(String(request.body))}`);
  return parts.join(" \\\n    ");
}

function pythonOf(url, method, headers, request) {
  const lines = ["import httpx", ""];
  const named = headers.filter(([name]) => !(request.json !== undefined && name === "content-type"));
  const parts = [`"${url}"`];
  if (named.some(([name]) => name === "authorization")) lines.splice(0, 1, "import os", "", "import httpx");
  if (request.json !== undefined) parts.push(`json=${pythonValue(request.json)}`);
  else if (request.file) parts.push(`content=open(${JSON.stringify(request.file)}, "rb").read()`);
  else if (request.body !== undefined) parts.push(`content=${JSON.stringify(String(request.body))}`);
  if (named.length) {
    const pairs = named.map(([name, value]) =>
      name === "authorization" ? `"authorization": "Bearer " + os.environ["MANIFOLD_KEY"]` : `"${name}": "${value}"`,
    );
    parts.push(`headers={${pairs.join(", ")}}`);
  }
  lines.push(`answer = httpx.${method.toLowerCase()}(`, ...parts.map((part) => `    ${part},`), ")");
  const whole = isText(request) ? "answer.text" : "len(answer.content)";
  lines.push("answer.raise_for_status()", `print(${request.accept ? whole : "answer.json()"})`);
  return lines.join("\n");
}

/** Whether the type of the answer that is asked for is one that people can read. */
function isText(request) {
  return request.accept === "application/x-ndjson" || request.accept?.startsWith("text/");
}

/** Return a value of JSON as Python writes it. */
function pythonValue(value) {
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (Array.isArray(value)) return `[${value.map(pythonValue).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  const members = Object.entries(value).filter(([, each]) => each !== undefined);
  return `{${members.map(([name, each]) => `${JSON.stringify(name)}: ${pythonValue(each)}`).join(", ")}}`;
}

function javascriptOf(url, method, headers, request) {
  const pairs = headers.map(([name, value]) =>
    name === "authorization" ? `"authorization": \`Bearer \${process.env.MANIFOLD_KEY}\`` : `"${name}": "${value}"`,
  );
  const lines = [...(request.file ? ['import { readFile } from "node:fs/promises";', ""] : [])];
  lines.push(`const answer = await fetch("${url}", {`, `  method: "${method}",`);
  if (pairs.length) lines.push(`  headers: { ${pairs.join(", ")} },`);
  if (request.json !== undefined) lines.push(`  body: JSON.stringify(${JSON.stringify(request.json)}),`);
  else if (request.file) lines.push(`  body: await readFile(${JSON.stringify(request.file)}),`);
  else if (request.body !== undefined) lines.push(`  body: ${JSON.stringify(String(request.body))},`);
  const whole = isText(request) ? "await answer.text()" : "(await answer.arrayBuffer()).byteLength";
  lines.push("});", `console.log(${request.accept ? whole : "await answer.json()"});`);
  return lines.join("\n");
}
