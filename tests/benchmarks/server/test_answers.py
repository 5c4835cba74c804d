"""Two trees are compared by all their answers, and one that differs is named."""

import json
from pathlib import Path

from click.testing import CliRunner

from app.schemas.catalogue import task_endpoints
from benchmarks.server.answers import REQUESTS, answers, compare

ROOT = Path(__file__).parents[3]


def test_a_tree_answers_as_itself_and_nothing_is_refused() -> None:
    models = "vae-mnist,gpt-mini-en,sentence-mini-en"
    run = CliRunner().invoke(answers, [str(ROOT), str(ROOT), "--dtype", "float32", "--models", models, "--json"])
    found = json.loads(run.stdout)["dtypes"]["float32"]
    assert (run.exit_code, found["different"], found["refused"]) == (0, [], [])
    assert found["requests"] > 100


def test_answers_that_differ_or_are_missing_are_named() -> None:
    old, new = {"a": "200 x", "b": "200 y", "c": "422 z"}, {"a": "200 x", "b": "200 z", "c": "422 z", "d": "200 w"}
    assert compare(old, new) == {"requests": 4, "different": ["b", "d"], "refused": ["c"]}


def test_requests_are_made_for_every_task() -> None:
    assert {endpoint.path.removeprefix("/") for endpoint in task_endpoints()} <= REQUESTS.keys()
