"""Measure how long a small request takes beside requests for much work on the same model."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from statistics import median, quantiles
from typing import Any

import click

from benchmarks.lib.report import Report, json_option, print_report, progress, table
from benchmarks.lib.servers import start_manifold

MOST = 3.0
"""Largest acceptable ratio of the time beside other requests to the time alone."""
ADDRESSES = {"another": "127.0.0.2", "the same": "127.0.0.1"}
"""The address from which the small requests come; the large ones come from 127.0.0.1."""
N_WARM_UP = 20
SETTLE_S = 60.0
"""Longest time in seconds for which the server may still be slow after clients of large requests have left."""
TIMEOUT_MS = 600_000
RETRY_S = 1.0
"""Time in seconds after which a large request that was refused is sent again."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request to a task."""

    path: str
    body: dict[str, Any]

    def send(self, port: int, address: str) -> HTTPConnection:
        """Send the request from an address, and return the connection that the answer comes on."""
        connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_MS / 1000, source_address=(address, 0))
        headers = {"content-type": "application/json", "x-timeout-ms": str(TIMEOUT_MS)}
        connection.request("POST", self.path, json.dumps(self.body), headers)
        return connection


@dataclass(frozen=True, kw_only=True)
class Case:
    """A large request, which may be sent several times at once, and the small one beside it."""

    name: str
    large: Call
    small: Call
    n_large: int = 1


def _generate(n_prompts: int, n_texts: int, n_tokens: int) -> Call:
    parameters = {"n": n_texts, "max_new_tokens": n_tokens, "do_sample": True, "seed": 1}
    return Call(path="/generate", body={"model": GPT, "inputs": ["Once"] * n_prompts, "parameters": parameters})


GPT, BERT, DBN, CONVOLUTIONAL = "gpt-mini-en", "bert-mini-en", "dbn-ae-mnist", "conv-ae-mnist"
TRANSLATOR = "transformer-multi30k-en-de"
MODELS = (GPT, BERT, DBN, CONVOLUTIONAL, TRANSLATOR)
BLACK = [0] * 784
SENTENCE = "a man rides a bike in the park with a dog"
ENCODE_ONE = Call(path="/encode", body={"model": BERT, "inputs": ["a"]})


def _reconstruct(model: str, n_items: int) -> Call:
    return Call(path="/reconstruct", body={"model": model, "inputs": [BLACK] * n_items})


CASES = (
    Case(name="1,024 prompts", large=_generate(1024, 1, 250), small=_generate(1, 1, 5)),
    Case(name="60 prompts, 64 texts each", large=_generate(60, 64, 250), small=_generate(1, 1, 5)),
    Case(
        name="1,024 translations, 32 beams",
        large=Call(
            path="/translate",
            body={"inputs": [SENTENCE] * 1024, "parameters": {"num_beams": 32, "max_new_tokens": 100}},
        ),
        small=Call(path="/translate", body={"inputs": ["a dog"]}),
    ),
    Case(
        name="4 requests of 1,024 Gibbs samples",
        large=Call(path="/sample", body={"model": DBN, "parameters": {"n": 1024, "sampler": "gibbs"}}),
        small=_reconstruct(DBN, 1),
        n_large=4,
    ),
    Case(
        name="likelihoods of 1,024 texts",
        large=Call(path="/score-text", body={"model": BERT, "inputs": ["a " * 240] * 1024}),
        small=ENCODE_ONE,
    ),
    Case(
        name="vectors of 1,024 texts",
        large=Call(path="/encode", body={"model": BERT, "inputs": ["a " * 240] * 1024}),
        small=ENCODE_ONE,
        n_large=2,
    ),
    Case(
        name="similarities of 1,024 texts",
        large=Call(
            path="/similarity",
            body={
                "model": BERT,
                "inputs": [{"source": "a", "candidates": [f"{i} " * 99 for i in range(1024)]}],
            },
        ),
        small=ENCODE_ONE,
        n_large=2,
    ),
    Case(
        name="reconstructions of 1,024 images",
        large=_reconstruct(CONVOLUTIONAL, 1024),
        small=_reconstruct(CONVOLUTIONAL, 1),
        n_large=2,
    ),
)
"""The kinds of work of which one client may ask for much."""


@dataclass(frozen=True)
class Measurement:
    """Times of small requests in seconds: alone, and beside large ones, with the number of these that were answered."""

    alone: Sequence[float]
    beside: Sequence[float]
    n_answered: int

    @property
    def ratio(self) -> float:
        """Return the median time beside large requests over the median time alone."""
        return median(self.beside) / median(self.alone)

    @property
    def verdict(self) -> str:
        """Return whether a small request is answered soon enough, in words."""
        return "holds" if self.ratio <= MOST else "falls short"


def send_small(port: int, call: Call, address: str) -> float:
    """Send a small request, and return the seconds until its whole answer is here.

    Raises:
        RuntimeError: it is not answered with status 200.
    """
    started_at = time.perf_counter()
    connection = call.send(port, address)
    answer = connection.getresponse()
    content = answer.read()
    seconds = time.perf_counter() - started_at
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{call.path} was answered with status {answer.status}: {content[:200]!r}")
    return seconds


