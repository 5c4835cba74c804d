"""Tests of fine-tuning stages: falling losses, optimisers, and the vectors of related texts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.text.embedding import vectors
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder
from tests.training.texts.tiny import (
    ANIMALS,
    N_TOKENS,
    PLACES,
    SENTENCES,
    bert,
    labelled,
    losses,
    mean,
    resources,
    size_of,
    tagged,
    tuning,
    vocabulary,
)
from training.data.named_entities import TAGS
from training.data.questions import Question
from training.data.stsb import ScoredPair
from training.errors import TrainingError
from training.muon import Muon
from training.texts.corpus import Rows, ragged_batch
from training.texts.finetuning import (
    EMBEDDING_RATE_FACTOR,
    FineTuning,
    SimilarityRegression,
    TextClassification,
    TokenClassification,
    embed,
    set_dropout,
)
from training.texts.spans import SpanExtraction

N_STEPS = 40


def place_questions() -> list[Question]:
    """Return questions about the place at the end of each sentence."""
    return [Question("to?", text, (text[text.rindex(" ") + 1 : -1],), text.rindex(" ") + 1) for text in SENTENCES]


STAGES: dict[str, tuple[Callable[[], FineTuning], dict[str, Any]]] = {
    "texts": (
        lambda: TextClassification(**tuning(rows_of=lambda data: labelled())),
        {"heads": ("pooler", "sequence"), "labels": ANIMALS},
    ),
    "words": (
        lambda: TokenClassification(**tuning(rows_of=lambda data: [tagged(text) for text in SENTENCES])),
        {"heads": ("tokens",), "labels": TAGS},
    ),
    "spans": (lambda: SpanExtraction(**tuning(rows_of=lambda data: place_questions())), {"heads": ("span",)}),
    "similarities": (lambda: SimilarityRegression(**tuning(rows_of=lambda data: scored_pairs(), lr=3e-3)), {}),
}


def scored_pairs() -> list[ScoredPair]:
    """Return pairs of sentences, which are similar if they name the same animal."""
    return [
        ScoredPair(
            f"the {one} to the {PLACES[number]}", f"see {other} of {PLACES[-number]}", 5.0 if one == other else 0.5
        )
        for one in ANIMALS
        for number, other in enumerate(ANIMALS)
    ]


@pytest.mark.parametrize("name", STAGES)
def test_the_loss_falls(name: str, tmp_path: Path) -> None:
    make, heads = STAGES[name]
    stage, test_resources = make(), resources(tmp_path)
    model = bert(size_of(test_resources), **heads)
    found = losses(stage, model, stage.items(test_resources), N_STEPS)
    assert {module.p for module in model.modules() if isinstance(module, nn.Dropout)} == {0.1}
    assert mean(found[-3:]) < 0.7 * found[0]


def cosines(model: TextEncoder, stage: FineTuning, folder: Path) -> Tensor:
    """Return the cosine of every first text with every second, `[n, n]`."""
    items = stage.items(resources(folder))
    with torch.inference_mode():
        firsts, seconds = (embed(model, ragged_batch(items[start : start + 3])) for start in (0, 3))
    return firsts @ seconds.T


def test_similar_pairs_score_higher(tmp_path: Path) -> None:
    stage, model = STAGES["similarities"][0](), bert(size_of(resources(tmp_path)))
    is_alike = torch.tensor([row.score for row in scored_pairs()]) > 1

    def gap() -> float:
        own = cosines(model, stage, tmp_path).diagonal()
        return (own[is_alike].min() - own[~is_alike].max()).item()

    assert gap() < 0
    losses(stage, model, stage.items(resources(tmp_path)), N_STEPS)
    assert gap() > 0


def test_similarities_loss_is_the_squared_difference_from_the_scores(tmp_path: Path) -> None:
    stage, model = STAGES["similarities"][0](), bert(size_of(resources(tmp_path)))
    items = stage.items(resources(tmp_path))
    own = cosines(model, stage, tmp_path).diagonal().tolist()
    differences = [cosine - row.score / 5 for cosine, row in zip(own, scored_pairs(), strict=True)]
    expected = sum(difference**2 for difference in differences) / len(differences)
    assert stage.loss(model, items, torch.Generator(), nn.Module()).item() == pytest.approx(expected, rel=1e-4)


def test_vectors_equal_those_of_the_encode_task(tmp_path: Path) -> None:
    codec, model = vocabulary().codec(resources(tmp_path), N_TOKENS), bert(size_of(resources(tmp_path)))
    texts = [codec.encode(text) for text in ("the dog", SENTENCES[0], "a red horse, yes!")]
    row = ragged_batch(Rows.of(texts).batch)
    with torch.inference_mode():
        torch.testing.assert_close(embed(model, row), vectors(model, texts, "mean", normalize=True))


def test_muon_updates_matrices_other_than_embeddings() -> None:
    model = bert(30, heads=("span",))
    muon, adamw = SpanExtraction(**tuning(), rows_of=lambda data: [], muon_lr=0.02).optimisers(model, torch.nn.Module())
    theirs = {id(p): group["lr"] for o in (muon, adamw) for group in o.param_groups for p in group["params"]}
    matrices = {id(module.weight) for module in model.modules() if isinstance(module, nn.Linear)}
    assert isinstance(muon, Muon)
    assert theirs == {id(p): 0.02 if id(p) in matrices else 1e-2 for p in model.parameters()}


def test_only_the_rate_of_embeddings_is_smaller() -> None:
    model = bert(50, heads=("span",))
    (optimiser,) = STAGES["spans"][0]().optimisers(model, torch.nn.Module())
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    names = dict(model.named_parameters())
    assert len(rates) == len(names)
    for name, parameter in names.items():
        is_embedding = name in {f"embeddings.{part}.weight" for part in ("words", "positions", "types")}
        assert rates[id(parameter)] == pytest.approx(1e-2 * (EMBEDDING_RATE_FACTOR if is_embedding else 1)), name


def test_dropout_is_active_in_training_only() -> None:
    model, text = bert(50), RaggedBatch.of_rows(torch.randint(5, 50, (3, 9)))
    plain = embed(model.eval(), text)
    set_dropout(model, 0.5)
    assert torch.equal(embed(model, text), plain)
    assert not torch.allclose(embed(model.train(), text), plain)


@pytest.mark.parametrize(("name", "head"), [("texts", "pooler"), ("words", "token_head"), ("spans", "span_head")])
def test_a_model_without_the_head_is_an_error(name: str, head: str, tmp_path: Path) -> None:
    stage = STAGES[name][0]()
    model = bert(size_of(resources(tmp_path)), heads=("pooler",))
    head = "sequence_head" if name == "texts" else head
    with pytest.raises(TrainingError, match=f"Bert was built without {head}"):
        stage.loss(model, stage.items(resources(tmp_path)), torch.Generator(), nn.Module())


def test_consistency_adds_the_divergence_of_two_readings(tmp_path: Path) -> None:
    def loss(consistency: float, dropout: float) -> float:
        stage = TextClassification(**tuning(dropout=dropout), rows_of=lambda data: labelled(), consistency=consistency)
        items = stage.items(resources(tmp_path))
        model = bert(size_of(resources(tmp_path)), heads=("pooler", "sequence"), labels=ANIMALS)
        nn.init.normal_(model.sequence_head.weight)  # type: ignore[union-attr]
        set_dropout(model.train(), dropout)
        batch = tuple(tensor[:16] for tensor in items)
        torch.manual_seed(0)
        return stage.loss(model, batch, torch.Generator().manual_seed(0), nn.Module()).item()

    assert loss(5.0, 0.0) == pytest.approx(loss(0.0, 0.0), rel=1e-5)  # equal readings do not diverge
    once, twice, thrice = (loss(share, 0.3) for share in (1e-9, 1.0, 2.0))
    assert twice - once > 0.01
    assert thrice - once == pytest.approx(2 * (twice - once), rel=1e-4)


@pytest.mark.parametrize("hint_weight", [0.0, 1.0])
def test_fine_tuning_ends_with_the_mean_of_its_last_steps(hint_weight: float, tmp_path: Path) -> None:
    seen: list[dict[str, Tensor]] = []

    class Watched(SpanExtraction):
        def after_step(self, model: TextEncoder, companion: nn.Module, progress: float) -> None:
            super().after_step(model, companion, progress)
            seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})

    model = bert(size_of(resources(tmp_path)), heads=("span",))
    stage = Watched(**tuning(), rows_of=lambda data: place_questions(), hint_weight=hint_weight, averaged_share=0.3)
    losses(stage, model, stage.items(resources(tmp_path)), 10)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, torch.stack([state[name] for state in seen[7:]]).mean(0))
    assert not torch.equal(model.state_dict()["span_head.weight"], seen[-1]["span_head.weight"])
