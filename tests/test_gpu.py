"""On a GPU, models are what they are on a CPU; skipped where there is none."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from app.settings import WORKERS_PER_GPU, Settings
from models.family import FamilyConfig, FamilySpec
from models.generation import running_batch
from models.generation.cached_attention import DecodeAttention
from models.generation.decoder_graphs import decode_step
from models.generation.generator import Generator
from models.generation.kv_cache import KeyValueCache
from models.generation.running_batch import RunningBatch
from models.generation.tasks import generate
from models.generation.token_scores import NextTokens
from models.ops.flash import supports_flash
from models.precision import Precision, PrecisionChoice, convert
from models.tasks.generation import GenerateRequest
from models.tasks.text import Pooling, Tokens
from models.text import encoder_graphs
from models.text.embedding import vectors
from models.transformers import gpt, vanilla
from models.transformers.gpt.config import GptConfig
from models.transformers.gpt.model import Gpt
from tests.conftest import TINY, served
from tests.models.generation.generating import ids, joined
from tests.models.transformers.reference import random_text
from tests.models.transformers.test_contract import CASES, build
from tests.models.transformers.test_contract import TINY as TEXT_MODELS

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
CONFIG = GptConfig(vocab_size=200, n_positions=256, width=64, n_layers=3, n_heads=4, inner_width=96)


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def texts(n: int, model: Any, longest: int = 60) -> list[Tokens]:
    most = min(longest, model.n_positions - 4)
    return [random_text(1 + 7 * seed % most, model.vocab_size, seed) for seed in range(n)]


@pytest.mark.parametrize(("spec", "config"), TEXT_MODELS)
@pytest.mark.parametrize(("precision", "least"), [("float32", 1 - 1e-5), ("bfloat16", 0.99), ("float16", 0.999)])
def test_texts_have_the_vectors_of_a_cpu(
    spec: FamilySpec[Any], config: FamilyConfig, precision: Precision, least: float
) -> None:
    model = build(spec, config)
    its = texts(30, model)
    expected = vectors(model, its, "mean")
    convert(model.to("cuda"), PrecisionChoice(precision, ""))
    for batch in (its, its[3:4]):
        cosines = functional.cosine_similarity(
            vectors(model, batch, "mean"), expected[: len(batch)] if batch is its else expected[3:4]
        )
        assert cosines.min() > least


@pytest.mark.parametrize("pooling", ["mean", "cls", "last", "max"])
def test_recorded_passes_are_the_passes(pooling: Pooling, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many sizes, the room grown and some forgotten, in any order, beside others on streams of their own."""
    monkeypatch.setattr(encoder_graphs, "MAX_GRAPHS", 6)
    model = build(*next(iter(CASES.values())))
    batches = [texts(1 + 37 * number % 90, model)[-(1 + number % 40) :] for number in range(120)]
    expected = [vectors(model, batch, pooling, normalize=True) for batch in batches]
    convert(model.to("cuda"), PrecisionChoice("float32", ""))
    assert model.encoder_graphs is not None

    def encode(number: int) -> Tensor:
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        with torch.inference_mode(), torch.cuda.stream(stream):
            return vectors(model, batches[number], pooling, normalize=True)

    with ThreadPoolExecutor(4) as threads:
        for found, its in zip(threads.map(encode, range(120)), expected, strict=True):
            torch.testing.assert_close(found, its, rtol=0.0, atol=1e-4)
    assert len(model.encoder_graphs._graphs) == encoder_graphs.MAX_GRAPHS
    with torch.no_grad():
        torch.testing.assert_close(
            vectors(model, batches[7], pooling, normalize=True), expected[7], rtol=0.0, atol=1e-4
        )


def test_texts_of_any_length_are_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded or not."""
    monkeypatch.setattr(encoder_graphs, "MAX_TOKENS", 300)
    model = build(gpt.FAMILY, replace(CONFIG, n_positions=600))
    batches = [[random_text(length, 200, length) for length in its] for its in ([290], [3, 280], [290, 290], [600])]
    expected = [vectors(model, batch) for batch in batches]
    convert(model.to("cuda"), PrecisionChoice("float32", ""))
    for batch, its in zip(batches, expected, strict=True):
        torch.testing.assert_close(vectors(model, batch), its, rtol=0.0, atol=1e-3 * float(its.abs().max()))


def generator(precision: Precision = "float32") -> Gpt:
    model = cast("Gpt", build(gpt.FAMILY, CONFIG)).to("cuda")
    convert(model, PrecisionChoice(precision, ""))
    return model


def asked(n: int, model: Generator[Any], **parameters: Any) -> list[GenerateRequest]:
    return [
        GenerateRequest(tokens=text, max_new_tokens=3 + 5 * number % 40, seed=number, **parameters)
        for number, text in enumerate(texts(n, model))
    ]


@pytest.mark.parametrize(("family", "config"), [(gpt.FAMILY, CONFIG), (vanilla.FAMILY, vanilla.FAMILY.tiny[0])])
@pytest.mark.parametrize(
    "parameters", [{}, {"num_beams": 3, "n": 2}, {"do_sample": True, "n": 2}, {"do_sample": True, "top_p": 0.8}]
)
def test_generated_texts_are_those_of_a_cpu(
    family: FamilySpec[Any], config: FamilyConfig, parameters: dict[str, Any]
) -> None:
    model = cast("Generator[Any]", build(family, config))
    requests = [
        GenerateRequest(tokens=text, max_new_tokens=1 + number % 8, seed=number, **parameters)
        for number, text in enumerate(texts(9, model, 20))
    ]
    expected = ids(generate(model, requests))
    model.to("cuda")
    assert ids(generate(model, requests)) == expected
    assert ids([generate(model, [each])[0] for each in requests]) == expected


def test_texts_do_not_depend_on_requests_that_join_and_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows and room grow, prompts are read in parts and begin alike, and steps are recorded."""
    monkeypatch.setattr(running_batch, "MAX_PREFILL_WHILE_DECODING", 1)
    monkeypatch.setattr(running_batch, "MAX_PREFILL_WHEN_IDLE", 2)
    model = generator()
    requests = asked(40, model)
    requests += [
        GenerateRequest(tokens=Tokens.of_ids([*one.tokens.ids.tolist(), 5, 6]), max_new_tokens=20)
        for one in requests[20:]
    ]
    alone = ids([generate(model, [each])[0] for each in requests])
    batch: RunningBatch[int] = RunningBatch(model, max_prefix_tokens=2048)
    assert ids(joined(batch, requests, 3)) == alone
    assert batch.n_prefilled < sum(len(one.tokens) for one in requests)


