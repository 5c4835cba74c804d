"""Tasks from the shell: commands made from the schemas, in this process and on a running server."""

import ast
import asyncio
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import httpx
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from app import schemas
from app.cli import main
from app.cli.outputs import JsonLinesWriter
from app.cli.parameters import PREFIX
from app.cli.tasks import find_tasks, task_command
from app.schemas.catalogue import task_endpoints
from models.codecs.npy import to_npy
from models.codecs.table import describe_table_series_codec
from tests.app.cli.conftest import TEXT_MODEL, Run
from tests.app.items import images, png
from tests.app.routes.test_series_answers import CODEC as SERIES_CODEC
from tests.app.routes.test_tables import write
from tests.conftest import TINY

NEW_TASK = '''
"""`/encode-again`: encode items once more."""

from app.schemas import encode
from app.schemas.shared.task_schema import TaskEndpoint

ENDPOINT = TaskEndpoint(
    name="encode_again",
    summary="Encode items once more",
    description="Does what `/encode` does.",
    schemas=(encode.SCHEMA,),
    examples=(),
)
'''


@pytest.fixture(params=["in process", "url"])
def server(request: pytest.FixtureRequest) -> list[str]:
    """The options for a server: none, or a running one."""
    return [] if request.param == "in process" else ["--url", request.getfixturevalue("url")]


def outputs(result: Any) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)["outputs"]
    return found


def test_every_task_is_a_command_with_an_option_for_each_parameter() -> None:
    assert set(find_tasks()) == {endpoint.path[1:] for endpoint in task_endpoints()}
    for endpoint in task_endpoints():
        assert find_tasks()[endpoint.path[1:]].summary == endpoint.summary
        command = task_command(endpoint.path[1:])
        names = [parameter.name or "" for parameter in command.params]
        assert len(names) == len(set(names))
        given = {name.removeprefix(PREFIX).partition("__")[0] for name in names if name.startswith(PREFIX)}
        fields = [schema.body.model_fields["parameters"] for schema in endpoint.schemas]
        assert given == {name for field in fields for name in getattr(field.annotation, "model_fields", {})}
        options = [option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)]
        assert len(options) == len(set(options)), f"{endpoint.name} has an option twice"


def test_a_new_schema_is_a_new_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "encode_again.py").write_text(NEW_TASK)
    monkeypatch.setattr(schemas, "__path__", [*schemas.__path__, str(tmp_path)])
    find_tasks.cache_clear()
    try:
        listed = CliRunner().invoke(main, ["--help"])
        assert "  encode-again      Encode items once more.\n" in listed.stdout
        shown = CliRunner().invoke(main, ["encode-again", "--help"])
        assert "--fit [contain|cover|stretch]" in shown.stdout
    finally:
        find_tasks.cache_clear()
        sys.modules.pop("app.schemas.encode_again", None)


def test_a_schema_that_computes_its_name_is_imported_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = NEW_TASK.replace("ENDPOINT = ", 'NAME = "computed"\nENDPOINT: TaskEndpoint = ')
    (tmp_path / "again.py").write_text(source.replace('name="encode_again"', "name=NAME"))
    monkeypatch.setattr(schemas, "__path__", [*schemas.__path__, str(tmp_path)])
    find_tasks.cache_clear()
    try:
        assert find_tasks()["computed"] == ("app.schemas.again", "Encode items once more")
    finally:
        find_tasks.cache_clear()
        sys.modules.pop("app.schemas.again", None)


