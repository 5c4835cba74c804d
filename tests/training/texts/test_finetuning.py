"""What is tuned: which answer is meant, that every loss falls, whom a text is near."""

from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.layers.encoder import TextEncoder
from models.layers.packing import Packed
from models.tasks import text as t
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
from training.texts.corpus import Rows, pack_batch
from training.texts.finetuning import (
    EMBEDDING_RATE_FACTOR,
    ContrastivePairs,
    FineTuning,
    SimilarityRanking,
    TextClassification,
    TokenClassification,
    embed,
    set_dropout,
)
from training.texts.spans import HINTS, SpanExtraction, answer_sentence_labels, find_answer_window, shared_token_labels

CONTEXT = " ".join(SENTENCES[::5])
N_STEPS = 40


def said(window: t.Tokens, ends: tuple[int, int]) -> str:
    first, last = (window.details().offsets[place] for place in ends)
    assert {window.details().texts[place] for place in ends} == {1}
    return window.sources[1][first[0] : last[1]]


def asked(start: int, end: int, context: str = CONTEXT, question: str = "the dog?") -> Question:
    return Question(question, context, (context[start:end],), start)


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
@pytest.mark.parametrize("n_words", [1, 2, 3])
def test_answers_are_found_to_the_character(kind: str, n_words: int, tmp_path: Path) -> None:
    context = f"Höher, “{CONTEXT}”"  # accents go, and with them characters of the normalised text
    words = context.split(" ")
    starts = [0, *accumulate(len(word) + 1 for word in words)]
    codec = vocabulary(kind).codec(resources(tmp_path), 60 if kind == "unigram" else 30)
    firsts: set[int] = set()
    for place in range(len(words) - n_words + 1):
        row = asked(starts[place], starts[place + n_words] - 1, context)
        found = find_answer_window(codec, row)
        assert found is not None
        window, ends = found
        assert len(window) <= codec.max_tokens
        assert said(window, ends).strip() == row.answers[0]
        firsts.add(window.details().offsets[window.details().texts.index(1)][0])
    assert len(firsts) > 3  # windows


def test_a_question_that_fills_the_window_is_left_out(tmp_path: Path) -> None:
    codec = vocabulary().codec(resources(tmp_path), 30)
    assert find_answer_window(codec, asked(0, 3, question="the dog? " * 20)) is None


def test_part_of_a_token_is_the_whole_of_it(tmp_path: Path) -> None:
    start = CONTEXT.index("walked")
    found = find_answer_window(vocabulary().codec(resources(tmp_path), 30), asked(start + 1, start + 3))
    assert found is not None
    assert said(*found) == "walked"


def test_an_answer_that_fits_no_window_or_is_no_span_is_left_out(tmp_path: Path) -> None:
    codec = vocabulary().codec(resources(tmp_path), 30)
    whole = asked(0, len(CONTEXT))
    nowhere = Question("the dog?", CONTEXT, ("a cow",), None)
    assert find_answer_window(codec, whole) is None
    assert find_answer_window(codec, nowhere) is None
    good = asked(4, 7)
    stage = SpanExtraction(**tuning(rows_of=lambda data: [whole, good, nowhere, good], max_tokens=30))
    *texts, ends, sentences = stage.items(resources(tmp_path))
    assert {len(tensor) for tensor in (*texts, ends, sentences)} == {2}
    window, places = find_answer_window(codec, good) or (None, None)
    assert window is not None
    assert tuple(ends[0].tolist()) == places
    assert texts[0][0, : len(window)].tolist() == window.ids.tolist()


def of_places() -> list[Question]:
    return [asked(text.rindex(" ") + 1, len(text) - 1, text, "to?") for text in SENTENCES]


STAGES: dict[str, tuple[Callable[[], FineTuning], dict[str, Any]]] = {
    "texts": (
        lambda: TextClassification(**tuning(rows_of=lambda data: labelled())),
        {"heads": ("pooler", "sequence"), "labels": ANIMALS},
    ),
    "words": (
        lambda: TokenClassification(**tuning(rows_of=lambda data: [tagged(text) for text in SENTENCES])),
        {"heads": ("tokens",), "labels": TAGS},
    ),
    "spans": (lambda: SpanExtraction(**tuning(rows_of=lambda data: of_places())), {"heads": ("span",)}),
    "neighbours": (lambda: ContrastivePairs(**tuning(rows_of=lambda data: alike())), {}),
    "similarities": (lambda: SimilarityRanking(**tuning(rows_of=lambda data: scored(), lr=3e-3)), {}),
}