def assert_near(found: Tensor, expected: Tensor) -> None:
    """As numbers of eight bits are."""
    torch.testing.assert_close(found.float(), expected.float(), rtol=0.0, atol=0.03 * float(expected.abs().max()))


def prefilled(model: Gpt, parts: Sequence[Sequence[Tensor]]) -> tuple[Tensor, KeyValueCache]:
    cache = model.new_cache()
    for its in parts:
        logits = model.prefill(its, cache)
    return logits, cache


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_prompts_read_in_parts_are_as_if_read_whole(precision: Precision) -> None:
    model = generator(precision)
    assert supports_flash(torch.zeros(1, 4, 16, dtype=getattr(torch, precision), device="cuda"))
    prompts = [torch.from_numpy(random_text(length, 200, length).ids) for length in (50, 17, 90, 2)]
    whole, cache = prefilled(model, [prompts])
    parted, other = prefilled(
        model, [[one[: 1 + len(one) // 3] for one in prompts], [one[1 + len(one) // 3 :] for one in prompts]]
    )
    torch.testing.assert_close(parted.float(), whole.float(), rtol=0.05, atol=0.05 * float(whole.abs().max()))
    for row, prompt in enumerate(prompts):
        its = slice(0, len(prompt))
        keys, others = (each.keys_values(2)[0, row, :, its].float() for each in (cache, other))
        torch.testing.assert_close(others, keys, rtol=0.05, atol=0.05 * float(keys.abs().max()))


def test_a_recorded_step_computes_what_the_step_computes() -> None:
    model = generator("bfloat16")
    prompts = [torch.from_numpy(random_text(3 + length, 200, length).ids) for length in range(11)]
    for _ in range(2):
        (_, recorded), (_, plain) = prefilled(model, [prompts]), prefilled(model, [prompts])
        for _ in range(12):  # past the first room
            token_ids = torch.randint(200, (len(prompts),))
            for cache in (recorded, plain):
                cache.extend([1] * len(cache))
            found = decode_step(model.step, NextTokens(token_ids), recorded).logits
            expected = model.step(token_ids.cuda(), DecodeAttention(plain), None)
            assert_near(found, expected)


@pytest.mark.anyio
async def test_a_server_on_a_gpu(weights: Path) -> None:
    from models.checkpoint.hugging_face import write_published
    from tests.models.transformers.vocabularies import write_tokenizer

    folder = weights.parent / "gpt"
    write_published(folder, build(gpt.FAMILY, CONFIG), gpt.FAMILY, CONFIG, extra={}, dtype=torch.float32)
    write_tokenizer(folder, "gpt2", CONFIG.vocab_size)
    settings = Settings(weights_dir=weights, device="cuda", model={"gpt": str(folder)})
    assert settings.max_batch_tokens > Settings().max_batch_tokens
    assert len(settings.devices(generates=False)) == WORKERS_PER_GPU
    async with served(settings) as client:
        image = torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(0)).tolist()

        async def reconstruct() -> Any:
            return await client.post("/reconstruct", json={"model": TINY, "inputs": [image]})

        async def generate(number: int) -> Any:
            body = {"model": "gpt", "inputs": ["a b " * (1 + number)], "parameters": {"max_new_tokens": 20}}
            return await client.post("/generate", json=body)

        async def encode(number: int) -> Any:
            return await client.post("/encode", json={"model": "gpt", "inputs": ["a b " * (1 + number)]})

        async with asyncio.timeout(60):
            work = [call for number in range(20) for call in (reconstruct(), generate(number), encode(number))]
            answers = await asyncio.gather(*work)
        assert {answer.status_code for answer in answers} == {200}
        assert len({str(answer.json()["outputs"]) for answer in answers[::3]}) == 1
        (card,) = [one for one in (await client.get("/models")).json()["models"] if one["id"] == "gpt"]
        assert card["dtype"] == "bfloat16", card
