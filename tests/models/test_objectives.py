"""The losses of the Transformers equal a plain computation and the losses of `transformers`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import transformers
from torch import Tensor

from models.catalogue import family
from models.objectives import masked_loss, token_loss
from models.tasks.text import Tokens
from models.text.attention_patterns import WithinTexts
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder
from models.transformers.albert.objective import loss as albert_loss
from models.transformers.bert.objective import loss as bert_loss
from models.transformers.distilbert.objective import loss as distilbert_loss
from models.transformers.electra.objective import loss as electra_loss
from models.transformers.gpt.model import Gpt
from models.transformers.gpt.objective import loss as gpt_loss
from models.transformers.mpnet.objective import loss as mpnet_loss
from models.transformers.roberta.objective import loss as roberta_loss
from models.transformers.vanilla.model import VanillaTransformer
from models.transformers.vanilla.objective import loss as vanilla_loss
from tests.models.transformers.reference import ours, padded, publish, random_text
from tests.models.transformers.test_contract import build

LENGTHS = (4, 9, 1, 9, 6)
IGNORED = -100
"""Target that `transformers` does not count."""
PAIR_LOSSES = {"bert": bert_loss, "albert": albert_loss}
ENCODERS = {
    "BertForPreTraining": {"hidden_size": 24, "num_attention_heads": 2, "intermediate_size": 40},
    "AlbertForPreTraining": {
        "hidden_size": 24,
        "num_attention_heads": 2,
        "intermediate_size": 40,
        "embedding_size": 9,
        "num_hidden_layers": 2,
    },
    "RobertaForMaskedLM": {"hidden_size": 24, "num_attention_heads": 2, "intermediate_size": 40, "pad_token_id": 1},
    "MPNetForMaskedLM": {"hidden_size": 24, "num_attention_heads": 2, "intermediate_size": 40, "pad_token_id": 1},
}


def texts_of(lengths: Sequence[int] = LENGTHS, n_types: int = 1) -> list[Tokens]:
    return [random_text(length, 60, seed, n_types=n_types) for seed, length in enumerate(lengths)]


def mask_targets(lengths: Sequence[int] = LENGTHS) -> list[Tensor]:
    """Return for each text the tokens that masks hide at every other position, and -1 elsewhere."""
    draw = torch.Generator().manual_seed(1)
    return [
        torch.where(torch.arange(n) % 2 == 0, torch.randint(5, 60, (n,), generator=draw), torch.tensor(-1))
        for n in lengths
    ]


def rows_of(texts: Sequence[Tokens]) -> RaggedBatch:
    """Return the batch that training makes of texts: in the given order."""
    inputs = padded(texts, 0)
    return RaggedBatch.of_rows(inputs["input_ids"], [len(text) for text in texts], inputs["token_type_ids"])


def assert_equal(mine: Tensor, theirs: Tensor) -> None:
    assert mine.shape == ()
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def negative_log_prob(logits: Tensor, target: int) -> Tensor:
    """Return -log p of the target, written out."""
    return -(logits[target].exp() / logits.exp().sum()).log()


def encoder(name: str) -> TextEncoder:
    spec = family(f"transformers/{name}")
    return cast("TextEncoder", build(spec, spec.tiny[0]))


def read_alone(model: TextEncoder, text: Tokens) -> tuple[RaggedBatch, Tensor]:
    """Return a batch of one text, and its hidden states."""
    batch = RaggedBatch.of_texts([text])
    return batch, model.hidden(batch, WithinTexts(batch.segments))


def masked_by_hand(model: TextEncoder, texts: Sequence[Tokens], targets: Sequence[Tensor]) -> Tensor:
    """Return the mean over all masks of all texts, each text and each mask computed alone."""
    found = [
        negative_log_prob(model.masked_logits(state[None])[0], target)
        for text, row in zip(texts, targets, strict=True)
        for state, target in zip(read_alone(model, text)[1], row.tolist(), strict=True)
        if target >= 0
    ]
    return torch.stack(found).mean()


def pairs_by_hand(model: TextEncoder, texts: Sequence[Tokens], labels: Sequence[int]) -> Tensor:
    logits = [model.pair_logits(*read_alone(model, text))[0] for text in texts]
    return torch.stack([negative_log_prob(*one) for one in zip(logits, labels, strict=True)]).mean()


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_smoothing_gives_a_share_of_the_target_to_all_tokens_alike(smoothing: float) -> None:
    logits = torch.randn(6, 7, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([3, 0, 6, 6, 1, 2])
    wanted = torch.full((6, 7), smoothing / 7)
    wanted[range(6), targets] += 1.0 - smoothing
    assert_equal(token_loss(logits, targets, smoothing), -(wanted * logits.log_softmax(1)).sum(1).mean())


@pytest.mark.parametrize("name", ["bert", "albert", "roberta", "distilbert", "mpnet", "electra"])
def test_only_masked_tokens_count(name: str) -> None:
    model, texts, targets = encoder(name), texts_of(), mask_targets()
    batch = rows_of(texts)
    hidden = model.hidden(batch, WithinTexts(batch.segments))
    assert_equal(masked_loss(model.masked_logits, hidden, torch.cat(targets)), masked_by_hand(model, texts, targets))


@pytest.mark.parametrize("name", ["bert", "albert"])
def test_labels_of_pairs_are_in_the_given_order_of_the_pairs(name: str) -> None:
    model, texts, labels = encoder(name), texts_of(n_types=2), [1, 0, 0, 1, 0]
    expected = pairs_by_hand(model, texts, labels)
    for batch in (RaggedBatch.of_texts(texts), rows_of(texts)):
        hidden = model.hidden(batch, WithinTexts(batch.segments))
        assert_equal(token_loss(model.pair_logits(batch, hidden), torch.tensor(labels)), expected)
    assert not torch.isclose(expected, pairs_by_hand(model, texts, labels[::-1]), atol=1e-4)


@pytest.mark.parametrize("name", PAIR_LOSSES)
def test_the_loss_of_pretraining_is_the_sum_of_both_tasks(name: str) -> None:
    model, texts, targets, labels = encoder(name), texts_of(n_types=2), mask_targets(), [0, 1, 1, 0, 1]
    found = PAIR_LOSSES[name](model, rows_of(texts), torch.cat(targets), torch.tensor(labels))
    assert_equal(found, masked_by_hand(model, texts, targets) + pairs_by_hand(model, texts, labels))


def test_roberta_predicts_masked_words_only() -> None:
    model, texts, targets = encoder("roberta"), texts_of(), mask_targets()
    assert_equal(roberta_loss(model, rows_of(texts), torch.cat(targets)), masked_by_hand(model, texts, targets))


def test_gpt_predicts_every_token_but_the_first_of_a_text() -> None:
    spec = family("transformers/gpt")
    model, texts = cast("Gpt", build(spec, spec.tiny[0])), texts_of()
    found: list[Tensor] = []
    for text in texts:
        batch = RaggedBatch.of_texts([text])
        logits = model.logits(model.hidden(batch, WithinTexts(batch.segments, causal=True)))
        found += [negative_log_prob(logits[place - 1], int(text.ids[place])) for place in range(1, len(text))]
    assert len(found) == sum(LENGTHS) - len(LENGTHS)
    assert_equal(gpt_loss(model, rows_of(texts)), torch.stack(found).mean())


@pytest.mark.parametrize("number", [0, 1])
def test_a_translations_tokens_are_predicted_from_the_text_and_the_earlier_ones(number: int) -> None:
    spec = family("transformers/vanilla")
    model = cast("VanillaTransformer", build(spec, spec.tiny[number]))
    sources, targets = texts_of(), [random_text(n, 60, 50 + n) for n in (3, 1, 8, 2, 8)]
    found: list[Tensor] = []
    for source, target in zip(sources, targets, strict=True):
        for place in range(len(target)):  # cut behind each token: none may see what comes after it
            cut = RaggedBatch.of_rows(torch.from_numpy(target.ids)[None], [place + 1])
            whole = vanilla_loss(model, RaggedBatch.of_texts([source]), cut, 0.0) * (place + 1)
            before = torch.stack(found[len(found) - place :]).sum() if place else 0.0
            found.append(whole - before)
    assert_equal(vanilla_loss(model, rows_of(sources), rows_of(targets), 0.0), torch.stack(found).mean())


@pytest.mark.parametrize("architecture", ENCODERS)
def test_encoders_losses_equal_the_references(architecture: str, tmp_path: Path) -> None:
    kind = architecture.split("For")[0]
    shapes = {"vocab_size": 60, "max_position_embeddings": 20, "num_hidden_layers": 2, **ENCODERS[architecture]}
    types = {} if kind == "MPNet" else {"type_vocab_size": 2}
    config = getattr(transformers, f"{kind}Config")(**shapes, **types, num_labels=2)
    reference = publish(tmp_path, architecture, config)
    model, texts = cast("TextEncoder", ours(tmp_path)), texts_of(n_types=2)
    targets, labels = mask_targets(), torch.tensor([1, 0, 0, 1, 1])
    inputs: dict[str, Tensor] = padded(texts, config.pad_token_id)
    inputs["labels"] = torch.nn.utils.rnn.pad_sequence(targets, batch_first=True, padding_value=IGNORED)
    inputs["labels"][inputs["labels"] == -1] = IGNORED
    arguments: list[Any] = [rows_of(texts), torch.cat(targets)]
    if kind == "MPNet":
        del inputs["token_type_ids"]
    elif kind != "Roberta":
        inputs["next_sentence_label" if kind == "Bert" else "sentence_order_label"] = labels
        arguments.append(labels)
    with torch.inference_mode():
        losses = {"Bert": bert_loss, "Albert": albert_loss, "Roberta": roberta_loss, "MPNet": mpnet_loss}
        mine = losses[kind](model, *arguments)  # type: ignore[operator]
        assert_equal(mine, reference(**inputs).loss)


def test_electras_loss_equals_the_references(tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"hidden_size": 24, "num_attention_heads": 2, "intermediate_size": 40}
    sizes["num_hidden_layers"] = 2
    config = transformers.ElectraConfig(vocab_size=60, max_position_embeddings=20, embedding_size=9, **sizes)
    references = [publish(tmp_path / name, f"Electra{name}", config) for name in ("ForMaskedLM", "ForPreTraining")]
    generator, discriminator = (
        cast("TextEncoder", ours(tmp_path / name)) for name in ("ForMaskedLM", "ForPreTraining")
    )
    masked, targets = texts_of(n_types=2), mask_targets()
    corrupted = [random_text(len(text), 60, 90 + place) for place, text in enumerate(masked)]
    is_replaced = [torch.arange(len(text)) % 3 == 1 for text in masked]
    expected: list[Tensor] = []
    for reference, texts, labels, ignored in zip(
        references, (masked, corrupted), (targets, is_replaced), (IGNORED, 0), strict=True
    ):
        inputs: dict[str, Tensor] = padded(texts, 0)
        rows = [labels_of_text.long() for labels_of_text in labels]
        inputs["labels"] = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=ignored)
        inputs["labels"][inputs["labels"] == -1] = IGNORED
        with torch.inference_mode():
            expected.append(reference(**inputs).loss)
    with torch.inference_mode():
        batches = rows_of(masked), torch.cat(targets), rows_of(corrupted), torch.cat(is_replaced)
        assert_equal(electra_loss(generator, discriminator, *batches), expected[0] + 50 * expected[1])


def test_distilbert_imitates_its_teacher() -> None:
    model, texts, targets = encoder("distilbert"), texts_of(), mask_targets()
    batch, row = rows_of(texts), torch.cat(targets)
    draw = torch.Generator().manual_seed(2)
    teacher = torch.randn(int((row >= 0).sum()), 60, generator=draw), torch.randn(len(row), 12, generator=draw)
    hidden = model.hidden(batch, WithinTexts(batch.segments))
    probs, wanted = (torch.exp(logits / 2) for logits in (model.masked_logits(hidden[row >= 0]), teacher[0]))
    probs, wanted = (values / values.sum(1, keepdim=True) for values in (probs, wanted))
    imitation = 4 * (wanted * (wanted / probs).log()).sum(1).mean()
    lengths = hidden.norm(dim=1) * teacher[1].norm(dim=1)
    direction = 1 - ((hidden * teacher[1]).sum(1) / lengths).mean()
    expected = 5 * imitation + 2 * masked_by_hand(model, texts, targets) + direction
    assert_equal(distilbert_loss(model, batch, row, *teacher), expected)


def test_gpts_loss_equals_the_references(tmp_path: Path) -> None:
    config = transformers.GPT2Config(vocab_size=60, n_positions=20, n_embd=24, n_layer=2, n_head=3)
    reference = publish(tmp_path, "GPT2LMHeadModel", config)
    inputs = padded(texts_of(), 0)
    del inputs["token_type_ids"]
    inputs["labels"] = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, IGNORED)
    with torch.inference_mode():
        assert_equal(gpt_loss(cast("Gpt", ours(tmp_path)), rows_of(texts_of())), reference(**inputs).loss)


def test_the_loss_of_translations_equals_the_references(tmp_path: Path) -> None:
    sizes: dict[str, Any] = {f"{side}_layers": 2 for side in ("encoder", "decoder")}
    sizes |= {"encoder_ffn_dim": 30, "decoder_ffn_dim": 28, "encoder_attention_heads": 3, "decoder_attention_heads": 2}
    sizes |= {"pad_token_id": 2, "eos_token_id": 0, "decoder_start_token_id": 2}
    config = transformers.MarianConfig(vocab_size=60, max_position_embeddings=20, d_model=12, **sizes)
    reference = publish(tmp_path, "MarianMTModel", config)
    sources, targets = texts_of(), [random_text(n, 60, 50 + n) for n in (3, 1, 8, 2, 8)]
    inputs = padded(sources, 2)
    del inputs["token_type_ids"]
    answers = padded(targets, 2)
    inputs["labels"] = answers["input_ids"].masked_fill(answers["attention_mask"] == 0, IGNORED)
    with torch.inference_mode():
        model = cast("VanillaTransformer", ours(tmp_path))
        assert_equal(vanilla_loss(model, rows_of(sources), rows_of(targets), 0.0), reference(**inputs).loss)