def alike() -> list[tuple[str, str]]:
    """An animal and a place in two ways, each pair another."""
    return [(f"The {animal} wandered to the {place}.", f"{place}, {animal}!") for animal in ANIMALS for place in PLACES]


def scored() -> list[ScoredPair]:
    """Alike are sentences of one animal, wherever it goes."""
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
    stage, its = make(), resources(tmp_path)
    model = bert(size_of(its), **heads)
    found = losses(stage, model, stage.items(its), N_STEPS)
    assert {module.p for module in model.modules() if isinstance(module, nn.Dropout)} == {0.1}
    assert mean(found[-3:]) < 0.7 * found[0]


def cosines(model: TextEncoder, stage: FineTuning, folder: Path) -> Tensor:
    """Of every first text with every second, `[n, n]`."""
    items = stage.items(resources(folder))
    with torch.inference_mode():
        firsts, seconds = (embed(model, pack_batch(items[start : start + 3])) for start in (0, 3))
    return firsts @ seconds.T


def test_pairs_that_belong_together_are_nearer_than_all_others(tmp_path: Path) -> None:
    stage, model = STAGES["neighbours"][0](), bert(size_of(resources(tmp_path)))
    right = torch.arange(len(alike()))

    def share() -> float:
        return (cosines(model, stage, tmp_path).argmax(1) == right).double().mean().item()

    before = share()
    losses(stage, model, stage.items(resources(tmp_path)), N_STEPS)
    assert share() > max(0.8, before)


def test_pairs_that_are_alike_score_higher(tmp_path: Path) -> None:
    stage, model = STAGES["similarities"][0](), bert(size_of(resources(tmp_path)))
    is_alike = torch.tensor([row.score for row in scored()]) > 1

    def gap() -> float:
        own = cosines(model, stage, tmp_path).diagonal()
        return (own[is_alike].min() - own[~is_alike].max()).item()

    assert gap() < 0
    losses(stage, model, stage.items(resources(tmp_path)), N_STEPS)
    assert gap() > 0


def test_similarities_loss_is_that_of_the_paper(tmp_path: Path) -> None:
    stage, model = STAGES["similarities"][0](), bert(size_of(resources(tmp_path)))
    items = stage.items(resources(tmp_path))
    own, likeness = cosines(model, stage, tmp_path).diagonal().tolist(), items[6].tolist()
    total = 1.0
    for cosine, score in zip(own, likeness, strict=True):
        for other, its_score in zip(own, likeness, strict=True):
            total += torch.tensor(20 * (other - cosine)).exp().item() if score > its_score else 0.0
    found = stage.loss(model, items, torch.Generator(), nn.Module())
    torch.testing.assert_close(found, torch.tensor(total).log(), rtol=1e-4, atol=1e-4)


