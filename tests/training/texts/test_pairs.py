"""Tests of pretraining on pairs: where rows are cut, where second parts come from, and that the stages learn."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.transformers.albert.objective import loss as albert_loss
from models.transformers.bert.objective import loss as bert_loss
from tests.training.texts.tiny import (
    DOCUMENTS,
    N_TOKENS,
    bert,
    losses,
    mean,
    pretraining_settings,
    resources,
    seeded,
    size_of,
    vocabulary,
)
from training.texts.corpus import PADDING, split_sentences
from training.texts.pairs import MaskedPairPretraining, NextSentences, SentenceOrder, TextPairs

N = N_TOKENS - 3
MARGIN = N // 4
CLS, SEP, MASK = 2, 3, 4
PLAIN = 20
"""First of the tests' own tokens, none of which is a full stop."""
Texts = list[tuple[list[int], list[int]]]


def next_sentences(folder: Path) -> tuple[NextSentences, Tensor]:
    """Return the stage and its rows."""
    stage = NextSentences(**pretraining_settings(masking="dynamic", loss_of=bert_loss))
    rows, numbers = stage.items(resources(folder))
    assert numbers.tolist() == list(range(len(rows)))
    return stage, rows


def sentence_order(folder: Path) -> tuple[SentenceOrder, Tensor, Tensor]:
    """Return the stage, its rows, and where sentences begin."""
    stage = SentenceOrder(**pretraining_settings(masking="dynamic", loss_of=bert_loss))
    rows, numbers, begins = stage.items(resources(folder))
    assert numbers.tolist() == list(range(len(rows)))
    return stage, rows, begins


def distinct(n: int = 8) -> Tensor:
    """Return rows of distinct tokens, without a full stop."""
    return torch.arange(PLAIN, PLAIN + n * N, dtype=torch.int32).view(n, N)


def texts_of(parts: TextPairs) -> Texts:
    """Return both parts of each joined row, and check the special tokens, types and padding around them."""
    pairs, types, lengths = parts.join(CLS, SEP)
    assert pairs.shape == types.shape == (len(pairs), parts.rows.shape[1] + 3)
    found: Texts = []
    for all_of_row, row_types, length in zip(pairs.tolist(), types.tolist(), lengths.tolist(), strict=True):
        row, filling = all_of_row[:length], all_of_row[length:]
        gap = row.index(SEP)
        assert set(filling) <= {PADDING}
        assert (row[0], row[-1], row.count(CLS), row.count(SEP)) == (CLS, SEP, 1, 2)
        assert row_types == [0] * (gap + 1) + [1] * (length - gap - 1) + [0] * len(filling)
        found.append((row[1:gap], row[gap + 1 : -1]))
    return found


def of_rows(stage: NextSentences, rows: Tensor, seed: int = 0, label: int = 0) -> Texts:
    return texts_of(stage.make_pairs((rows,), torch.full((len(rows),), label), seeded(seed)))


def stop_of(folder: Path) -> int:
    stop = vocabulary().tokenizer(resources(folder)).token_to_id(".")
    assert stop is not None
    return stop


def test_pairs_with_label_0_are_the_row_cut_in_two(tmp_path: Path) -> None:
    stage, rows = next_sentences(tmp_path)
    for given in (rows, distinct()):
        for seed in range(5):
            cut = of_rows(stage, given, seed)
            assert [first + second for first, second in cut] == given.tolist()


