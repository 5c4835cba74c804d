"""All encoders beside the implementations of `transformers`."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
import transformers

from models.tasks.text import AnswerRequest, ClassifyTokensRequest, Tokens
from models.text.answering import answer
from models.text.attention_patterns import RecordedAttention
from models.text.classification import classify_tokens
from models.text.embedding import hidden_states
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder
from models.transformers.electra.model import Electra
from tests.models.transformers.reference import assert_close, ours, padded, publish, texts_for

SIZES: dict[str, dict[str, Any]] = {
    "plain": {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 40},
    "one-layer": {"hidden_size": 30, "num_hidden_layers": 1, "num_attention_heads": 3, "intermediate_size": 17},
    "deep": {"hidden_size": 14, "num_hidden_layers": 3, "num_attention_heads": 7, "intermediate_size": 64},
    "relu": {
        "hidden_size": 20,
        "num_hidden_layers": 2,
        "num_attention_heads": 1,
        "intermediate_size": 33,
        "hidden_act": "relu",
        "layer_norm_eps": 1e-5,
    },
}
SHAPES = {"vocab_size": 83, "max_position_embeddings": 37}
TYPES = {"plain": 2, "one-layer": 1, "deep": 2, "relu": 1}
ALBERT: dict[str, dict[str, Any]] = {
    "plain": {"embedding_size": 9},
    "one-layer": {"embedding_size": 16},
    "deep": {"embedding_size": 5, "num_hidden_layers": 5, "num_hidden_groups": 2, "inner_group_num": 2},
    "relu": {"embedding_size": 20, "num_hidden_groups": 2},
}
ELECTRA = {"plain": 9, "one-layer": 30, "deep": 5, "relu": 28}
"""Widths of the embeddings of ELECTRA: narrower, equal and wider."""
DISTILBERT = {
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "intermediate_size": "hidden_dim",
    "hidden_act": "activation",
}
"""The keys that DistilBERT names otherwise."""
HEADS = {
    "Bert": (
        *("Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering"),
        *("ForPreTraining", "ForNextSentencePrediction"),
    ),
    "Roberta": ("Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering"),
    "Albert": (
        *("Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering"),
        "ForPreTraining",
    ),
    "DistilBert": (
        *("Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering"),
    ),
    "MPNet": ("Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering"),
    "Electra": (
        *("Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering"),
        "ForPreTraining",
    ),
}
CASES = [(family, head, size, True) for family, heads in HEADS.items() for head in heads for size in SIZES]
CASES += [
    (family, head, size, False)
    for family, head, size, _ in CASES
    if head == "ForMaskedLM" or (head == "ForPreTraining" and family != "Electra")
]


VARIANTS = ("XLMRoberta", "Camembert")
"""Models that are RoBERTa under another name."""
CASES += [(family, head, "deep", True) for family in VARIANTS for head in HEADS["Roberta"]]


def config_of(family: str, head: str, size: str, **more: Any) -> Any:
    n_labels = 2 if head in ("ForQuestionAnswering", "ForPreTraining") else 3
    values = {**SHAPES, **SIZES[size], "type_vocab_size": TYPES[size], **more}
    if family == "Albert":
        values |= ALBERT[size]
    if family == "Electra":
        values |= {"embedding_size": ELECTRA[size]}
    if family in ("DistilBert", "MPNet"):
        del values["type_vocab_size"]
    if family == "DistilBert":
        values = {DISTILBERT.get(name, name): value for name, value in values.items() if name != "layer_norm_eps"}
    if family in ("Roberta", "MPNet", *VARIANTS):
        values |= {"pad_token_id": 1, "max_position_embeddings": 39}
    return getattr(transformers, f"{family}Config")(**values, num_labels=n_labels)


@pytest.mark.parametrize(("family", "head", "size", "tied"), CASES)
def test_all_outputs_equal_the_references(family: str, head: str, size: str, tied: bool, tmp_path: Path) -> None:
    reference = publish(tmp_path, family + head, config_of(family, head, size, tie_word_embeddings=tied))
    model = cast("TextEncoder", ours(tmp_path))
    texts = texts_for(model, n_types=TYPES[size])
    for batch in (texts[:1], texts):
        with torch.inference_mode():
            inputs = padded(batch, reference.config.pad_token_id)
            if family in ("DistilBert", "MPNet"):
                del inputs["token_type_ids"]
            theirs = reference(**inputs, output_hidden_states=True, output_attentions=True)
            ragged = RaggedBatch.of_texts(batch)
            recorded = RecordedAttention(ragged.segments)
            hidden = model.hidden(ragged, recorded)
            last = theirs.hidden_states[-1]
            for i, state in enumerate(ragged.by_text(hidden)):
                assert_close(state, last[i, : len(batch[i])])
            for i, state in enumerate(hidden_states(model, batch)):
                assert_close(state, last[i, : len(batch[i])])
            for layer, of_texts in zip(theirs.attentions, recorded.weights, strict=True):
                for i, place in enumerate(ragged.inverse_order):
                    n = len(batch[i])
                    assert_close(of_texts[place], layer[i, :, :n, :n])
            compare_heads(model, ragged, hidden, theirs, batch)


def compare_heads(
    model: TextEncoder, ragged: RaggedBatch, hidden: torch.Tensor, theirs: Any, batch: list[Tokens]
) -> None:
    if (pooled := getattr(theirs, "pooler_output", None)) is not None:
        assert_close(model.pooler_output(ragged, hidden), pooled)
        return
    n_compared = 0
    masked = getattr(theirs, "prediction_logits", None)
    masked = theirs.logits if masked is None and model.masked_head else masked
    if masked is not None:
        for i, logits in enumerate(ragged.by_text(model.masked_logits(hidden))):
            assert_close(logits, masked[i, : len(batch[i])])
        n_compared += 1
    if model.pair_head:
        pair = next(
            value
            for name in ("seq_relationship_logits", "sop_logits", "logits")
            if (value := getattr(theirs, name, None)) is not None
        )
        assert_close(model.pair_head(model.pooler_output(ragged, hidden)), pair)
        n_compared += 1
    if model.sequence_head:
        assert_close(model.class_logits(batch), theirs.logits)
        n_compared += 1
    n_compared += compare_classes_of_tokens(model, theirs, batch)
    if model.span_head:
        for i, found in enumerate(answer(model, [AnswerRequest(windows=(text,)) for text in batch])):
            spans = torch.stack([theirs.start_logits[i], theirs.end_logits[i]], -1)
            assert_close(found.spans[0], spans[: len(batch[i])])
        n_compared += 1
    assert n_compared or not {"logits", "prediction_logits", "start_logits"} & set(theirs)


def compare_classes_of_tokens(model: TextEncoder, theirs: Any, batch: list[Tokens]) -> bool:
    """Compare the classes, if the model has any, and return whether it has."""
    tells_replaced = isinstance(model, Electra) and model.replaced_head is not None
    if not model.token_head and not tells_replaced:
        return False
    scores = classify_tokens(model, [ClassifyTokensRequest(tokens=text) for text in batch])
    for i, score in enumerate(scores):
        logits = theirs.logits[i, : len(batch[i])]
        if tells_replaced:
            assert model.labels == ("original", "replaced")
            assert_close(score.scores, torch.stack([1 - logits.sigmoid(), logits.sigmoid()], -1))
        else:
            assert_close(score.scores, logits.softmax(-1))
    return True
