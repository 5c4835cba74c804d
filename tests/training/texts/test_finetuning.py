"""What is tuned: which token is judged, which answer is meant, that every loss falls, the average of weights."""

from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from models.family import Model
from models.layers.encoder import TextEncoder
from models.layers.packing import Packed
from models.tasks import text as t
from models.transformers.vanilla.model import VanillaTransformer
from tests.training.texts.tiny import (
    ANIMALS,
    N_TOKENS,
    PLACES,
    SENTENCES,
    TinyTranslation,
    bert,
    labelled,
    losses,
    mean,
    shelf,
    size_of,
    vocabulary,
)
from training.data.names import TAGS, Tagged
from training.data.questions import Question
from training.data.stsb import Scored
from training.errors import TrainingError
from training.texts.averaging import Average
from training.texts.corpus import Rows, packed
from training.texts.finetuning import (
    EMBEDDING_RATE,
    Capitals,
    FineTuning,
    Neighbours,
    Similarities,
    Spans,
    TextClasses,
    WordClasses,
    answered,
    capitals,
    embedded,
    first_tokens,
    set_dropout,
    token_tags,
)
from training.texts.translation import Translation
from training.trainer import Run, train

WORDS = ("The", "dog", "wanderer", "forests", "redder", "“schöner”", "9", "don't", ".", "漢")
CONTEXT = " ".join(SENTENCES[::5])
N_STEPS = 40


def tuning(**changes: Any) -> dict[str, Any]:
    common = {"vocabulary": vocabulary(), "max_tokens": N_TOKENS, "n_epochs": 1, "lr": 1e-2, "dropout": 0.1}
    return common | changes


def tagged(text: str) -> Tagged:
    """Animals are persons, places are places."""
    kinds = dict.fromkeys(ANIMALS, "B-PER") | dict.fromkeys(PLACES, "B-LOC")
    words = tuple(text.replace(".", " .").split())
    return Tagged(words, tuple(kinds.get(word, "O") for word in words))


