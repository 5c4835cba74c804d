"""Checkpoints with damaged JSON files: each is refused by name, whatever the damage, and can be listed all the same."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.registry.memory import MemoryBudget
from app.registry.model_start import Turns
from app.registry.served_model import ServedModel
from app.schemas.service import card
from app.settings import Settings
from models.checkpoint import load_model, public_name, read_checkpoint
from models.errors import CheckpointError, ModelsError
from tests.app.server import SHIPPED
from tests.conftest import write_tiny

TEXTS = ("bert/sentence-mini-en", "gpt/gpt-mini-en", "albert/albert-sst2-en")
SENTENCE_FILES = {
    "modules.json": [
        {"path": "", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ],
    "1_Pooling/config.json": {"pooling_mode_mean_tokens": True, "include_prompt": True},
    "config_sentence_transformers.json": {"prompts": {"query": "q: "}, "default_prompt_name": "query"},
    "sentence_bert_config.json": {"max_seq_length": 32, "modality_config": {"text": {}}, "tokenizer_args": {}},
    "generation_config.json": {"max_new_tokens": 5, "bad_words_ids": [[1]], "eos_token_id": [0]},
    "special_tokens_map.json": {"pad_token": {"content": "[PAD]"}, "additional_special_tokens": ["[X]"]},
    "added_tokens.json": {"[X]": 7},
    "manifold.json": {"licence": "MIT", "metrics": {"a": 1.0}, "sha256": {}, "default_for": [], "known_failings": ""},
}
"""Files that the shipped checkpoints do not all have."""
RAW = ("1e999", "NaN", "-Infinity", "9" * 400, "9" * 5000, '"\\ud800"', '{"\\udfff": 1}', "[" * 70 + "]" * 70, "tru")
"""Texts that stand for values, but that JSON does not have or no answer could hold."""

numbers = st.one_of(st.integers(-3, 3), st.sampled_from((2**31, 2**64, 10**300, 0.5, 1e308, -1e-320)))
texts = st.one_of(st.sampled_from(("", "\0", "\x1b[31m\n", "\u202e", "..", "mean", "[PAD]", "x" * 3000)), st.text())
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A checkpoint of each format, with weights that are links."""
    root = tmp_path_factory.mktemp("bases")
    native = write_tiny(root).folder
    for text in TEXTS:
        copied = shutil.copytree(SHIPPED / "transformers" / text, root / text, ignore=shutil.ignore_patterns("*.png"))
        for file, content in SENTENCE_FILES.items():
            (copied / file).parent.mkdir(exist_ok=True)
            if not (copied / file).exists() and (text.startswith("bert") or file == "manifold.json"):
                (copied / file).write_text(json.dumps(content))
    return [native, *(root / text for text in TEXTS)]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths to a JSON value and its parts, of lists and long objects only the first few."""
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in list(parts)[:20]:
        yield from places(part, (*path, key))


def damage(text: str, draw: Callable[[st.SearchStrategy[Any]], Any]) -> str:
    """Return JSON with a value replaced, or with a key that is removed or renamed."""
    content = json.loads(text)
    path = draw(st.sampled_from(list(places(content))))
    mark = "a value that is replaced"
    if not path:
        content = mark
    else:
        parent = content
        for key in path[:-1]:
            parent = parent[key]
        how = draw(st.sampled_from(("replace", "replace", "replace", "remove", "rename")))
        if how == "remove":
            del parent[path[-1]]
        elif how == "rename" and isinstance(parent, dict):
            parent[draw(texts)] = parent.pop(path[-1])
        else:
            parent[path[-1]] = mark
    return json.dumps(content).replace(json.dumps(mark), draw(st.one_of(values.map(json.dumps), st.sampled_from(RAW))))


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_only_errors_of_models_come_out_and_the_model_can_be_listed(bases: list[Path], data: st.DataObject) -> None:
    base = data.draw(st.sampled_from(bases))
    files = sorted(path.relative_to(base).as_posix() for path in base.rglob("*.json") if path.name != "expected.json")
    file = base / data.draw(st.sampled_from(files))
    whole = file.read_text()
    file.write_text(damage(whole, data.draw))
    try:
        listed = list_model("damaged", base)
        assert listed["id"] == "damaged"
        assert reason_of_failure(base).startswith("damaged")
    finally:
        file.write_text(whole)


@pytest.mark.parametrize("texts", ["single", "pair"])
@pytest.mark.parametrize("is_nested", [False, True])
def test_a_template_with_an_unknown_token_is_refused(bases: list[Path], texts: str, is_nested: bool) -> None:
    file = bases[-1] / "tokenizer.json"
    whole = file.read_text()
    content = json.loads(whole)
    template = content["post_processor"]
    template[texts].append({"SpecialToken": {"id": "[END]", "type_id": 0}})
    if is_nested:
        content["post_processor"] = {"type": "Sequence", "processors": [template]}
    file.write_text(json.dumps(content))
    try:
        reason = "the template of its post_processor has '[END]', which its special_tokens lack"
        assert reason_of_failure(bases[-1]) == f"damaged: the tokenizer is not readable: {reason}"
    finally:
        file.write_text(whole)


def reason_of_failure(folder: Path) -> str:
    """Return why a checkpoint cannot be loaded, or its name if it can. No other error is caught."""
    try:
        load_model(read_checkpoint(folder, "damaged"))
    except ModelsError as error:
        return str(error)
    return "damaged, but not so that it matters"


def list_model(name: str, folder: Path) -> dict[str, Any]:
    """Return a model as `GET /models` shows it before it is loaded."""
    options = Settings(weights_dir=folder)
    model = ServedModel(name, folder, options, MemoryBudget(options, list), Turns.of(options), wanted=False)
    shown = card(model, options).model_dump(mode="json")
    json.dumps(shown, allow_nan=False).encode()
    card(model, options).model_dump_json()
    return shown


@pytest.mark.parametrize(
    ("name", "public"),
    [
        (b"a\nb\x1b[31m", r"a\nb\x1b[31m"),
        (b"caf\xe9", r"caf\xe9"),
        ("\u202emirrored".encode(), r"\u202emirrored"),
        (b"back\\slash", r"back\slash"),
        (b"x" * 250, "x" * 250),
    ],
    ids=["control", "latin-1", "direction", "backslash", "long"],
)
def test_a_name_that_cannot_be_shown_is_escaped_and_refused(tmp_path: Path, name: bytes, public: str) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/autoencoders/vanilla/" + name))
    write_tiny(tmp_path, "tiny").folder.rename(folder)
    assert public_name(folder) == public
    assert list_model(public, folder)["reason"].startswith(public)
    with pytest.raises(CheckpointError, match="printable characters"):
        read_checkpoint(folder)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "calibration.safetensors"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, file: str, kind: str) -> None:
    folder = write_tiny(tmp_path).folder
    (folder / file).unlink()
    if kind == "pipe":
        os.mkfifo(folder / file)
    elif kind == "device":
        (folder / file).symlink_to("/dev/zero")
    else:
        (folder / file).mkdir()
    with pytest.raises(CheckpointError, match=f"^mine/{file} is (a pipe or a device|not readable)"):
        load_model(read_checkpoint(folder, "mine"))


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])
def test_a_pipe_in_a_folder_of_texts_is_not_waited_for(bases: list[Path], file: str) -> None:
    path = bases[1] / file
    whole = path.rename(path.with_suffix(".whole")) if path.exists() else None
    os.mkfifo(path)
    try:
        list_model("mine", bases[1])
        with pytest.raises(CheckpointError, match=f"^mine/{file} is a pipe or a device"):
            load_model(read_checkpoint(bases[1], "mine"))
    finally:
        path.unlink()
        if whole is not None:
            whole.rename(path)
