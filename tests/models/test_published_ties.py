"""Parameters that `config.json` ties, but that files store with values of their own, as `transformers` reads them."""

import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from models.checkpoint import load_model, read_checkpoint
from models.checkpoint.hugging_face import PublishedCheckpoint
from models.generation.encoder_decoder import EncoderDecoder
from models.generation.token_scores import NextTokens
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder
from models.transformers.gpt.model import Gpt
from tests.models.test_published_heads import CONFIGS
from tests.models.transformers.reference import assert_close, publish, random_text

TEXT = random_text(6, 60, 0)
IDS = torch.from_numpy(TEXT.ids)[None]
DECODERS = {
    "Bert": ("cls.predictions", "bert.embeddings.word_embeddings.weight"),
    "Roberta": ("lm_head", "roberta.embeddings.word_embeddings.weight"),
    "XLMRoberta": ("lm_head", "roberta.embeddings.word_embeddings.weight"),
    "Albert": ("predictions", "albert.embeddings.word_embeddings.weight"),
    "MPNet": ("lm_head", "mpnet.embeddings.word_embeddings.weight"),
}
OUTPUTS = {
    "DistilBert": ("vocab_projector", "distilbert.embeddings.word_embeddings.weight"),
    "Electra": ("generator_lm_head", "electra.embeddings.word_embeddings.weight"),
}
"""Layers of masked words whose bias is stored under no other name, and the matrices that they share."""


def store(folder: Path, **changes: Any) -> dict[str, torch.Tensor]:
    """Add tensors to a file, or remove those that are None, and return what is stored."""
    weights = {**load_file(folder / "model.safetensors"), **changes}
    kept = {name: tensor.clone() for name, tensor in weights.items() if tensor is not None}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    return kept


def read(folder: Path) -> tuple[PublishedCheckpoint, Any]:
    checkpoint = cast("PublishedCheckpoint", read_checkpoint(folder))
    return checkpoint, load_model(checkpoint)


def masked_logits(model: TextEncoder) -> torch.Tensor:
    batch, hidden = model.read([TEXT])
    return next(iter(batch.by_text(model.masked_logits(hidden))))


@pytest.mark.parametrize("kind", ["equal", "other matrix", "other bias", "only the decoder's", "both other"])
@pytest.mark.parametrize("family", DECODERS)
def test_the_matrix_of_masked_words_is_the_stored_one(family: str, kind: str, tmp_path: Path) -> None:
    publish(tmp_path, f"{family}ForMaskedLM", CONFIGS[family]())
    decoder, words = DECODERS[family]
    stored = load_file(tmp_path / "model.safetensors")
    matrix, bias = stored[words].clone(), stored[f"{decoder}.bias"].clone()
    torch.manual_seed(1)
    other, other_bias = torch.randn_like(matrix), torch.randn_like(bias)
    kinds: dict[str, dict[str, Any]] = {
        "equal": {f"{decoder}.decoder.weight": matrix, f"{decoder}.decoder.bias": bias},
        "other matrix": {f"{decoder}.decoder.weight": other},
        "other bias": {f"{decoder}.decoder.bias": other_bias},
        "only the decoder's": {words: None, f"{decoder}.decoder.weight": matrix},
        "both other": {f"{decoder}.decoder.weight": other, f"{decoder}.decoder.bias": other_bias},
    }
    store(tmp_path, **kinds[kind])
    reference = getattr(transformers, f"{family}ForMaskedLM").from_pretrained(tmp_path).eval()
    checkpoint, model = read(tmp_path)
    with torch.inference_mode():
        assert_close(masked_logits(model), reference(IDS).logits[0])
    assert (model.masked_head.decoder is not None) == ("matrix" in kind or kind == "both other")
    assert checkpoint.unused == ([f"{decoder}.bias"] if kind in ("other bias", "both other") else [])