def test_pairs_with_label_1_continue_with_another_row(tmp_path: Path) -> None:
    stage, _ = next_sentences(tmp_path)
    rows = distinct()
    for seed in range(5):
        apart = texts_of(stage.make_pairs((rows,), torch.tensor([1] * 7 + [0]), seeded(seed)))
        for number, (first, second) in enumerate(apart):
            owners = {(token - PLAIN) // N for token in second}
            assert first == rows[number, : len(first)].tolist()
            assert len(owners) == 1
            assert (owners == {number}) == (number == 7)
            start = len(first) if number == 7 else 0  # no sentence begins within the others
            assert second == rows[owners.pop(), start : start + len(second)].tolist()


def test_the_second_part_of_another_row_begins_where_a_sentence_does(tmp_path: Path) -> None:
    stage, rows = next_sentences(tmp_path)
    stop = stop_of(tmp_path)
    n_behind_a_stop = 0
    for seed in range(5):
        for _, second in of_rows(stage, rows, seed, label=1):
            n = len(second)
            begins = [row[:n] == second or [stop, *second] in windows(row, n + 1) for row in rows.tolist()]
            assert any(begins)
            n_behind_a_stop += any([stop, *second] in windows(row, n + 1) for row in rows.tolist())
    assert n_behind_a_stop > 0


def windows(row: list[int], n: int) -> list[list[int]]:
    return [row[start : start + n] for start in range(len(row) - n + 1)]


def test_a_row_is_cut_after_a_full_stop(tmp_path: Path) -> None:
    stage, rows = next_sentences(tmp_path)
    stop = stop_of(tmp_path)
    assert all(stop in row[MARGIN - 1 : N - MARGIN - 1] for row in rows)
    lengths: dict[int, set[int]] = {number: set() for number in range(len(rows))}
    for seed in range(40):
        cut = of_rows(stage, rows, seed)
        for number, (first, _) in enumerate(cut):
            assert first[-1] == stop
            lengths[number].add(len(first))
    for number, row in enumerate(rows.tolist()):  # behind each of them, sooner or later
        behind = {place + 1 for place, token in enumerate(row) if token == stop}
        assert lengths[number] == {cut for cut in behind if MARGIN <= cut < N - MARGIN}


def test_a_row_without_a_full_stop_is_cut_anywhere_between_the_margins(tmp_path: Path) -> None:
    stage, _ = next_sentences(tmp_path)
    rows = distinct(200)
    cut = of_rows(stage, rows)
    assert {len(first) for first, _ in cut} == set(range(MARGIN, N - MARGIN))


def test_a_full_stop_in_the_margin_is_ignored(tmp_path: Path) -> None:
    stage, _ = next_sentences(tmp_path)
    rows = distinct(50)
    stop = stop_of(tmp_path)
    rows[:, [0, MARGIN - 2, N - MARGIN - 1, N - 1]] = stop
    cut = of_rows(stage, rows)
    assert min(len(first) for first, _ in cut) >= MARGIN
    assert max(len(first) for first, _ in cut) < N - MARGIN
    assert len({len(first) for first, _ in cut}) > 5


def test_parts_are_whole_sentences_in_or_out_of_order(tmp_path: Path) -> None:
    stage, rows, begins = sentence_order(tmp_path)
    decode = vocabulary().tokenizer(resources(tmp_path)).decode
    whole = {text.lower() for document in DOCUMENTS for text in split_sentences(document)}
    firsts: set[int] = set()
    for seed in range(10):
        labels = torch.randint(2, (len(rows),), generator=seeded(seed))
        cut = texts_of(stage.make_pairs((rows, begins), labels, seeded(seed)))
        for row, row_begins, label, (first, second) in zip(rows, begins, labels.tolist(), cut, strict=True):
            assert (second + first if label else first + second) == row[row != PADDING].tolist()
            assert row_begins[len(second if label else first)]
            assert {f"{one}." for part in (first, second) for one in decode(part)[:-1].split(". ")} <= whole
            firsts.add(len(first))
    assert len(firsts) > 2


def test_rows_of_sentences_are_all_that_fit(tmp_path: Path) -> None:
    stage, rows, begins = sentence_order(tmp_path)
    n_tokens = (rows != PADDING).sum(1)
    assert begins[:, 0].all()
    assert not begins[rows == PADDING].any()
    assert (begins.sum(1) >= 2).all()
    assert stage.units_per_item == pytest.approx(3 + n_tokens.double().mean().item())
    assert stage.total_steps(7) == int(1000 / (8 * stage.units_per_item))


def test_the_label_alone_swaps_the_parts(tmp_path: Path) -> None:
    stage, rows, begins = sentence_order(tmp_path)
    labels = torch.arange(len(rows)) % 2
    apart = texts_of(stage.make_pairs((rows, begins), labels, seeded()))
    together = texts_of(stage.make_pairs((rows, begins), torch.zeros_like(labels), seeded()))
    for (first, second), (own_first, own_second), label in zip(apart, together, labels.tolist(), strict=True):
        assert (first, second) == ((own_second, own_first) if label else (own_first, own_second))


@pytest.mark.parametrize("kind", [NextSentences, SentenceOrder])
def test_a_masked_batch_has_masked_pairs(kind: type[MaskedPairPretraining], tmp_path: Path) -> None:
    stage = kind(**pretraining_settings(masking="dynamic", loss_of=bert_loss))
    rows, numbers, *others = stage.items(resources(tmp_path))
    masked_batch = stage.masked_batch((rows, numbers, *others), seeded(3))
    draw = seeded(3)
    labels = torch.randint(2, (len(rows),), generator=draw)
    pairs, types, lengths = stage.make_pairs((rows, *others), labels, draw).join(CLS, SEP)
    ids, targets = masked_batch.texts.token_ids, masked_batch.targets
    is_token = torch.arange(N_TOKENS) < lengths[:, None]
    assert torch.equal(masked_batch.labels, labels)
    assert set(labels.tolist()) == {0, 1}
    assert torch.equal(masked_batch.texts.type_ids, types[is_token].long())
    assert torch.equal(torch.where(targets >= 0, targets, ids), pairs[is_token].long())
    assert 0 < ((ids == MASK) & (targets >= 0)).sum() < (targets >= 0).sum()
    assert masked_batch.texts.segments.lengths == tuple(lengths.tolist())


@pytest.mark.parametrize(("kind", "loss_of"), [(NextSentences, bert_loss), (SentenceOrder, albert_loss)])
def test_masked_pair_pretraining_learns(kind: type[MaskedPairPretraining], loss_of: Any, tmp_path: Path) -> None:
    stage = kind(**pretraining_settings(masking="whole-word", loss_of=loss_of))
    items = stage.items(resources(tmp_path))
    found = losses(stage, bert(size_of(resources(tmp_path)), heads=("pooler", "pair", "masked")), items, 30)
    assert mean(found[-3:]) < 0.75 * found[0]