@pytest.mark.parametrize("kind", ["wordpiece", "unigram", "byte-level"])
@given(words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=8), data=st.data())
@settings(max_examples=30, deadline=None)
def test_each_words_tag_is_that_of_its_first_token(
    kind: str, words: list[str], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tags = data.draw(st.lists(st.sampled_from(TAGS), min_size=len(words), max_size=len(words)))
    text = vocabulary(kind).codec(shelf(tmp_path_factory.getbasetemp()), 200).encode(" ".join(words))
    found = token_tags(text, Tagged(tuple(words), tuple(tags)))
    assert found.dtype == torch.int64
    assert len(found) == len(text)
    assert [TAGS[tag] for tag in found.tolist() if tag >= 0] == tags
    starts = [0, *accumulate(len(word) + 1 for word in words)][:-1]
    judged = [place for place, tag in enumerate(found.tolist()) if tag >= 0]
    assert all(
        text.offsets[place][0] in {start, start - 1} for place, start in zip(judged, starts, strict=True)
    )  # with the blank before it, or without
    assert found[0] == found[-1] == -1


def test_what_is_cut_off_has_no_tag(tmp_path: Path) -> None:
    codec, row = vocabulary().codec(shelf(tmp_path), 6), tagged(SENTENCES[0])
    text = codec.encode_truncated(" ".join(row.words))
    assert token_tags(text, row).tolist() == [-1, 0, 0, TAGS.index("B-PER"), 0, -1]


def test_capitals_tell_names_where_they_tell_anything() -> None:
    words, marks = capitals("Yesterday Ann Lee of Oslo, 9, left the house of “Eve and Bo”; Ed stayed in Rome")
    known = {word: mark for word, mark in zip(words, marks, strict=True) if mark >= 0}
    assert " ".join(words) == "Yesterday Ann Lee of Oslo , 9 , left the house of “ Eve and Bo ” ; Ed stayed in Rome"
    assert known == {
        "Ann": 1,
        "Lee": 1,
        "Oslo": 1,
        "the": 0,
        "house": 0,
        "of": 0,
        "Bo": 1,
        "stayed": 0,
        "in": 0,
        "Rome": 1,
    }
    assert capitals("") == ([], [])


def test_capitals_teach_that_there_is_a_name_but_not_its_kind(tmp_path: Path) -> None:
    its = shelf(tmp_path)
    texts = [text.replace(f" {animal} ", f" {animal.title()} ") for text, animal in with_animals()]
    stage = Capitals(**tuning(rows_of=lambda data: texts))
    model = bert(size_of(its), heads=("tokens",), labels=TAGS)
    items = stage.items(its)
    losses(stage, model, items, N_STEPS)
    assert model.token_head is not None
    for text, animal in with_animals()[:4]:
        row = tagged(text)
        tokens = vocabulary().codec(its, N_TOKENS).encode(" ".join(row.words))
        with torch.inference_mode():
            none = model.token_head(model.states([tokens])[0]).softmax(-1)[:, 0]
        places = first_tokens(tokens, row.words)
        assert none[places[row.words.index(animal)]] < 0.2
        assert none[places[row.words.index("to")]] > 0.8


def with_animals() -> list[tuple[str, str]]:
    return [(text, next(one for one in ANIMALS if one in text)) for text in SENTENCES]


def said(window: t.Tokens, ends: tuple[int, int]) -> str:
    first, last = (window.offsets[place] for place in ends)
    assert {window.texts[place] for place in ends} == {1}
    return window.sources[1][first[0] : last[1]]


def asked(start: int, end: int, context: str = CONTEXT, question: str = "the dog?") -> Question:
    return Question(question, context, (context[start:end],), start)


@pytest.mark.parametrize("kind", ["wordpiece", "unigram"])
@pytest.mark.parametrize("n_words", [1, 2, 3])
def test_answers_are_found_to_the_character(kind: str, n_words: int, tmp_path: Path) -> None:
    context = f"Höher, “{CONTEXT}”"  # accents go, and with them characters of the normalised text
    words = context.split(" ")
    starts = [0, *accumulate(len(word) + 1 for word in words)]
    codec = vocabulary(kind).codec(shelf(tmp_path), 60 if kind == "unigram" else 30)
    firsts: set[int] = set()
    for place in range(len(words) - n_words + 1):
        row = asked(starts[place], starts[place + n_words] - 1, context)
        found = answered(codec, row)
        assert found is not None
        window, ends = found
        assert len(window) <= codec.max_tokens
        assert said(window, ends).strip() == row.answers[0]
        firsts.add(window.offsets[window.texts.index(1)][0])
    assert len(firsts) > 3  # windows


def test_a_question_that_fills_the_window_is_left_out(tmp_path: Path) -> None:
    codec = vocabulary().codec(shelf(tmp_path), 30)
    assert answered(codec, asked(0, 3, question="the dog? " * 20)) is None


def test_part_of_a_token_is_the_whole_of_it(tmp_path: Path) -> None:
    start = CONTEXT.index("walked")
    found = answered(vocabulary().codec(shelf(tmp_path), 30), asked(start + 1, start + 3))
    assert found is not None
    assert said(*found) == "walked"


def test_an_answer_that_fits_no_window_or_is_no_span_is_left_out(tmp_path: Path) -> None:
    codec = vocabulary().codec(shelf(tmp_path), 30)
    whole = asked(0, len(CONTEXT))
    nowhere = Question("the dog?", CONTEXT, ("a cow",), None)
    assert answered(codec, whole) is None
    assert answered(codec, nowhere) is None
    good = asked(4, 7)
    stage = Spans(**tuning(rows_of=lambda data: [whole, good, nowhere, good], max_tokens=30))
    *texts, ends = stage.items(shelf(tmp_path))
    assert {len(tensor) for tensor in (*texts, ends)} == {2}
    window, places = answered(codec, good) or (None, None)
    assert window is not None
    assert tuple(ends[0].tolist()) == places
    assert texts[0][0, : len(window)].tolist() == window.ids.tolist()


def of_places() -> list[Question]:
    return [asked(text.rindex(" ") + 1, len(text) - 1, text, "to?") for text in SENTENCES]


STAGES: dict[str, tuple[Callable[[], FineTuning], dict[str, Any]]] = {
    "texts": (
        lambda: TextClasses(**tuning(rows_of=lambda data: labelled())),
        {"heads": ("pooler", "sequence"), "labels": ANIMALS},
    ),
    "words": (
        lambda: WordClasses(**tuning(rows_of=lambda data: [tagged(text) for text in SENTENCES])),
        {"heads": ("tokens",), "labels": TAGS},
    ),
    "spans": (lambda: Spans(**tuning(rows_of=lambda data: of_places())), {"heads": ("span",)}),
    "neighbours": (lambda: Neighbours(**tuning(rows_of=lambda data: alike())), {}),
    "similarities": (lambda: Similarities(**tuning(rows_of=lambda data: scored(), lr=3e-3)), {}),
}


def alike() -> list[tuple[str, str]]:
    """An animal and a place in two ways, each pair another."""
    return [(f"The {animal} wandered to the {place}.", f"{place}, {animal}!") for animal in ANIMALS for place in PLACES]


def scored() -> list[Scored]:
    """Alike are sentences of one animal, wherever it goes."""
    return [
        Scored(f"the {one} to the {PLACES[number]}", f"see {other} of {PLACES[-number]}", 5.0 if one == other else 0.5)
        for one in ANIMALS
        for number, other in enumerate(ANIMALS)
    ]


@pytest.mark.parametrize("name", STAGES)
def test_the_loss_falls(name: str, tmp_path: Path) -> None:
    make, heads = STAGES[name]
    stage, its = make(), shelf(tmp_path)
    model = bert(size_of(its), **heads)
    found = losses(stage, model, stage.items(its), N_STEPS)
    assert {module.p for module in model.modules() if isinstance(module, nn.Dropout)} == {0.1}
    assert mean(found[-3:]) < 0.7 * found[0]


def cosines(model: TextEncoder, stage: FineTuning, folder: Path) -> Tensor:
    """Of every first text with every second, `[n, n]`."""
    items = stage.items(shelf(folder))
    with torch.inference_mode():
        firsts, seconds = (embedded(model, packed(items[start : start + 3])) for start in (0, 3))
    return firsts @ seconds.T


def test_pairs_that_belong_together_are_nearer_than_all_others(tmp_path: Path) -> None:
    stage, model = STAGES["neighbours"][0](), bert(size_of(shelf(tmp_path)))
    right = torch.arange(len(alike()))

    def share() -> float:
        return (cosines(model, stage, tmp_path).argmax(1) == right).double().mean().item()

    before = share()
    losses(stage, model, stage.items(shelf(tmp_path)), N_STEPS)
    assert share() > max(0.8, before)


def test_pairs_that_are_alike_score_higher(tmp_path: Path) -> None:
    stage, model = STAGES["similarities"][0](), bert(size_of(shelf(tmp_path)))
    is_alike = torch.tensor([row.score for row in scored()]) > 1

    def gap() -> float:
        own = cosines(model, stage, tmp_path).diagonal()
        return (own[is_alike].min() - own[~is_alike].max()).item()

    assert gap() < 0
    losses(stage, model, stage.items(shelf(tmp_path)), N_STEPS)
    assert gap() > 0


def test_similarities_loss_is_that_of_the_paper(tmp_path: Path) -> None:
    stage, model = STAGES["similarities"][0](), bert(size_of(shelf(tmp_path)))
    items = stage.items(shelf(tmp_path))
    own, likeness = cosines(model, stage, tmp_path).diagonal().tolist(), items[6].tolist()
    total = 1.0
    for cosine, score in zip(own, likeness, strict=True):
        for other, its_score in zip(own, likeness, strict=True):
            total += torch.tensor(20 * (other - cosine)).exp().item() if score > its_score else 0.0
    found = stage.loss(model, items, torch.Generator(), nn.Module())
    torch.testing.assert_close(found, torch.tensor(total).log(), rtol=1e-4, atol=1e-4)


def test_neighbours_are_sought_either_way(tmp_path: Path) -> None:
    stage, model = STAGES["neighbours"][0](), bert(size_of(shelf(tmp_path)))
    items = stage.items(shelf(tmp_path))
    scores = cosines(model, stage, tmp_path) / 0.05
    expected = -(scores.log_softmax(1) + scores.log_softmax(0)).diagonal().mean() / 2
    found, swapped = (
        stage.loss(model, batch, torch.Generator(), nn.Module()) for batch in (items, (*items[3:], *items[:3]))
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(swapped, expected, rtol=1e-4, atol=1e-4)


def test_vectors_are_those_that_encode_gives(tmp_path: Path) -> None:
    codec, model = vocabulary().codec(shelf(tmp_path), N_TOKENS), bert(size_of(shelf(tmp_path)))
    texts = [codec.encode(text) for text in ("the dog", SENTENCES[0], "a red horse, yes!")]
    row = packed(Rows.of(texts).batch)
    with torch.inference_mode():
        torch.testing.assert_close(embedded(model, row), model.vectors(texts, "mean", normalize=True))


def test_only_the_rate_of_embeddings_is_smaller() -> None:
    model = bert(50, heads=("span",))
    (optimiser,) = STAGES["spans"][0]().optimisers(model)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    names = dict(model.named_parameters())
    assert len(rates) == len(names)
    for name, parameter in names.items():
        is_embedding = name in {f"embeddings.{part}.weight" for part in ("words", "positions", "types")}
        assert rates[id(parameter)] == pytest.approx(1e-2 * (EMBEDDING_RATE if is_embedding else 1)), name


def test_dropout_counts_while_training_only() -> None:
    model, text = bert(50), Packed.of_rows(torch.randint(5, 50, (3, 9)))
    plain = embedded(model.eval(), text)
    set_dropout(model, 0.5)
    assert torch.equal(embedded(model, text), plain)
    assert not torch.allclose(embedded(model.train(), text), plain)


@pytest.mark.parametrize(("name", "head"), [("texts", "pooler"), ("words", "token_head"), ("spans", "span_head")])
def test_a_model_without_the_head_is_told_so(name: str, head: str, tmp_path: Path) -> None:
    stage = STAGES[name][0]()
    model = bert(size_of(shelf(tmp_path)), heads=("pooler",))
    head = "sequence_head" if name == "texts" else head
    with pytest.raises(TrainingError, match=f"Bert was built without {head}"):
        stage.loss(model, stage.items(shelf(tmp_path)), torch.Generator(), nn.Module())


def test_an_average_is_the_plain_mean() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4))
    average, seen = Average(model), [[p.detach().clone() for p in model.parameters()]]
    average.add(model)
    for _ in range(6):
        for parameter in model.parameters():
            nn.init.normal_(parameter)
        seen.append([p.detach().clone() for p in model.parameters()])
        average.add(model)
    assert average.n_added.item() == 7
    average.give(model)
    for parameter, values in zip(model.parameters(), zip(*seen, strict=True), strict=True):
        torch.testing.assert_close(parameter.detach(), torch.stack(values).mean(0))


