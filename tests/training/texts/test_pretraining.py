"""What models are pretrained on: pairs and where they are cut, first weights, losses that fall."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from models.catalogue import family
from models.layers.transformer import Block
from models.transformers.albert.objective import loss as albert_loss
from models.transformers.bert.config import BertConfig
from models.transformers.bert.model import Bert
from models.transformers.bert.objective import loss as bert_loss
from models.transformers.gpt.config import GptConfig
from models.transformers.gpt.model import Gpt
from tests.training.texts.tiny import DOCUMENTS, N_TOKENS, SOURCES, bert, losses, mean, shelf, size_of, vocabulary
from training.texts.pretraining import Continuations, MaskedPairs, MaskedTexts, Source, first_weights

N = N_TOKENS - 3
MARGIN = N // 4
CLS, SEP, MASK, N_SPECIAL = 2, 3, 4, 5
PLAIN = 20
"""From here on, the tests' tokens: none of them is a full stop."""


def settings(**changes: Any) -> dict[str, Any]:
    common = {"vocabulary": vocabulary(), "sources": SOURCES, "n_tokens": 1000, "length": N_TOKENS, "batch_size": 8}
    return common | changes


def pairing(folder: Path, *, ordered: bool) -> tuple[MaskedPairs, Tensor]:
    """The stage and its rows."""
    stage = MaskedPairs(**settings(masking="dynamic", loss_of=bert_loss, ordered=ordered))
    rows, numbers = stage.items(shelf(folder))
    assert numbers.tolist() == list(range(len(rows)))
    return stage, rows


