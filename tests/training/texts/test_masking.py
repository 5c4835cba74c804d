"""Tests of masking: which tokens are chosen, and what replaces them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.training.texts.tiny import resources, vocabulary
from training.texts.masking import MASK_SHARE, RANDOM_SHARE, Masking, MaskingKind, begins_word_table

VOCAB_SIZE, N_SPECIAL, MASK_ID, SHARE = 1000, 5, 4, 0.15
KINDS: tuple[MaskingKind, ...] = ("static", "dynamic", "whole-word")
BEGINS_WORD = torch.arange(VOCAB_SIZE) % 3 != 0
"""Whether each token begins a word, which two tokens of three do."""


def masking(kind: MaskingKind, **changes: Any) -> Masking:
    values: dict[str, Any] = {"share": SHARE, "mask_id": MASK_ID, "n_special": N_SPECIAL, "begins_word": BEGINS_WORD}
    return Masking(kind=kind, **(values | changes))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(n: int, length: int, first: int = 0) -> Tensor:
    """Return random tokens, at least `first`, special ones included if it is 0."""
    return torch.randint(first, VOCAB_SIZE, (n, length), generator=seeded(9), dtype=torch.int32)


def assert_share(successes: Tensor, share: float) -> None:
    """Assert that the share is within four standard deviations of a binomial's mean."""
    n = successes.numel()
    assert n >= 1000
    assert abs(successes.sum().item() - n * share) < 4 * (n * share * (1 - share)) ** 0.5


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_the_share_is_chosen_and_of_it_80_percent_masked_10_replaced_and_10_kept(kind: MaskingKind) -> None:
    ids = rows(600, 100, first=N_SPECIAL)
    masked, targets = masking(kind)(ids, torch.arange(600), seeded())
    chosen = targets >= 0
    assert_share(chosen, SHARE)
    hidden, kept = masked[chosen] == MASK_ID, masked[chosen] == ids[chosen]
    assert_share(hidden, MASK_SHARE)
    assert_share(kept, 1 - MASK_SHARE - RANDOM_SHARE)
    others = masked[chosen][~hidden & ~kept]
    assert len(set(others.tolist())) > 400  # any token of the vocabulary, but for special ones
    assert N_SPECIAL <= others.min() < others.max() < VOCAB_SIZE


def test_whole_word_masking_chooses_the_share() -> None:
    ids = rows(600, 100, first=N_SPECIAL)
    _, targets = masking("whole-word")(ids, torch.arange(600), seeded())
    # tokens of one word share their fate, so words are counted, each at the token that begins it
    assert_share(targets[BEGINS_WORD[ids]] >= 0, SHARE)
    assert_share(targets[~BEGINS_WORD[ids]] >= 0, SHARE)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 1000), length=st.integers(1, 30), share=st.floats(0, 1))
@settings(max_examples=30)
def test_targets_are_what_was_there_and_everything_else_stays(
    kind: MaskingKind, seed: int, length: int, share: float
) -> None:
    ids = rows(6, length) % 12  # many of them special
    before = ids.clone()
    masked, targets = masking(kind, share=share)(ids, torch.arange(6), seeded(seed))
    assert torch.equal(ids, before)
    assert masked.shape == targets.shape == ids.shape
    assert masked.dtype == ids.dtype
    chosen = targets != -1
    assert torch.equal(targets[chosen], ids[chosen])
    assert torch.equal(masked[~chosen], ids[~chosen])
    assert not (chosen & (ids < N_SPECIAL)).any()


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_are_never_chosen_and_all_others_may_be(kind: MaskingKind) -> None:
    ids = rows(50, 40) % 12
    masked, targets = masking(kind, share=1.0)(ids, torch.arange(50), seeded())
    assert torch.equal(targets == -1, ids < N_SPECIAL)
    assert torch.equal(masked[ids < N_SPECIAL], ids[ids < N_SPECIAL])