def test_an_average_of_nothing_gives_nothing() -> None:
    model = nn.Linear(2, 2)
    before = model.weight.detach().clone()
    Average(model).give(model)
    assert torch.equal(model.weight, before)


def test_an_average_goes_on_from_its_buffers() -> None:
    model = nn.Linear(2, 2)
    one, whole = Average(model), Average(model)
    for step in range(5):
        nn.init.normal_(model.weight)
        for average in (one, whole):
            average.add(model)
        if step == 2:
            state, one = one.state_dict(), Average(model)
            one.load_state_dict(state)
    for name, value in whole.state_dict().items():
        assert torch.equal(one.state_dict()[name], value)


def trained(run: Path, weights: Path, n_steps: int | None = None) -> tuple[Model, list[dict[str, Tensor]]]:
    """The model, and the weights after each step."""
    seen: list[dict[str, Tensor]] = []
    stepped = Translation.stepped

    def watched(self: Translation, model: VanillaTransformer, companion: nn.Module, progress: float) -> None:
        stepped(self, model, companion, progress)
        seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Translation, "stepped", watched)
        its = Run(shelf=shelf(weights), folder=run, device="cpu", n_steps=n_steps, quiet=True)
        return train(TinyTranslation(), its).model, seen


@pytest.mark.parametrize("cut", [5, 12, 15, 20])
def test_a_translation_model_is_the_mean_of_its_last_steps_cut_or_not(cut: int, tmp_path: Path) -> None:
    whole, seen = trained(tmp_path / "whole", tmp_path)
    assert len(seen) == 20
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(tensor, torch.stack([state[name] for state in seen[12:]]).mean(0))
    assert not torch.equal(whole.state_dict()["bias"], seen[-1]["bias"])
    trained(tmp_path / "cut", tmp_path, cut)
    again, rest = trained(tmp_path / "cut", tmp_path)
    assert len(rest) == 20 - cut
    for name, tensor in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_positions_are_sinusoids_and_stay_so(tmp_path: Path) -> None:
    _, seen = trained(tmp_path / "run", tmp_path)
    for side in ("encoder", "decoder"):
        positions = seen[-1][f"{side}.positions.weight"]
        assert torch.equal(positions, seen[0][f"{side}.positions.weight"])
        torch.testing.assert_close(positions[3, 0], torch.tensor(3.0).sin())
        torch.testing.assert_close(positions[3, 12], torch.tensor(3.0).cos())


def test_hidden_words_are_those_of_the_text(tmp_path: Path) -> None:
    its = shelf(tmp_path)
    codec = vocabulary().codec(its, N_TOKENS)
    seen: list[Tensor] = []

    class Spy(nn.Module):
        def __init__(self, model: TextEncoder) -> None:
            super().__init__()
            self.model, self.token_head = model, model.token_head

        def hidden(self, row: Packed, attend: Any) -> Tensor:
            seen.append(row.token_ids)
            return self.model.hidden(row, attend)

    def rows(data: object) -> list[Tagged]:
        return [tagged(text) for text in SENTENCES]

    model = bert(size_of(its), heads=("tokens",), labels=TAGS)
    for share in (0.0, 0.25):
        stage = WordClasses(**tuning(rows_of=rows), hidden_share=share)
        items = stage.items(its)
        stage.loss(cast("TextEncoder", Spy(model)), items, torch.Generator().manual_seed(0), nn.Module())
    plain, hidden = seen
    is_hidden = hidden.ne(plain)
    assert set(hidden[is_hidden].tolist()) == {codec.special.mask}
    assert (plain[is_hidden] >= 5).all()
    assert 0.2 < is_hidden[plain >= 5].double().mean() < 0.3