@contextmanager
def large_requests(port: int, case: Case) -> Iterator[Callable[[], int]]:
    """Keep the large requests of a case running; the function returns how many were answered.

    One that is answered is sent again. At the end, their clients leave.
    """
    connections: dict[int, HTTPConnection] = {}
    is_over = threading.Event()
    statuses: list[int] = []

    def keep_sending(index: int) -> None:
        while not is_over.is_set():
            # at the end, the connection is shut down below while its answer is awaited
            with (
                suppress(HTTPException, OSError, ValueError),
                closing(case.large.send(port, "127.0.0.1")) as connection,
            ):
                connections[index] = connection
                answer = connection.getresponse()
                answer.read()
                statuses.append(answer.status)
                if answer.status != 200:
                    is_over.wait(RETRY_S)

    threads = [threading.Thread(target=keep_sending, args=(index,)) for index in range(case.n_large)]
    for thread in threads:
        thread.start()
    try:
        yield lambda: statuses.count(200)
    finally:
        is_over.set()
        for connection in connections.values():
            if connection.sock is not None:
                with suppress(OSError):
                    connection.sock.shutdown(2)
        for thread in threads:
            thread.join()


def measure(port: int, case: Case, address: str, *, n_small: int, pause_s: float) -> Measurement:
    """Send small requests one after another, first alone and then beside large ones."""
    for _ in range(N_WARM_UP):
        send_small(port, case.small, address)
    alone = [send_small(port, case.small, address) for _ in range(n_small)]
    with large_requests(port, case) as n_answered:
        time.sleep(pause_s)
        beside = []
        for _ in range(n_small):
            beside.append(send_small(port, case.small, address))
            time.sleep(pause_s / n_small)
        answered = n_answered()
    settle(port, case.small, address, limit_s=2 * median(alone))
    return Measurement(alone, beside, answered)


def settle(port: int, call: Call, address: str, *, limit_s: float) -> None:
    """Wait until three small requests in a row take no longer than a limit, or for `SETTLE_S` at most."""
    n_quick, gives_up_at = 0, time.monotonic() + SETTLE_S
    while n_quick < 3 and time.monotonic() < gives_up_at:
        n_quick = n_quick + 1 if send_small(port, call, address) <= limit_s else 0


@click.command()
@click.option("--only", default="", help="Measure the cases whose names contain this.")
@click.option("--requests", "n_small", default=40, show_default=True, help="Small requests of each case.")
@click.option("--pause", "pause_s", default=1.0, show_default=True, help="Head start of the large requests in seconds.")
@json_option
def fairness(only: str, n_small: int, pause_s: float, as_json: bool) -> None:
    """Measure a small request beside requests for much work on the same model.

    Every case is measured twice: the small requests come from another address than the large ones, and from the same.
    The server has the checkpoints that it comes with, and its own defaults.

    \b
    Keys of the JSON output:
      cases             a list:
        name, address   the large requests; the address of the small ones
        alone_ms        time of a small request alone, the median
        beside_ms       the same beside the large requests
        beside_p90_ms   the 90th percentile beside them
        ratio, verdict  beside_ms over alone_ms, and whether that is at most 3
        n_answered      large requests that were answered meanwhile
    """
    cases = [case for case in CASES if only.lower() in case.name.lower()]
    with start_manifold("--models", ",".join(MODELS)) as server, progress("cases") as bar:
        rounds = [(case, whose) for case in cases for whose in ADDRESSES]
        measured = [
            (case, whose, measure(server.port, case, ADDRESSES[whose], n_small=n_small, pause_s=pause_s))
            for case, whose in bar.track(rounds)
        ]
    results = {"cases": [summarise(case, whose, times) for case, whose, times in measured]}
    print_report(report_of(results), results, as_json=as_json)


def summarise(case: Case, whose: str, times: Measurement) -> dict[str, Any]:
    """Return the results of a case with the keys of the JSON output."""
    return {
        "name": case.name,
        "address": whose,
        "alone_ms": round(1000 * median(times.alone), 2),
        "beside_ms": round(1000 * median(times.beside), 2),
        "beside_p90_ms": round(1000 * quantiles(times.beside, n=10)[-1], 2),
        "ratio": round(times.ratio, 2),
        "verdict": times.verdict,
        "n_answered": times.n_answered,
    }


def report_of(results: dict[str, Any]) -> Report:
    """Return Markdown of the results."""
    columns = ["beside", "from", "alone, ms", "beside, ms", "90%, ms", "ratio", f"at most {MOST:g}"]
    keys = ("name", "address", "alone_ms", "beside_ms", "beside_p90_ms", "ratio", "verdict")
    return Report(
        name="fairness",
        title="A small request beside requests for much work",
        command="manifold bench fairness",
        note="Medians, and the 90th percentile, of requests that one client sends one after another.",
        parts=[table(columns, [[str(case[key]) for key in keys] for case in results["cases"]])],
    )