def words_of(row: list[int]) -> list[list[int]]:
    """Return the positions of the tokens of each word."""
    words: list[list[int]] = []
    for place, token in enumerate(row):
        if not words or BEGINS_WORD[token]:
            words.append([])
        words[-1].append(place)
    return words


def test_whole_words_are_masked_or_not_at_all() -> None:
    ids = rows(200, 50, first=N_SPECIAL)
    _, targets = masking("whole-word", share=0.4)(ids, torch.arange(200), seeded())
    fates: set[tuple[int, bool]] = set()
    for row, chosen in zip(ids.tolist(), (targets >= 0).tolist(), strict=True):
        for word in words_of(row):
            (actions,) = {chosen[place] for place in word}
            fates.add((min(len(word), 4), actions))
    assert fates == {(length, actions) for length in (1, 2, 3, 4) for actions in (False, True)}


def test_dynamic_masking_splits_words() -> None:
    ids = rows(200, 50, first=N_SPECIAL)
    _, targets = masking("dynamic", share=0.4)(ids, torch.arange(200), seeded())
    torn = [
        word
        for row, chosen in zip(ids.tolist(), (targets >= 0).tolist(), strict=True)
        for word in words_of(row)
        if len({chosen[place] for place in word}) == 2
    ]
    assert len(torn) > 100


def test_a_static_mask_belongs_to_the_number_of_the_row() -> None:
    ids, numbers = rows(8, 60, first=N_SPECIAL), torch.tensor([3, 1, 4, 15, 9, 2, 6, 5])
    _, first = masking("static")(ids, numbers, seeded(1))
    order = torch.randperm(8, generator=seeded(2))
    _, again = masking("static")(ids[order], numbers[order], seeded(3))
    assert torch.equal(again, first[order])
    _, others = masking("static")(ids, numbers + 100, seeded(1))
    assert not torch.equal(others >= 0, first >= 0)
    assert len({tuple(row) for row in (first >= 0).tolist()}) == 8


@pytest.mark.parametrize("kind", ["dynamic", "whole-word"])
def test_other_masks_depend_on_the_generator_only(kind: MaskingKind) -> None:
    ids, mask = rows(8, 60, first=N_SPECIAL), masking(kind)
    one = mask(ids, torch.arange(8), seeded(1))
    again = mask(ids, torch.arange(8) + 100, seeded(1))
    assert all(torch.equal(*pair) for pair in zip(one, again, strict=True))
    assert not torch.equal(mask(ids, torch.arange(8), seeded(2))[1], one[1])


@pytest.mark.parametrize(
    ("kind", "words", "pieces"),
    [
        ("wordpiece", ["the", "walked", "river", ".", "?", "a", "[MASK]", "[CLS]"], ["##d", "##e"]),
        ("byte-level", ["Ġthe", "Ġriver", "Ġ", ".", "?", "<mask>", "<s>"], ["The", "d", "er"]),
        ("unigram", ["▁", ".", "?", "[MASK]", "[CLS]"], ["d", "e"]),
    ],
)
def test_tokens_that_begin_a_word(kind: str, words: list[str], pieces: list[str], tmp_path: Path) -> None:
    tokenizer = vocabulary(kind).tokenizer(resources(tmp_path))
    begins = begins_word_table(tokenizer)
    assert begins.shape == (tokenizer.get_vocab_size(),)
    found = {token: bool(begins[tokenizer.token_to_id(token)]) for token in (*words, *pieces)}
    assert found == dict.fromkeys(words, True) | dict.fromkeys(pieces, False)


@pytest.mark.parametrize("kind", ["wordpiece", "byte-level", "unigram"])
def test_as_many_words_begin_as_a_sentence_has(kind: str, tmp_path: Path) -> None:
    tokenizer = vocabulary(kind).tokenizer(resources(tmp_path))
    text = " The red dog walked, then the horses wandered to the streets."
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert begins_word_table(tokenizer)[ids].sum() == len(
        ["The", "red", "dog", "walked", ",", "then", "the", "horses", "wandered", "to", "the", "streets", "."]
    )