def test_neighbours_are_sought_either_way(tmp_path: Path) -> None:
    stage, model = STAGES["neighbours"][0](), bert(size_of(resources(tmp_path)))
    items = stage.items(resources(tmp_path))
    scores = cosines(model, stage, tmp_path) / 0.05
    expected = -(scores.log_softmax(1) + scores.log_softmax(0)).diagonal().mean() / 2
    found, swapped = (
        stage.loss(model, batch, torch.Generator(), nn.Module()) for batch in (items, (*items[3:], *items[:3]))
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(swapped, expected, rtol=1e-4, atol=1e-4)


def test_vectors_are_those_that_encode_gives(tmp_path: Path) -> None:
    codec, model = vocabulary().codec(resources(tmp_path), N_TOKENS), bert(size_of(resources(tmp_path)))
    texts = [codec.encode(text) for text in ("the dog", SENTENCES[0], "a red horse, yes!")]
    row = pack_batch(Rows.of(texts).batch)
    with torch.inference_mode():
        torch.testing.assert_close(embed(model, row), model.vectors(texts, "mean", normalize=True))


def test_with_muon_matrices_but_embeddings_are_its_own() -> None:
    model = bert(30, heads=("span",))
    muon, adamw = SpanExtraction(**tuning(), rows_of=lambda data: [], muon_lr=0.02).optimisers(model)
    theirs = {id(p): group["lr"] for o in (muon, adamw) for group in o.param_groups for p in group["params"]}
    matrices = {id(module.weight) for module in model.modules() if isinstance(module, nn.Linear)}
    assert isinstance(muon, Muon)
    assert theirs == {id(p): 0.02 if id(p) in matrices else 1e-2 for p in model.parameters()}


def test_only_the_rate_of_embeddings_is_smaller() -> None:
    model = bert(50, heads=("span",))
    (optimiser,) = STAGES["spans"][0]().optimisers(model)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    names = dict(model.named_parameters())
    assert len(rates) == len(names)
    for name, parameter in names.items():
        is_embedding = name in {f"embeddings.{part}.weight" for part in ("words", "positions", "types")}
        assert rates[id(parameter)] == pytest.approx(1e-2 * (EMBEDDING_RATE_FACTOR if is_embedding else 1)), name


def test_dropout_counts_while_training_only() -> None:
    model, text = bert(50), Packed.of_rows(torch.randint(5, 50, (3, 9)))
    plain = embed(model.eval(), text)
    set_dropout(model, 0.5)
    assert torch.equal(embed(model, text), plain)
    assert not torch.allclose(embed(model.train(), text), plain)


@pytest.mark.parametrize(("name", "head"), [("texts", "pooler"), ("words", "token_head"), ("spans", "span_head")])
def test_a_model_without_the_head_is_told_so(name: str, head: str, tmp_path: Path) -> None:
    stage = STAGES[name][0]()
    model = bert(size_of(resources(tmp_path)), heads=("pooler",))
    head = "sequence_head" if name == "texts" else head
    with pytest.raises(TrainingError, match=f"Bert was built without {head}"):
        stage.loss(model, stage.items(resources(tmp_path)), torch.Generator(), nn.Module())


def test_two_readings_of_a_text_are_drawn_together(tmp_path: Path) -> None:
    def loss(consistency: float, dropout: float) -> float:
        stage = TextClassification(**tuning(dropout=dropout), rows_of=lambda data: labelled(), consistency=consistency)
        items = stage.items(resources(tmp_path))
        model = bert(size_of(resources(tmp_path)), heads=("pooler", "sequence"), labels=ANIMALS)
        nn.init.normal_(model.sequence_head.weight)  # type: ignore[union-attr]
        set_dropout(model.train(), dropout)
        batch = tuple(one[:16] for one in items)
        torch.manual_seed(0)
        return stage.loss(model, batch, torch.Generator().manual_seed(0), nn.Module()).item()

    assert loss(5.0, 0.0) == pytest.approx(loss(0.0, 0.0), rel=1e-5)  # equal readings do not diverge
    once, twice, thrice = (loss(share, 0.3) for share in (1e-9, 1.0, 2.0))
    assert twice - once > 0.01
    assert thrice - once == pytest.approx(2 * (twice - once), rel=1e-4)


def test_shared_tokens_are_those_of_both_texts_of_a_pair() -> None:
    ids = torch.tensor([[2, 7, 8, 3, 8, 9, 7, 3], [2, 9, 3, 7, 9, 3, -1, -1], [2, 3, 7, 7, 7, 3, -1, -1]])
    types = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1, 0, 0]])
    assert shared_token_labels(ids, types, n_special=5).tolist() == [
        [-1, -1, -1, -1, 1, 0, 1, -1],
        [-1, -1, -1, 0, 1, -1, -1, -1],
        [-1, -1, 0, 0, 0, -1, -1, -1],
    ]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_sentence_of_an_answer_has_all_of_its_tokens_and_no_other(number: int, tmp_path: Path) -> None:
    context = f"{SENTENCES[0]} {SENTENCES[5]}  {SENTENCES[10].rstrip('.')}"
    sentences = [SENTENCES[0], SENTENCES[5], SENTENCES[10].rstrip(".")]
    start = context.index(sentences[number])
    for part in (sentences[number], sentences[number].split()[-1].rstrip("."), sentences[number].split()[0]):
        at = context.index(part, start)
        row = asked(at, at + len(part), context)
        window, _ = find_answer_window(vocabulary().codec(resources(tmp_path), 60), row) or (None, None)
        assert window is not None
        told = answer_sentence_labels(window, row)
        inside = [window.details().offsets[place] for place in (told == 1).nonzero().flatten().tolist()]
        assert context[inside[0][0] : inside[-1][1]] == sentences[number]
        assert {window.details().texts[place] for place in (told >= 0).nonzero().flatten().tolist()} == {1}
        assert window.details().texts.count(1) == int((told >= 0).sum())


