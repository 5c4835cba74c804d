"""GPT-2 and Marian beside the implementations of `transformers`: states, logits, attention and generated texts."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import transformers

from models.errors import CheckpointError
from models.generation.generator import Generator
from models.generation.tasks import generate
from models.generation.token_scores import NextTokens
from models.tasks import ATTEND
from models.tasks.generation import GenerateRequest
from models.tasks.text import AttendRequest, Tokens
from models.text.attention_patterns import RecordedAttention
from models.text.embedding import hidden_states
from models.text.ragged_batch import RaggedBatch
from models.transformers.gpt.model import Gpt
from models.transformers.vanilla.model import VanillaTransformer
from tests.models.transformers.reference import assert_close, ours, padded, publish, random_text, texts_for

GPT: dict[str, dict[str, Any]] = {
    "plain": {"n_embd": 24, "n_layer": 2, "n_head": 2},
    "one-layer": {"n_embd": 30, "n_layer": 1, "n_head": 3, "n_inner": 17},
    "by-layer": {"n_embd": 14, "n_layer": 3, "n_head": 7, "scale_attn_by_inverse_layer_idx": True},
    "unscaled": {"n_embd": 20, "n_layer": 2, "n_head": 1, "n_inner": 33, "scale_attn_weights": False},
    "untied": {"n_embd": 12, "n_layer": 3, "n_head": 2, "tie_word_embeddings": False, "activation_function": "relu"},
}
MARIAN: dict[str, dict[str, Any]] = {
    "plain": {"d_model": 24, "encoder_attention_heads": 2, "decoder_attention_heads": 3},
    "uneven": {
        "d_model": 30,
        "encoder_layers": 1,
        "decoder_layers": 3,
        "encoder_attention_heads": 5,
        "decoder_attention_heads": 1,
        "activation_function": "swish",
        "scale_embedding": True,
    },
    "two-vocabularies": {
        "d_model": 15,
        "decoder_vocab_size": 61,
        "share_encoder_decoder_embeddings": False,
        "decoder_start_token_id": 60,
        "decoder_attention_heads": 5,
        "encoder_attention_heads": 3,
    },
    "relu": {
        "d_model": 20,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "activation_function": "relu",
        "forced_eos_token_id": 0,
    },
}


def gpt_config(size: str, **more: Any) -> Any:
    values = {"vocab_size": 83, "n_positions": 37, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    return transformers.GPT2Config(**(values | GPT[size] | more))


def marian_config(size: str) -> Any:
    values: dict[str, Any] = {
        "vocab_size": 83,
        "max_position_embeddings": 37,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_ffn_dim": 40,
        "decoder_ffn_dim": 33,
        "pad_token_id": 2,
        "eos_token_id": 0,
        "decoder_start_token_id": 2,
        "forced_eos_token_id": None,
    }
    return transformers.MarianConfig(**(values | MARIAN[size]))


@pytest.mark.parametrize("size", GPT)
@pytest.mark.parametrize("head", ["Model", "LMHeadModel", "ForSequenceClassification"])
def test_gpt_gives_the_references_outputs(size: str, head: str, tmp_path: Path) -> None:
    reference = publish(tmp_path, f"GPT2{head}", gpt_config(size, num_labels=3))
    model = cast("Gpt", ours(tmp_path))
    texts = texts_for(model)
    for batch in (texts[:1], texts):
        inputs = padded(batch, 0)
        del inputs["token_type_ids"]
        with torch.inference_mode():
            theirs = reference(**inputs, output_hidden_states=True, output_attentions=True)
            ragged = RaggedBatch.of_texts(batch)
            witness = RecordedAttention(ragged.segments, causal=True)
            hidden = model.hidden(ragged, witness)
            for i, (state, same) in enumerate(zip(ragged.by_text(hidden), hidden_states(model, batch), strict=True)):
                assert_close(state, theirs.hidden_states[-1][i, : len(batch[i])])
                assert_close(same, state)
            for layer, of_texts in zip(theirs.attentions, witness.weights, strict=True):
                for i, place in enumerate(ragged.inverse_order):
                    n = len(batch[i])
                    assert_close(of_texts[place], layer[i, :, :n, :n])
            if head == "LMHeadModel":
                for i, logits in enumerate(ragged.by_text(model.logits(hidden))):
                    assert_close(logits, theirs.logits[i, : len(batch[i])])
            if head == "ForSequenceClassification":
                alone = [reference(input_ids=torch.from_numpy(text.ids)[None]).logits[0] for text in batch]
                assert_close(model.class_logits(batch), torch.stack(alone))


@pytest.mark.parametrize("size", MARIAN)
def test_marian_gives_the_references_outputs(size: str, tmp_path: Path) -> None:
    reference = publish(tmp_path, "MarianMTModel", marian_config(size))
    model = cast("VanillaTransformer", ours(tmp_path))
    start = reference.config.decoder_start_token_id
    for source, target in ((1, 1), (9, 4), (model.n_positions, 12)):
        text = random_text(source, model.vocab_size, source)
        translation = random_text(target, 60, target)
        given = torch.tensor([start, *translation.ids])
        with torch.inference_mode():
            theirs = reference(
                input_ids=torch.from_numpy(text.ids)[None],
                decoder_input_ids=given[None],
                output_hidden_states=True,
                output_attentions=True,
            )
            (result,) = model.run(ATTEND, [AttendRequest(tokens=text, target=translation)])
            assert_close(hidden_states(model, [text])[0], theirs.encoder_last_hidden_state[0])
            assert result.target_ids is not None
            assert result.target_ids.tolist() == given.tolist()
            assert result.cross_attention is not None
            assert result.target_attention is not None
            assert_close(result.attention, torch.stack(theirs.encoder_attentions)[:, 0])
            assert_close(result.target_attention, torch.stack(theirs.decoder_attentions)[:, 0])
            assert_close(result.cross_attention, torch.stack(theirs.cross_attentions)[:, 0])
            cache = model.new_cache()
            logits = [model.prefill([torch.from_numpy(text.ids)], cache)]
            tokens = (NextTokens(token[None]) for token in torch.from_numpy(translation.ids))
            logits += [model.decode(token, cache).logits for token in tokens]
            assert_close(torch.cat(logits), theirs.logits[0])


@pytest.mark.parametrize("changes", [{}, {"tie_word_embeddings": False}], ids=["tied", "untied"])
@pytest.mark.parametrize("size", MARIAN)
@pytest.mark.parametrize("head", ["Model", "MTModel"])
def test_marian_without_a_head_or_with_matrices_of_its_own(
    size: str, head: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    config = marian_config(size)
    config.update(changes)
    reference = publish(tmp_path, f"Marian{head}", config)
    model = cast("VanillaTransformer", ours(tmp_path))
    texts = texts_for(model)
    with torch.inference_mode():
        for text, mine in zip(texts, hidden_states(model, texts), strict=True):
            assert_close(mine, reference.get_encoder()(input_ids=torch.from_numpy(text.ids)[None]).last_hidden_state[0])
            if head == "MTModel":
                start = torch.tensor([[reference.config.decoder_start_token_id]])
                logits = reference(input_ids=torch.from_numpy(text.ids)[None], decoder_input_ids=start).logits[0]
                assert_close(model.prefill([torch.from_numpy(text.ids)], model.new_cache()), logits)


GREEDY: dict[str, dict[str, Any]] = {
    "greedy": {},
    "penalised": {"repetition_penalty": 1.7},
    "at-least": {"min_new_tokens": 9},
    "no-repeats": {"no_repeat_ngram_size": 2},
    "beams": {"num_beams": 4},
    "beams-no-repeats": {"num_beams": 3, "no_repeat_ngram_size": 1, "min_new_tokens": 2},
    "beams-short": {"num_beams": 3, "length_penalty": -0.5},
    "beams-long": {"num_beams": 5, "length_penalty": 2.0, "repetition_penalty": 1.3, "min_new_tokens": 3},
}


def theirs(reference: Any, text: Tokens, arguments: dict[str, Any], n: int) -> tuple[list[list[int]], list[float]]:
    with torch.inference_mode():
        made = reference.generate(
            input_ids=torch.from_numpy(text.ids)[None],
            attention_mask=torch.ones(1, len(text), dtype=torch.int64),
            max_new_tokens=n,
            do_sample=False,
            num_return_sequences=arguments.get("num_beams", 1),
            return_dict_in_generate=True,
            output_scores=True,
            **arguments,
        )
    skipped = 1 if reference.config.is_encoder_decoder else len(text)
    end = reference.config.eos_token_id
    rows = [row[skipped:].tolist() for row in made.sequences]
    scores = made.sequences_scores.tolist() if "num_beams" in arguments else []
    return [row[: row.index(end)] if end in row else row for row in rows], scores


def assert_generates_the_same(
    model: Generator[Any], reference: Any, arguments: dict[str, Any], of_checkpoint: Mapping[str, Any] | None = None
) -> None:
    """For prompts of several lengths, each alone and all together."""
    texts = [random_text(length, 60, length) for length in (1, 5, 5, 11)]
    n = 14
    requests = [
        GenerateRequest(tokens=text, max_new_tokens=n, n=arguments.get("num_beams", 1), **arguments) for text in texts
    ]
    with torch.inference_mode():
        together = generate(model, requests)
        alone = [generate(model, [request])[0] for request in requests]
    for text, *results in zip(texts, together, alone, strict=True):
        rows, scores = theirs(reference, text, {**arguments, **(of_checkpoint or {})}, n)
        for result in results:
            assert [[token.id for token in sequence.tokens] for sequence in result.sequences] == rows
            if scores:
                mine = [sequence.score for sequence in result.sequences]
                assert mine == pytest.approx(scores, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("kind", GREEDY)
@pytest.mark.parametrize("size", ["plain", "by-layer", "untied"])
def test_gpt_generates_what_the_reference_does(size: str, kind: str, tmp_path: Path) -> None:
    reference = sharpened(publish(tmp_path, "GPT2LMHeadModel", gpt_config(size)), tmp_path)
    assert_generates_the_same(cast("Generator[Any]", ours(tmp_path)), reference, GREEDY[kind])


def test_gpt_never_generates_what_its_checkpoint_suppresses(tmp_path: Path) -> None:
    reference = sharpened(publish(tmp_path, "GPT2LMHeadModel", gpt_config("plain")), tmp_path)
    text = random_text(5, 60, 5)
    rows, _ = theirs(reference, text, {}, 8)
    suppressed = [rows[0][1], 999]
    (tmp_path / "generation_config.json").write_text(json.dumps({"suppress_tokens": suppressed}))
    (made,) = generate(cast("Generator[Any]", ours(tmp_path)), [GenerateRequest(tokens=text, max_new_tokens=8)])
    expected, _ = theirs(reference, text, {"suppress_tokens": suppressed[:1]}, 8)
    assert [token.id for token in made.sequences[0].tokens] == expected[0]
    assert suppressed[0] not in expected[0]


def test_gpt_never_generates_the_bad_words_of_its_checkpoint(tmp_path: Path) -> None:
    reference = sharpened(publish(tmp_path, "GPT2LMHeadModel", gpt_config("plain")), tmp_path)
    words, unknown = bad_words_of(reference), [3, 999]
    (tmp_path / "generation_config.json").write_text(json.dumps({"bad_words_ids": [*words, unknown]}))
    model = cast("Generator[Any]", ours(tmp_path))
    assert model.generation_rules.bad_words == tuple(map(tuple, words))
    for arguments in ({}, {"num_beams": 3}):
        assert_generates_the_same(model, reference, arguments, {"bad_words_ids": words})


def test_marian_never_generates_the_bad_words_of_its_checkpoint(tmp_path: Path) -> None:
    reference = sharpened(publish(tmp_path, "MarianMTModel", marian_config("plain")), tmp_path)
    words = [[reference.config.decoder_start_token_id], *bad_words_of(reference)]
    (tmp_path / "generation_config.json").write_text(json.dumps({"bad_words_ids": words}))
    model = cast("VanillaTransformer", ours(tmp_path))
    assert model.config.suppressed_ids == (words[0][0],)
    assert model.config.bad_words_ids == tuple(map(tuple, words[1:]))
    for arguments in ({}, {"num_beams": 3}):
        assert_generates_the_same(model, reference, arguments, {"bad_words_ids": words})


def bad_words_of(reference: Any) -> list[list[int]]:
    """Return sequences of two and three tokens that the model generates otherwise."""
    rows, _ = theirs(reference, random_text(5, 60, 5), {}, 8)
    return [rows[0][1:3], rows[0][4:7]]


@pytest.mark.parametrize("words", [7, [7], [[]], [[1, "a"]], [[1.0, 2]]], ids=str)
@pytest.mark.parametrize("architecture", ["GPT2LMHeadModel", "MarianMTModel"])
def test_bad_words_that_are_no_lists_of_ids_are_refused(architecture: str, words: Any, tmp_path: Path) -> None:
    publish(tmp_path, architecture, gpt_config("plain") if "GPT2" in architecture else marian_config("plain"))
    (tmp_path / "generation_config.json").write_text(json.dumps({"bad_words_ids": words}))
    with pytest.raises(CheckpointError, match="bad_words_ids is"):
        ours(tmp_path)


@pytest.mark.parametrize("kind", GREEDY)
@pytest.mark.parametrize("size", MARIAN)
def test_marian_generates_what_the_reference_does(size: str, kind: str, tmp_path: Path) -> None:
    reference = publish(tmp_path, "MarianMTModel", marian_config(size))
    reference.generation_config.bad_words_ids = [[reference.config.decoder_start_token_id]]
    reference.generation_config.forced_eos_token_id = MARIAN[size].get("forced_eos_token_id")
    sharpened(reference, tmp_path)
    assert_generates_the_same(cast("Generator[Any]", ours(tmp_path)), reference, GREEDY[kind])


def sharpened(model: Any, folder: Path) -> Any:
    """The same model with larger weights, so that its choices are its own and some texts end."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and parameter.requires_grad:
                parameter *= 6.0 if "embed" not in name and "wte" not in name and "shared" not in name else 12.0
    model.save_pretrained(folder)
    return model