def seeded(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def distinct(n: int = 8) -> Tensor:
    """Rows without a full stop, every token of which is another."""
    return torch.arange(PLAIN, PLAIN + n * N, dtype=torch.int32).view(n, N)


def parts(pairs: Tensor, types: Tensor, lengths: Tensor) -> list[tuple[list[int], list[int]]]:
    """Of each row, both texts; everything around them is checked."""
    assert pairs.shape == types.shape == (len(pairs), N_TOKENS)
    found: list[tuple[list[int], list[int]]] = []
    for all_of_row, its_types, length in zip(pairs.tolist(), types.tolist(), lengths.tolist(), strict=True):
        row, filling = all_of_row[:length], all_of_row[length:]
        gap = row.index(SEP)
        assert set(filling) <= {-1}
        assert (row[0], row[-1], row.count(CLS), row.count(SEP)) == (CLS, SEP, 1, 2)
        assert its_types == [0] * (gap + 1) + [1] * (length - gap - 1) + [0] * len(filling)
        found.append((row[1:gap], row[gap + 1 : -1]))
    return found


def stop_of(folder: Path) -> int:
    stop = vocabulary().tokenizer(shelf(folder)).token_to_id(".")
    assert stop is not None
    return stop


def test_neighbours_are_the_row_itself_cut_in_two(tmp_path: Path) -> None:
    stage, rows = pairing(tmp_path, ordered=False)
    for given in (rows, distinct()):
        for seed in range(5):
            cut = parts(*stage.pairs(given, torch.zeros(len(given), dtype=torch.int64), seeded(seed)))
            assert [first + second for first, second in cut] == given.tolist()


def test_where_order_is_asked_for_all_parts_are_whole_sentences(tmp_path: Path) -> None:
    stage, rows = pairing(tmp_path, ordered=True)
    stop = stop_of(tmp_path)
    n_cut = 0
    for seed in range(10):
        labels = torch.randint(2, (len(rows),), generator=seeded(seed))
        cut = parts(*stage.pairs(rows, labels, seeded(seed)))
        for row, label, (first, second) in zip(rows.tolist(), labels.tolist(), cut, strict=True):
            if row.count(stop) < 3:
                continue
            n_cut += 1
            begin, end = row.index(stop) + 1, len(row) - row[::-1].index(stop)
            assert first[-1] == second[-1] == stop
            assert (second + first if label else first + second) == row[begin:end]
    assert n_cut > 50


def test_a_row_without_two_whole_sentences_is_cut_anywhere(tmp_path: Path) -> None:
    stage, _ = pairing(tmp_path, ordered=True)
    rows = distinct(300)
    rows[:100, 5] = stop_of(tmp_path)
    rows[100:200, [5, 20]] = stop_of(tmp_path)
    cut = parts(*stage.pairs(rows, torch.zeros(300, dtype=torch.int64), seeded()))
    assert [first + second for first, second in cut] == rows.tolist()
    for some in (cut[:100], cut[100:200], cut[200:]):
        assert len({len(first) for first, _ in some}) > 20


def test_where_order_is_asked_for_the_others_are_swapped(tmp_path: Path) -> None:
    stage, _ = pairing(tmp_path, ordered=True)
    rows = distinct()
    labels = torch.tensor([1, 0] * 4)
    apart = stage.pairs(rows, labels, seeded())
    together = stage.pairs(rows, torch.zeros_like(labels), seeded())
    cut = zip(parts(*apart), parts(*together), labels.tolist(), strict=True)
    for (first, second), (own_first, own_second), label in cut:
        assert (first, second) == ((own_second, own_first) if label else (own_first, own_second))


def test_where_order_is_not_asked_for_the_others_go_on_with_another_row(tmp_path: Path) -> None:
    stage, _ = pairing(tmp_path, ordered=False)
    rows = distinct()
    for seed in range(5):
        apart = parts(*stage.pairs(rows, torch.tensor([1] * 7 + [0]), seeded(seed)))
        for number, (first, second) in enumerate(apart):
            owners = {(token - PLAIN) // N for token in second}
            assert first == rows[number, : len(first)].tolist()
            assert len(owners) == 1
            assert (owners == {number}) == (number == 7)
            start = len(first) if number == 7 else 0  # no sentence begins within the others
            assert second == rows[owners.pop(), start : start + len(second)].tolist()


def test_the_second_part_of_another_row_begins_where_a_sentence_does(tmp_path: Path) -> None:
    stage, rows = pairing(tmp_path, ordered=False)
    stop = vocabulary().tokenizer(shelf(tmp_path)).token_to_id(".")
    n_behind_a_stop = 0
    for seed in range(5):
        for _, second in parts(*stage.pairs(rows, torch.ones(len(rows), dtype=torch.int64), seeded(seed))):
            n = len(second)
            begins = [row[:n] == second or [stop, *second] in windows(row, n + 1) for row in rows.tolist()]
            assert any(begins)
            n_behind_a_stop += any([stop, *second] in windows(row, n + 1) for row in rows.tolist())
    assert n_behind_a_stop > 0


def windows(row: list[int], n: int) -> list[list[int]]:
    return [row[start : start + n] for start in range(len(row) - n + 1)]


def test_a_row_is_cut_behind_a_full_stop(tmp_path: Path) -> None:
    stage, rows = pairing(tmp_path, ordered=False)
    stop = vocabulary().tokenizer(shelf(tmp_path)).token_to_id(".")
    assert all(stop in row[MARGIN - 1 : N - MARGIN - 1] for row in rows)
    lengths: dict[int, set[int]] = {number: set() for number in range(len(rows))}
    for seed in range(40):
        cut = parts(*stage.pairs(rows, torch.zeros(len(rows), dtype=torch.int64), seeded(seed)))
        for number, (first, _) in enumerate(cut):
            assert first[-1] == stop
            lengths[number].add(len(first))
    for number, row in enumerate(rows.tolist()):  # behind each of them, sooner or later
        behind = {place + 1 for place, token in enumerate(row) if token == stop}
        assert lengths[number] == {cut for cut in behind if MARGIN <= cut < N - MARGIN}


def test_without_a_full_stop_it_is_cut_anywhere_between_the_margins(tmp_path: Path) -> None:
    stage, _ = pairing(tmp_path, ordered=False)
    rows = distinct(200)
    cut = parts(*stage.pairs(rows, torch.zeros(200, dtype=torch.int64), seeded()))
    assert {len(first) for first, _ in cut} == set(range(MARGIN, N - MARGIN))


def test_a_full_stop_in_the_margin_is_not_looked_at(tmp_path: Path) -> None:
    stage, _ = pairing(tmp_path, ordered=False)
    rows = distinct(50)
    stop = vocabulary().tokenizer(shelf(tmp_path)).token_to_id(".")
    assert stop is not None
    rows[:, [0, MARGIN - 2, N - MARGIN - 1, N - 1]] = stop
    cut = parts(*stage.pairs(rows, torch.zeros(50, dtype=torch.int64), seeded()))
    assert min(len(first) for first, _ in cut) >= MARGIN
    assert max(len(first) for first, _ in cut) < N - MARGIN
    assert len({len(first) for first, _ in cut}) > 5


@pytest.mark.parametrize("ordered", [False, True])
def test_a_riddle_is_pairs_behind_masks(ordered: bool, tmp_path: Path) -> None:
    stage, rows = pairing(tmp_path, ordered=ordered)
    riddle = stage.riddle((rows, torch.arange(len(rows))), seeded(3))
    draw = seeded(3)
    labels = torch.randint(2, (len(rows),), generator=draw)
    pairs, types, lengths = stage.pairs(rows, labels, draw)
    ids, targets = riddle.packed.token_ids, riddle.targets
    is_token = torch.arange(N_TOKENS) < lengths[:, None]
    assert torch.equal(riddle.labels, labels)
    assert set(labels.tolist()) == {0, 1}
    assert torch.equal(riddle.packed.type_ids, types[is_token].long())
    assert torch.equal(torch.where(targets >= 0, targets, ids), pairs[is_token].long())
    assert 0 < ((ids == MASK) & (targets >= 0)).sum() < (targets >= 0).sum()
    assert riddle.packed.segments.lengths == tuple(lengths.tolist())


def test_masked_texts_fill_rows_with_one_text_after_the_other(tmp_path: Path) -> None:
    stage = MaskedTexts(**settings(masking="static"))
    rows, numbers = stage.items(shelf(tmp_path))
    tokenizer = vocabulary().tokenizer(shelf(tmp_path))
    whole = [token for text in DOCUMENTS for token in (*tokenizer.encode(text, add_special_tokens=False).ids, SEP)]
    assert rows.flatten().tolist() == whole[: rows.numel()]
    assert len(whole) - rows.numel() < rows.shape[1] == N_TOKENS - 2
    order = torch.randperm(len(rows), generator=seeded())[:9]
    riddle, later = (stage.riddle((rows[order], numbers[order]), seeded(seed)) for seed in (0, 1))
    restored = torch.where(riddle.targets >= 0, riddle.targets, riddle.packed.token_ids).view(9, N_TOKENS)
    assert torch.equal(restored[:, 1:-1], rows[order].long())
    assert restored[:, [0, -1]].tolist() == [[CLS, SEP]] * 9
    assert torch.equal(riddle.targets, later.targets)  # static: which are masked is the rows' own


def test_the_number_of_steps_is_that_of_the_tokens() -> None:
    stage = Continuations(**settings(n_tokens=7 * N_TOKENS * 8 + 100))
    assert stage.total_steps(3) == stage.total_steps(3000) == 7


def test_sources_follow_one_another(tmp_path: Path) -> None:
    sources = (Source("one", lambda data: ["the dog"]), Source("two", lambda data: ["a cat", "a bird"]))
    found = MaskedTexts(**settings(masking="static", sources=sources)).documents(shelf(tmp_path))
    decode = vocabulary().tokenizer(shelf(tmp_path)).decode
    assert [decode(row.tolist()) for row in found] == ["the dog", "a cat", "a bird"]


def deviation(weight: Tensor) -> float:
    assert weight.numel() >= 4000  # so that chance stays below 5%
    return weight.std().item()


def test_first_weights_keep_the_deviation_of_what_goes_through() -> None:
    shape: dict[str, Any] = {"width": 96, "n_layers": 3, "n_heads": 3, "inner_width": 160, "n_positions": 64}
    model = Bert(BertConfig(vocab_size=200, n_token_types=2, **shape, heads=("pooler",)))
    torch.manual_seed(0)
    first_weights(model)
    assert deviation(model.embeddings.words.weight) == pytest.approx(0.02, rel=0.05)
    assert deviation(model.embeddings.positions.weight) == pytest.approx(0.02, rel=0.05)
    lasts = 0
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            is_last = name.endswith((".attention.out", ".feedforward.2"))
            lasts += is_last
            expected = module.in_features**-0.5 * (6**-0.5 if is_last else 1)
            assert deviation(module.weight) == pytest.approx(expected, rel=0.05), name
            assert not module.bias.any()
    assert lasts == 2 * sum(isinstance(module, Block) for module in model.modules()) == 6


def test_first_weights_are_the_seeds() -> None:
    one, again = bert(50), bert(50)
    torch.manual_seed(1)
    first_weights(again)
    assert not torch.equal(one.word_matrix(), again.word_matrix())
    for mine, theirs in zip(one.parameters(), bert(50).parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_continuations_are_learned(tmp_path: Path) -> None:
    kind = "byte-level with an end"
    stage = Continuations(**settings(vocabulary=vocabulary(kind), adamw_lr=1e-2))
    items = stage.items(shelf(tmp_path))
    assert items[0].shape[1] == N_TOKENS
    shape: dict[str, Any] = {"n_layers": 2, "n_heads": 2, "width": 24, "inner_width": 32, "n_positions": N_TOKENS}
    model = Gpt(GptConfig(vocab_size=size_of(shelf(tmp_path), kind), **shape))
    torch.manual_seed(0)
    first_weights(model)
    found = losses(stage, model, items, 30)
    assert mean(found[-3:]) < 0.5 * found[0]


@pytest.mark.parametrize("loss_of", [bert_loss, albert_loss])
def test_masked_pairs_are_learned(loss_of: Any, tmp_path: Path) -> None:
    stage = MaskedPairs(**settings(masking="whole-word", loss_of=loss_of, ordered=loss_of is albert_loss))
    items = stage.items(shelf(tmp_path))
    found = losses(stage, bert(size_of(shelf(tmp_path)), heads=("pooler", "pair", "masked")), items, 30)
    assert mean(found[-3:]) < 0.75 * found[0]


def test_masked_texts_are_learned(tmp_path: Path) -> None:
    stage = MaskedTexts(**settings(masking="dynamic", share=0.3))
    items = stage.items(shelf(tmp_path))
    found = losses(stage, bert(size_of(shelf(tmp_path)), heads=("masked",)), items, 30)
    assert mean(found[-3:]) < 0.75 * found[0]


def test_every_family_of_texts_takes_first_weights() -> None:
    for name in ("bert", "albert", "roberta", "gpt", "vanilla"):
        spec = family(f"transformers/{name}")
        for config in spec.tiny:
            model = spec.build(config)
            for module in model.modules():
                if isinstance(module, nn.Embedding | nn.Linear):
                    nn.init.constant_(module.weight, torch.nan)
            first_weights(model)
            assert all(parameter.isfinite().all() for parameter in model.parameters())
