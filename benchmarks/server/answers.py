"""Compare the answers of two source trees, value for value."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import httpx
import orjson

from benchmarks.lib.report import Report, json_option, print_report, progress, table
from benchmarks.lib.servers import start_manifold
from benchmarks.server.model_inputs import ModelInputs
from benchmarks.server.requests import JSON_TYPE

BATCH_SIZES = (1, 7, 33)
DTYPES = ("float32", "bfloat16", "int8")
TIMEOUT_S = 300.0
SEED = 7


@dataclass(frozen=True)
class Case:
    """A request to one model; `name` is unique among the cases of one server."""

    name: str
    task: str
    body: dict[str, Any]


class Cases(ModelInputs):
    """Makes the requests to one model from its card, the same for the same model."""

    def __init__(self, card: dict[str, Any]) -> None:
        super().__init__(card, SEED)

    def all(self) -> list[Case]:
        """Return the requests for every task that the model serves.

        Raises:
            ValueError: the model serves a task for which this class makes no requests.
        """
        return [case for task in self.tasks for case in self._requests_of(task)]

    def _requests_of(self, task: str) -> Iterator[Case]:
        if task not in REQUESTS:
            raise ValueError(f"{self.model} serves {task}, for which no requests are made")
        for number, (inputs, parameters) in enumerate(REQUESTS[task](self)):
            body = {"model": self.model, "parameters": parameters}
            name = f"{self.model} {task} {number}"
            yield Case(name, task, body if inputs is None else {**body, "inputs": inputs})


Request = tuple[list[Any] | None, dict[str, Any]]


def _inputs(cases: Cases, *parameters: dict[str, Any]) -> Iterator[Request]:
    """Yield items, or texts that may be cut, in batches of all sizes, with each of the parameters."""
    for each in parameters or ({},):
        for n in BATCH_SIZES:
            yield (cases.texts(n), {"truncate": True, **each}) if cases.is_text else (cases.items(n), each)
        if cases.is_text:
            yield ["dog " * 3000], {"truncate": True, **each}


def _batches(make_inputs: Callable[[Cases, int], list[Any]], parameters: dict[str, Any]) -> Callable[[Cases], Any]:
    return lambda cases: [(make_inputs(cases, n), parameters) for n in BATCH_SIZES]


def _encodings(cases: Cases) -> Iterator[Request]:
    return _inputs(cases, {}, {"pooling": "max"}, {"dimensions": 8}) if cases.is_text else _inputs(cases)


def _generations(cases: Cases) -> Iterator[Request]:
    common = {"max_new_tokens": 12, "truncate": True, "seed": SEED, "logprobs": 2}
    kinds: tuple[dict[str, Any], ...] = (
        {},
        {"temperature": 0.8, "top_k": 20, "top_p": 0.9, "n": 2},
        {"num_beams": 4, "n": 2, "length_penalty": 0.7},
        {"repetition_penalty": 1.3, "min_new_tokens": 6},
    )
    for kind in kinds:
        for n in BATCH_SIZES:
            yield cases.texts(n), {**common, **kind}
    # The event loop finds that a text has reached one of these, so that when a sequence leaves its batch depends on the
    # time, and with that the last bits of the others.
    yield cases.texts(1), {**common, "stop": ["the", "."]}
    yield cases.texts(3), {**common, "temperature": 0.8, "stream": True}
    yield ["dog " * 3000], common


def _masked(cases: Cases, n: int) -> list[str]:
    return [f"the {cases.mask} {text[:60]}" for text in cases.texts(n)]


REQUESTS: dict[str, Callable[[Cases], Any]] = {
    "encode": _encodings,
    "decode": lambda cases: [(cases.latents(n), {}) for n in BATCH_SIZES],
    "reconstruct": _inputs,
    "denoise": lambda cases: _inputs(cases, {}, {"noise": {"type": "gaussian", "level": 0.3}, "seed": SEED}),
    "sample": lambda _: [(None, {"n": n, "seed": SEED}) for n in BATCH_SIZES],
    "interpolate": lambda cases: [(cases.items(2), {"steps": steps}) for steps in BATCH_SIZES[1:]],
    "impute": lambda cases: [(cases.items_with_gaps(n), {}) for n in BATCH_SIZES],
    "detect-anomalies": _inputs,
    "compress": _inputs,
    "project": _inputs,
    "classify": _inputs,
    "classify-tokens": _inputs,
    "fill-mask": _batches(_masked, {"truncate": True}),
    "score-text": _inputs,
    "similarity": _batches(
        lambda cases, n: [{"source": cases.texts(1)[0], "candidates": cases.texts(n)}], {"truncate": True}
    ),
    "rerank": _batches(
        lambda cases, n: [{"query": cases.texts(1)[0], "candidates": cases.texts(n)}], {"truncate": True}
    ),
    "answer": _batches(lambda cases, n: [{"question": "who sang?", "context": text} for text in cases.texts(n)], {}),
    "attend": _batches(Cases.texts, {"truncate": True}),
    "generate": _generations,
    "translate": lambda cases: _inputs(cases, {"num_beams": 1}, {"num_beams": 4}),
    "tokenize": _batches(Cases.texts, {}),
    "detokenize": _batches(lambda cases, n: [[5, 6, 7 + index] for index in range(n)], {}),
    "decompress": lambda _: (),  # of the streams that `/compress` answers: see `_answers_to`
}
"""The requests of each task, made for one model."""


def _answers_to(client: httpx.Client, case: Case) -> Iterator[tuple[str, bytes]]:
    """Send a request and yield its name and its answer; of streams of `/compress`, the items as well."""
    answer = client.post(f"/{case.task}", content=orjson.dumps(case.body), headers={"content-type": JSON_TYPE})
    yield case.name, b"%d %s" % (answer.status_code, normal_form(answer))
    if case.task == "compress" and answer.status_code == 200:
        streams = [output["stream"] for output in answer.json()["outputs"]]
        name = case.name.replace("compress", "decompress")
        body = {"model": case.body["model"], "inputs": streams}
        yield from _answers_to(client, Case(name, "decompress", body))


def normal_form(answer: httpx.Response) -> bytes:
    """Return the body of an answer with the keys of its JSON, or of its events, in alphabetical order."""
    texts = [line.removeprefix("data: ") for line in answer.text.split("\n") if line]
    return b"\n".join(orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS) for text in texts)


def record_answers(tree: Path, dtype: str, models: str = "all") -> dict[str, str]:
    """Return the status and a digest of the answer to every request, by its name, from a server of a source tree."""
    # With several workers, how the sequences of one request are shared out depends on the time, and with that the last
    # bits of products whose kernels depend on the number of rows.
    options = ("--dtype", dtype, "--workers", "1", *(() if models == "all" else ("--models", models)))
    with start_manifold(*options, tree=tree) as server, httpx.Client(timeout=TIMEOUT_S) as client:
        client.base_url = httpx.URL(server.url)
        cards = client.get("/models").raise_for_status().json()["models"]
        cases = [case for card in cards if card["state"] == "ready" for case in Cases(card).all()]
        with progress(f"{dtype}, {tree.name}") as bar:
            answers = [answer for case in bar.track(cases) for answer in _answers_to(client, case)]
    return {name: f"{content[:3].decode()} {hashlib.sha256(content).hexdigest()}" for name, content in answers}


@click.command()
@click.argument("old_tree", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("new_tree", type=click.Path(exists=True, file_okay=False, path_type=Path), default=".")
@click.option("--dtype", "dtypes", type=click.Choice(DTYPES), multiple=True, default=DTYPES, show_default=True)
@click.option("--models", default="all", show_default=True, help="Names of checkpoints, separated by commas.")
@json_option
def answers(old_tree: Path, new_tree: Path, dtypes: Sequence[str], models: str, as_json: bool) -> None:
    """Compare the answers of two source trees, value for value.

    The order of keys in JSON does not count.

    A server of each tree, with one worker a model, answers the same requests: every task of every checkpoint, with
    batches of 1, 7 and 33 items, texts of mixed lengths and texts that are cut, seeds, beams and a stream. The exit
    status is 1 if an answer differs, or if a request was refused by both.

    \b
    Keys of the JSON output:
      dtypes     by dtype:
        requests   number of requests
        different  names of the requests whose answers differ
        refused    names of the requests that were not answered with 200
    """
    results = {
        dtype: compare(record_answers(old_tree, dtype, models), record_answers(new_tree, dtype, models))
        for dtype in dtypes
    }
    rows = [
        [dtype, str(found["requests"]), str(len(found["different"])), str(len(found["refused"]))]
        for dtype, found in results.items()
    ]
    names = [f"- {dtype}: {name}" for dtype, found in results.items() for name in found["different"] + found["refused"]]
    report = Report(
        name="answers",
        title="Answers of two source trees, value for value",
        command="manifold bench answers OLD_TREE NEW_TREE",
        parts=[table(["dtype", "requests", "different", "refused"], rows), "\n".join(names)],
    )
    print_report(report, {"dtypes": results}, as_json=as_json)
    if names:
        raise SystemExit(1)


def compare(old: dict[str, str], new: dict[str, str]) -> dict[str, Any]:
    """Return the number of requests, and the names of those whose answers differ or are no success."""
    return {
        "requests": len(old | new),
        "different": sorted(name for name in old | new if old.get(name) != new.get(name)),
        "refused": sorted(name for name, answer in new.items() if not answer.startswith("200")),
    }