@pytest.mark.parametrize("kind", ["equal", "other matrix", "only the output"])
@pytest.mark.parametrize("family", OUTPUTS)
def test_the_matrix_of_an_output_layer_is_the_stored_one(family: str, kind: str, tmp_path: Path) -> None:
    publish(tmp_path, f"{family}ForMaskedLM", CONFIGS[family]())
    output, words = OUTPUTS[family]
    matrix = load_file(tmp_path / "model.safetensors")[words].clone()
    torch.manual_seed(1)
    stored = torch.randn_like(matrix) if kind == "other matrix" else matrix
    store(tmp_path, **{f"{output}.weight": stored, **({words: None} if "only" in kind else {})})
    reference = getattr(transformers, f"{family}ForMaskedLM").from_pretrained(tmp_path).eval()
    checkpoint, model = read(tmp_path)
    with torch.inference_mode():
        assert_close(masked_logits(model), reference(IDS).logits[0])
    assert (model.masked_head.decoder is not None) == (kind == "other matrix")
    assert not checkpoint.unused


@pytest.mark.parametrize("architecture", ["GPT2LMHeadModel", "GPT2Model"])
@pytest.mark.parametrize("kind", ["equal", "other", "only the output"])
def test_the_output_matrix_of_gpt_is_the_stored_one(kind: str, architecture: str, tmp_path: Path) -> None:
    publish(tmp_path, "GPT2LMHeadModel", CONFIGS["GPT2"]())
    words = load_file(tmp_path / "model.safetensors")["transformer.wte.weight"]
    output = words.clone() if kind != "other" else torch.randn_like(words)
    store(tmp_path, **{"lm_head.weight": output, **({"transformer.wte.weight": None} if "only" in kind else {})})
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "architectures": [architecture]}))
    if architecture == "GPT2Model":
        if "only" not in kind:
            checkpoint, _ = read(tmp_path)
            assert checkpoint.unused == ["lm_head.weight"]
        return
    reference: Any = transformers.GPT2LMHeadModel.from_pretrained(tmp_path)
    checkpoint, model = read(tmp_path)
    gpt = cast("Gpt", model)
    batch = RaggedBatch.of_texts([TEXT])
    with torch.inference_mode():
        assert_close(gpt.logits(gpt.last_hidden(batch)), reference(IDS).logits[0])
    assert (gpt.decoder is not None) == (kind == "other")
    assert not checkpoint.unused


SHARED, OUTPUT = "model.shared.weight", "lm_head.weight"
SIDES = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight")
MARIAN: dict[str, tuple[set[str], set[str], set[str], list[str]]] = {
    "shared alone": ({SHARED}, set(), set(), []),
    "copies": ({SHARED, *SIDES, OUTPUT}, set(), set(), []),
    "one side": ({SIDES[0]}, set(), set(), []),
    "the output alone": ({OUTPUT}, set(), set(), []),
    "another output": ({SHARED, OUTPUT}, {OUTPUT}, {"untied"}, []),
    "another decoder": ({SHARED, SIDES[1], OUTPUT}, {SIDES[1]}, {"apart", "untied"}, []),
    "another encoder": ({SHARED, SIDES[0]}, {SIDES[0]}, {"apart"}, []),
    "all three": ({*SIDES, SHARED, OUTPUT}, {*SIDES, OUTPUT}, {"apart", "untied"}, [SHARED]),
}
"""By case: what is stored, what of it has values of its own, what follows, and what is not used."""


@pytest.mark.parametrize("case", MARIAN)
def test_the_embeddings_of_marian_are_the_stored_ones(case: str, tmp_path: Path) -> None:
    names, others, follows, unused = MARIAN[case]
    publish(tmp_path, "MarianMTModel", CONFIGS["Marian"]())
    words = load_file(tmp_path / "model.safetensors")[SHARED]
    torch.manual_seed(2)
    changes: dict[str, Any] = {
        name: (torch.randn_like(words) if name in others else words) if name in names else None
        for name in (SHARED, *SIDES, OUTPUT)
    }
    store(tmp_path, **changes)
    reference: Any = transformers.MarianMTModel.from_pretrained(tmp_path)
    checkpoint, model = read(tmp_path)
    marian = cast("EncoderDecoder", model)
    with torch.inference_mode():
        theirs = reference(IDS, decoder_input_ids=torch.tensor([[2, 9]])).logits[0]
        cache = marian.new_cache()
        assert_close(marian.prefill([IDS[0]], cache)[0], theirs[0])
        assert_close(marian.decode(NextTokens(torch.tensor([9])), cache).logits[0], theirs[1])
    apart = model.encoder.words.weight.data_ptr() != model.decoder.words.weight.data_ptr()
    assert (apart, model.output is not None) == (bool(follows), "untied" in follows)
    assert checkpoint.unused == unused