def test_an_answer_over_two_sentences_is_in_both(tmp_path: Path) -> None:
    context = " ".join(SENTENCES[:3])
    at, end = context.index(SENTENCES[0]) + 4, context.index(SENTENCES[1]) + 3
    row = asked(at, end, context)
    window, _ = find_answer_window(vocabulary().codec(resources(tmp_path), 60), row) or (None, None)
    assert window is not None
    inside = [
        window.details().offsets[place]
        for place in (answer_sentence_labels(window, row) == 1).nonzero().flatten().tolist()
    ]
    assert context[inside[0][0] : inside[-1][1]] == f"{SENTENCES[0]} {SENTENCES[1]}"


def test_hints_are_learned_beside_answers_and_leave_nothing_behind(tmp_path: Path) -> None:
    rows = [
        Question(f"{animal} {place}", " ".join(some), (some[1][:3],), len(some[0]) + 1)
        for animal in ANIMALS
        for place in PLACES
        for some in zip(SENTENCES[:8], SENTENCES[8:16], SENTENCES[16:24], strict=True)
    ]
    model = bert(size_of(resources(tmp_path)), heads=("span",))
    names = set(model.state_dict())

    def loss(hint_weight: float) -> list[float]:
        stage = SpanExtraction(**tuning(batch_size=16, dropout=0.0), rows_of=lambda data: rows, hint_weight=hint_weight)
        return losses(stage, model, stage.items(resources(tmp_path)), 60)

    found = loss(3.0)
    assert set(model.state_dict()) == names
    assert found[0] > loss(0.0)[0] + 2.0  # three times some log 2, twice
    assert mean(found[-5:]) < 0.6 * found[0]


@pytest.mark.parametrize("hint", ["shared", "sentence"])
def test_each_hint_counts(hint: str, tmp_path: Path) -> None:
    rows = [asked(text.rindex(" ") + 1, len(text) - 1, f"{text} {text}", "the dog?") for text in SENTENCES]
    stage = SpanExtraction(**tuning(dropout=0.0), rows_of=lambda data: rows, hint_weight=1.0)
    model = bert(size_of(resources(tmp_path)), heads=("span",))
    items = stage.items(resources(tmp_path))
    stage.begin(model, items)
    head = model.get_submodule(f"{HINTS}.{hint}")
    before = stage.loss(model, items, torch.Generator(), nn.Module())
    nn.init.constant_(head.bias, 9.0)  # type: ignore[arg-type]
    assert stage.loss(model, items, torch.Generator(), nn.Module()) > before + 0.5


@pytest.mark.parametrize("hint_weight", [0.0, 1.0])
def test_what_is_tuned_is_the_mean_of_its_last_steps(hint_weight: float, tmp_path: Path) -> None:
    seen: list[dict[str, Tensor]] = []

    class Watched(SpanExtraction):
        def after_step(self, model: TextEncoder, companion: nn.Module, progress: float) -> None:
            super().after_step(model, companion, progress)
            seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})

    model = bert(size_of(resources(tmp_path)), heads=("span",))
    stage = Watched(**tuning(), rows_of=lambda data: of_places(), hint_weight=hint_weight, averaged_share=0.3)
    losses(stage, model, stage.items(resources(tmp_path)), 10)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, torch.stack([state[name] for state in seen[7:]]).mean(0))
    assert not torch.equal(model.state_dict()["span_head.weight"], seen[-1]["span_head.weight"])