def test_listing_the_commands_imports_nothing_large() -> None:
    code = "import sys; from app.cli import main; main(['--help'], standalone_mode=False); print(sorted(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = ast.literal_eval(shown.splitlines()[-1])
    assert not {"torch", "pydantic", "fastapi", "numpy", "httpx"} & set(loaded)
    headings = [line for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Options:", "Server and models:", "Tasks:", "Training and measuring:"]


def test_options_have_the_types_choices_and_defaults_of_the_parameters() -> None:
    options = {option: each for each in task_command("denoise").params for option in each.opts}
    kind = options["--noise-type"].type
    assert isinstance(kind, click.Choice)
    assert kind.choices == ("gaussian", "masking", "salt_and_pepper")
    assert options["--noise-level"].type is click.FLOAT
    shown = CliRunner().invoke(main, ["fill-mask", "--help"]).stdout
    assert "[default: 5]" in shown
    assert "--truncate / --no-truncate" in shown
    generate = {option: each for each in task_command("generate").params for option in each.opts}
    assert isinstance(generate["--bad-words"], click.Option)
    assert generate["--bad-words"].multiple


def test_texts_of_a_file_are_encoded_in_their_order(run: Run, server: list[str], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("the dog ran\n\nthe cat sat\r\na\nb\nc\n")
    lines = run("encode", "notes.txt", "--ndjson", *server)
    assert lines.exit_code == 0, lines.output
    vectors = [json.loads(line)["embedding"] for line in lines.stdout.splitlines()]
    single = outputs(run("encode", "the cat sat", "--json", *server))
    assert len(vectors) == 5
    assert vectors[1] == pytest.approx(single[0]["embedding"], abs=1e-6)
    table = run("encode", "-", "--dimensions", "2", *server, stdin="the dog ran\n")
    assert "the dog ran" in table.stdout


def test_pictures_go_in_and_come_out(run: Run, server: list[str], tmp_path: Path) -> None:
    (tmp_path / "digit.png").write_bytes(png(images(1)[0]))
    done = run("reconstruct", "digit.png", "-o", "out.png", *server)
    assert (done.exit_code, done.output) == (0, "")
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.size == (4, 4)
    piped = run("reconstruct", "--json", *server, stdin=png(images(1)[0]))
    assert np.shape(outputs(piped)[0]["reconstruction"]) == (1, 4, 4)


def test_numbers_of_any_format_give_the_same_answer(run: Run, server: list[str], tmp_path: Path) -> None:
    items = images(5).reshape(5, 16).round(3).astype(np.float64)
    (tmp_path / "rows.csv").write_text("\n".join(",".join(map(str, row)) for row in items.tolist()))
    (tmp_path / "rows.json").write_text(json.dumps(items.tolist()))
    (tmp_path / "rows.ndjson").write_text("\n".join(json.dumps({"x": row}) for row in items.tolist()))
    (tmp_path / "rows.npy").write_bytes(to_npy(items))
    answers = [
        outputs(run("detect-anomalies", *arguments, "--json", "--n-top", "1", *server))
        for arguments in (["rows.csv"], ["rows.json"], ["rows.npy"], ["rows.ndjson", "--field", "x"])
    ]
    parts = [[output["contributions"] for output in answer] for answer in answers]
    assert np.shape(parts) == (4, 5, 1, 4, 4)
    assert np.allclose(parts, parts[0])  # not equal, because the batches may differ


def test_results_are_written_by_the_end_of_the_files_name(run: Run, url: str, tmp_path: Path) -> None:
    (tmp_path / "rows.npy").write_bytes(to_npy(images(5)))
    for name in ("all.npy", "all.csv", "all.ndjson", "all.json"):
        done = run("encode", "rows.npy", "-o", name, "--url", url)
        assert (done.exit_code, done.stdout) == (0, ""), done.output
    latents = np.load(tmp_path / "all.npy")
    assert len(latents) == 5
    header, *rows = (tmp_path / "all.csv").read_text().splitlines()
    assert header.split(",")[:2] == ["input", "latent_0"]
    assert rows[4].startswith('"rows.npy, row 5",')
    assert np.allclose([list(map(float, row.split(",")[2:])) for row in rows], latents)
    of_lines = [json.loads(line) for line in (tmp_path / "all.ndjson").read_text().splitlines()]
    whole = json.loads((tmp_path / "all.json").read_text())
    assert (whole["model"], whole["usage"]) == (TINY, {"items": 5})
    for outputs_of_file in (of_lines, whole["outputs"]):
        assert np.allclose([output["latent"] for output in outputs_of_file], latents)


def test_each_picture_is_written_to_a_folder(run: Run, url: str, tmp_path: Path) -> None:
    for folder in ("a", "b", "out"):
        (tmp_path / folder).mkdir()
    for place in ("a/digit.png", "b/digit.png"):
        (tmp_path / place).write_bytes(png(images(1)[0]))
    (tmp_path / "rows.npy").write_bytes(to_npy(images(2)))
    done = run("reconstruct", "a/digit.png", "b/digit.png", "rows.npy", "-o", "out", "--url", url)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "4 pictures are in out.\n")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["digit-2.png", "digit.png", "rows-row-1.png", "rows-row-2.png"]


def test_streams_are_printed_as_they_come(run: Run, server: list[str]) -> None:
    options = ["--model", TEXT_MODEL, "--max-new-tokens", "6", "--seed", "1", "--do-sample", *server]
    (output,) = outputs(run("generate", "the dog", "--json", *options))
    streamed = run("generate", "the dog", "--stream", *options)
    assert streamed.stdout == f"{output['generations'][0]['text']}\n"
    events = run("generate", "the dog", "--stream", "--ndjson", *options).stdout.splitlines()
    assert [json.loads(event).get("text") is None for event in events] == [False] * 6 + [True]


def test_streams_of_several_texts_are_printed_one_after_the_other(run: Run, url: str) -> None:
    options = ["--model", TEXT_MODEL, "--max-new-tokens", "4", "--url", url]
    texts = ["the dog", "a cat sat"]
    apart = [run("generate", text, "--stream", *options).stdout for text in texts]
    assert run("generate", *texts, "--stream", *options).stdout == "".join(apart)


def test_objects_are_given_as_json_and_by_the_options_of_their_members(run: Run, server: list[str]) -> None:
    item = json.dumps({"source": "the dog", "candidates": ["the dog", "a cat"]})
    scores = outputs(run("similarity", item, "--json", *server))[0]["scores"]
    assert scores[0] == pytest.approx(1)
    noisy = run(
        "denoise", json.dumps([0.5] * 16), "--noise-type", "gaussian", "--noise-level", "0.1", "--json", *server
    )
    assert "psnr_after" in outputs(noisy)[0]


def test_a_task_without_inputs_takes_none(run: Run, server: list[str]) -> None:
    drawn = outputs(run("sample", "--n", "2", "--seed", "3", "--json", *server))
    assert [output["seed"] for output in drawn] == [3, 3]
    assert run("sample", "file.txt", *server).exit_code == 2


def test_inputs_that_depend_on_each_other_stay_in_one_request(run: Run, url: str, tmp_path: Path) -> None:
    (tmp_path / "rows.npy").write_bytes(to_npy(images(4)))
    refused = run("project", "rows.npy", "--url", url)
    assert (refused.exit_code, refused.stderr) == (
        1,
        "Error: rows.npy, row 1 to rows.npy, row 4: 4 items; a request takes 1 to 3.\n",
    )


def test_errors_name_the_file_and_the_line(run: Run, server: list[str], tmp_path: Path) -> None:
    rows = [",".join(["0.5"] * 16) for _ in range(6)]
    rows[4] = rows[4].replace("0.5", "7", 1)
    (tmp_path / "short.csv").write_text("0,0,0\n0,0,0\n")
    assert run("reconstruct", "short.csv", *server).stderr.startswith(
        "Error: short.csv, line 1 to short.csv, line 2: the shape is [2, 3]"
    )
    (tmp_path / "a.csv").write_text("\n".join(rows[:2]) + "\n")
    (tmp_path / "b.csv").write_text("\n\n" + "\n".join(rows[2:]) + "\n")
    done = run("reconstruct", "a.csv", "b.csv", *server)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: b.csv, line 5: the value 7 at [0, 0, 0] lies outside [0, 1]")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["encode", "notes.tx"], 2, "There is no file 'notes.tx'. If it is a text, give it by --text."),
        (["reconstruct", "digits"], 2, "There is no file 'digits'. If it is a text, give it by --text."),
        (["decode", "a b"], 2, "There is no file 'a b'."),
        (["reconstruct", "a man runs"], 1, "no model serves reconstruct for texts"),
        (["encode", "x", "--dimensions", "0"], 2, "--dimensions: 0 is refused: input should be greater than or equal"),
        (["encode", "x", "--pooling", "most"], 2, "Invalid value for '--pooling'"),
        (["encode", "x", "--model", "nobody"], 1, "no model is named 'nobody'; there are: tiny-ae, tiny-gpt."),
        (["reconstruct", "[1]", "--model", TEXT_MODEL], 1, f"{TEXT_MODEL} does not serve reconstruct"),
        (["translate", "x"], 1, "no model serves translate"),
        (["encode", "x", "-o", "out.xyz"], 2, "--output is 'out.xyz'; its name must end in .json, .ndjson,"),
        (["encode", "x", "-o", "no/out.json"], 2, "--output is 'no/out.json', which cannot be written: No such file"),
        (["encode", "x", "-o", "a.json", "--json"], 2, "--output, --json and --ndjson exclude each other."),
        (["encode", "x", "--timeout", "-1"], 2, "--timeout is -1; it must be more than 0 seconds."),
        (["encode", "x", "--timeout", "1e9"], 1, "x-timeout-ms is '1000000000000'; it must be"),
        (["generate", "x", "--stream", "-o", "a.json"], 2, "--stream prints texts as they come; it has no --output."),
        (["generate", "x", "--stream", "--json"], 2, "--stream has no single object for --json; --ndjson prints"),
        (["generate", "x", "--stream", "--num-beams", "2"], 2, "--stream: stream needs num_beams 1"),
        (["encode", "x", "--url", "localhost"], 2, "--url is 'localhost'; it must be like http://localhost:8000."),
        (["encode", "x", "--url", "http://a:b@c"], 2, "--url has a user name or a password in it."),
        (["encode", "x", "--url", "http://127.0.0.1:9"], 1, "No server answers at http://127.0.0.1:9"),
        (["encode", "x", "--url", "http://127.0.0.1:9", "--key", "ä"], 2, "The key given by --key or MANIFOLD_KEY"),
    ],
)
def test_what_is_wrong_is_a_sentence_with_an_exit_code(run: Run, arguments: list[str], code: int, said: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(Path.cwd().iterdir()), "no file is left behind"


def test_mixed_kinds_of_inputs_need_a_model(run: Run, tmp_path: Path) -> None:
    (tmp_path / "digit.png").write_bytes(png(images(1)[0]))
    done = run("encode", "digit.png", "--text", "the dog")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: digit.png to text 1: some are encoded images and some are texts")


def test_a_file_that_exists_is_kept_if_the_command_fails(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text("{}")
    assert run("encode", "x", "--model", "nobody", "-o", "out.json").exit_code == 1
    assert (tmp_path / "out.json").read_text() == "{}"


def test_an_empty_url_is_none_whatever_the_variable_says(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANIFOLD_URL", "http://127.0.0.1:9")
    assert "No server answers" in run("encode", "the dog").stderr
    assert run("encode", "the dog", "--url", "").exit_code == 0
    assert run("models", "--url", "").exit_code == 0


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"hello": "world"}'])
def test_a_server_that_is_none_of_ours_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    async def answer(self: httpx.AsyncClient, request: httpx.Request, **_: Any) -> httpx.Response:
        return httpx.Response(200, content=content, request=request)

    monkeypatch.setattr(httpx.AsyncClient, "send", answer)
    done = run("encode", "x", "--url", "http://127.0.0.1:9")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "not a Manifold server" in done.stderr


def test_a_model_of_a_folder_is_loaded_in_this_process(run: Run, tiny_weights: Path) -> None:
    folder = tiny_weights / "transformers/gpt" / TEXT_MODEL
    renamed = folder.parent.parent.parent.parent / "mine"
    renamed.symlink_to(folder)
    assert len(outputs(run("encode", "the dog", "--model", str(renamed), "--json"))) == 1


def test_a_reader_that_closes_the_pipe_early_ends_it_quietly(
    run: Run, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.npy").write_bytes(to_npy(images(9)))
    reading, writing = os.pipe()
    os.close(reading)
    stdout = os.fdopen(writing, "w")
    monkeypatch.setattr(sys, "stdout", stdout)
    with pytest.raises(SystemExit) as ended:
        main(["encode", "rows.npy", "--ndjson", "--url", url])
    sys.stdout.flush()  # as the interpreter does at its end
    with suppress(BrokenPipeError):
        stdout.close()
    assert ended.value.code == 1
    assert capfd.readouterr().err == ""


def test_a_series_is_sent_as_a_whole_or_not_at_all(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "series", "pumps", SERIES_CODEC.shape, describe_table_series_codec(SERIES_CODEC))
    monkeypatch.setenv("MANIFOLD_WEIGHTS_DIR", str(tmp_path / "series"))
    times = [f"2026-01-01T00:{second // 60:02}:{second % 60:02}" for second in range(150)]
    lines = [f"{time},{number % 3},yes,a" for number, time in enumerate(times)]
    (tmp_path / "rows.csv").write_text("\n".join(["score,flow,open,pump", *lines]) + "\n")
    arguments = ["detect-anomalies", "rows.csv", "--from", "rows", "--model", "pumps", "--json"]
    refused = run(*arguments)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "pumps takes series, and not single rows: --whole takes the rows" in refused.stderr.replace("\n", " ")
    (output,) = outputs(run(*arguments, "--whole"))
    assert len(output["rows"]["scores"]) == len(times)


def test_no_request_is_under_way_when_the_connection_is_closed(
    run: Run, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows.npy").write_bytes(to_npy(images(9)))  # three requests
    send, leave = httpx.AsyncHTTPTransport.handle_async_request, httpx.AsyncHTTPTransport.__aexit__
    asked: list[httpx.Request] = []
    n_running, n_running_at_the_end = 0, []

    async def answer_one(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        nonlocal n_running
        if request.url.path != "/encode":
            return await send(self, request)
        asked.append(request)
        n_running += 1
        try:
            if len(asked) > 1:
                await asyncio.Event().wait()
            return await send(self, request)
        finally:
            n_running -= 1

    async def count_and_leave(self: httpx.AsyncHTTPTransport, *error: Any) -> None:
        n_running_at_the_end.append(n_running)
        await leave(self, *error)

    def fail(self: JsonLinesWriter, answer: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", answer_one)
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "__aexit__", count_and_leave)
    monkeypatch.setattr(JsonLinesWriter, "write", fail)
    done = run("encode", "rows.npy", "--ndjson", "--url", url)
    assert (done.exit_code, len(asked), n_running_at_the_end) == (1, 3, [0]), done.output


def test_the_key_is_sent_and_never_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[httpx.Request] = []

    async def refuse(self: httpx.AsyncClient, request: httpx.Request, **_: Any) -> httpx.Response:
        seen.append(request)
        return httpx.Response(401, json={"detail": "this key is not known"}, request=request)

    monkeypatch.setattr(httpx.AsyncClient, "send", refuse)
    monkeypatch.setenv("MANIFOLD_KEY", "secret-of-mine")
    done = run("encode", "x", "--url", "http://127.0.0.1:9")
    said = "Error: this key is not known. Here, --key or MANIFOLD_KEY gives the key.\n"
    assert (done.exit_code, done.stderr) == (1, said)
    assert seen[0].headers["authorization"] == "Bearer secret-of-mine"
    assert "secret-of-mine" not in run("encode", "--help").output
