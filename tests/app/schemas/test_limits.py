"""What a short request may ask for: each limit is named with what was asked."""

from collections.abc import Mapping

import pytest

from app.schemas import answer, attend, fill_mask, tokenize
from app.schemas.shared.envelope import Body
from app.schemas.shared.task_schema import ModelCodecs, TaskSchema
from models.checkpoint import read_checkpoint
from models.codecs import VectorCodec
from models.codecs.arrays import Limits
from models.codecs.text import windows
from models.errors import InvalidItems
from models.tasks import Request
from tests.app.texts import write_text

LIMITS = Limits(max_items=100, max_pixels=1000)


@pytest.fixture(scope="module")
def codecs(tmp_path_factory: pytest.TempPathFactory) -> ModelCodecs:
    folder = write_text(tmp_path_factory.mktemp("weights"), "transformers/bert")
    return ModelCodecs(items=read_checkpoint(folder).codec, latents=VectorCodec((3,)))


def requests(schema: TaskSchema, codecs: ModelCodecs, body: Mapping[str, object]) -> list[Request]:
    checked: Body = schema.body.model_validate(body)
    return schema.requests(checked, codecs, LIMITS)


def test_fills(codecs: ModelCodecs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill_mask, "MAX_FILLS", 8)
    body = {"inputs": ["the [MASK]", "[MASK] [MASK]"]}
    assert len(requests(fill_mask.SCHEMA, codecs, {**body, "parameters": {"top_k": 2}})) == 2
    with pytest.raises(InvalidItems, match="3 masks, 3 tokens for each: 9 in all; the limit is 8"):
        requests(fill_mask.SCHEMA, codecs, {**body, "parameters": {"top_k": 3}})
    chosen = {"top_k": 1000, "targets": ["dog", "the"]}
    assert len(requests(fill_mask.SCHEMA, codecs, {**body, "parameters": chosen})) == 2


def test_a_top_k_beyond_the_vocabulary_means_all_of_it(codecs: ModelCodecs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill_mask, "MAX_FILLS", codecs.texts.vocab_size)
    assert requests(fill_mask.SCHEMA, codecs, {"inputs": "a [MASK]", "parameters": {"top_k": 1000}})


def test_pairs_of_tokens(codecs: ModelCodecs, monkeypatch: pytest.MonkeyPatch) -> None:
    (alone,) = requests(attend.SCHEMA, codecs, {"inputs": ["the dog"]})
    monkeypatch.setattr(attend, "MAX_PAIRS", 2 * alone.cost)
    assert len(requests(attend.SCHEMA, codecs, {"inputs": ["the dog"] * 2})) == 2
    with pytest.raises(InvalidItems, match=f"have {3 * alone.cost} pairs of tokens.*the limit is {2 * alone.cost}"):
        requests(attend.SCHEMA, codecs, {"inputs": ["the dog"] * 3})
    assert requests(attend.SCHEMA, codecs, {"inputs": "the dog " * 10})  # alone, it has the model's limit


@pytest.mark.parametrize("stride", range(0, 12, 3))
@pytest.mark.parametrize("n_words", [1, 40, 41, 42, 43, 44, 80, 95])
def test_windows(codecs: ModelCodecs, monkeypatch: pytest.MonkeyPatch, stride: int, n_words: int) -> None:
    pair = {"question": "the dog", "context": "a " * n_words}
    body = {"inputs": [pair], "parameters": {"stride": stride}}
    (request,) = requests(answer.SCHEMA, codecs, body)
    n_windows = len(request.windows)  # type: ignore[attr-defined]
    monkeypatch.setattr(windows, "MAX_WINDOWS", n_windows)
    assert requests(answer.SCHEMA, codecs, body)
    monkeypatch.setattr(windows, "MAX_WINDOWS", n_windows - 1)
    if n_windows == 1:
        assert requests(answer.SCHEMA, codecs, body)
        return
    shortest = {"inputs": [pair], "parameters": {"stride": 0}}
    try:
        requests(answer.SCHEMA, codecs, shortest)
        advice = "a shorter stride makes fewer"
    except InvalidItems:
        advice = "they hold [0-9]+ tokens at most"
    with pytest.raises(InvalidItems, match=f"makes {n_windows} windows; the limit is {n_windows - 1}: {advice}"):
        requests(answer.SCHEMA, codecs, body)


def test_windows_of_all_contexts_count_as_items(codecs: ModelCodecs) -> None:
    pair = {"question": "the dog", "context": "a " * 95}
    (request,) = requests(answer.SCHEMA, codecs, {"inputs": [pair]})
    n_windows = len(request.windows)  # type: ignore[attr-defined]
    assert n_windows > 1
    body = {"inputs": [pair] * 2}
    checked = answer.SCHEMA.body.model_validate(body)
    limits = Limits(max_items=2 * n_windows, max_pixels=1)
    assert len(answer.SCHEMA.requests(checked, codecs, limits)) == 2
    fewer = Limits(max_items=2 * n_windows - 1, max_pixels=1)
    detail = f"the contexts make {2 * n_windows} windows up to this one; a request takes {2 * n_windows - 1}, max_items"
    with pytest.raises(InvalidItems, match=detail):
        answer.SCHEMA.requests(checked, codecs, fewer)


def test_an_answer_holds_a_limited_number_of_tokens(codecs: ModelCodecs, monkeypatch: pytest.MonkeyPatch) -> None:
    body = tokenize.SCHEMA.body.model_validate({"inputs": ["the dog", "the dog"]})
    n_tokens = sum(len(output["ids"]) for output in tokenize.SCHEMA.outputs(body, codecs, LIMITS))
    monkeypatch.setattr(tokenize, "MAX_TOKENS", n_tokens - 1)
    with pytest.raises(InvalidItems, match=f"{n_tokens} tokens, all together; the limit is {n_tokens - 1}"):
        tokenize.SCHEMA.outputs(body, codecs, LIMITS)
