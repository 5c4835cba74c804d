"""Tests of pretraining stages: rows of texts, initial weights, falling losses."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.catalogue import family
from models.layers.block import Block
from models.transformers.bert.config import BertConfig
from models.transformers.bert.model import Bert
from models.transformers.gpt.config import GptConfig
from models.transformers.gpt.model import Gpt
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
from training.texts.pretraining import (
    CausalPretraining,
    MaskedPretraining,
    TaskAdaptivePretraining,
    TextSource,
    initialise_weights,
)

CLS, SEP = 2, 3


def test_masked_texts_fill_rows_with_one_text_after_the_other(tmp_path: Path) -> None:
    stage = MaskedPretraining(**pretraining_settings(masking="static"))
    rows, numbers = stage.items(resources(tmp_path))
    tokenizer = vocabulary().tokenizer(resources(tmp_path))
    whole = [token for text in DOCUMENTS for token in (*tokenizer.encode(text, add_special_tokens=False).ids, SEP)]
    assert rows.flatten().tolist() == whole[: rows.numel()]
    assert len(whole) - rows.numel() < rows.shape[1] == N_TOKENS - 2
    order = torch.randperm(len(rows), generator=seeded())[:9]
    masked_batch, later = (stage.masked_batch((rows[order], numbers[order]), seeded(seed)) for seed in (0, 1))
    restored = torch.where(masked_batch.targets >= 0, masked_batch.targets, masked_batch.texts.token_ids).view(
        9, N_TOKENS
    )
    assert torch.equal(restored[:, 1:-1], rows[order].long())
    assert restored[:, [0, -1]].tolist() == [[CLS, SEP]] * 9
    assert torch.equal(masked_batch.targets, later.targets)  # static: which are masked is the rows' own


def test_the_number_of_steps_is_that_of_the_tokens() -> None:
    stage = CausalPretraining(**pretraining_settings(n_tokens=7 * N_TOKENS * 8 + 100))
    assert stage.total_steps(3) == stage.total_steps(3000) == 7


def test_sources_follow_one_another(tmp_path: Path) -> None:
    sources = (TextSource("one", lambda data: ["the dog"]), TextSource("two", lambda data: ["a cat", "a bird"]))
    found = MaskedPretraining(**pretraining_settings(masking="static", sources=sources)).tokenise_documents(
        resources(tmp_path)
    )
    decode = vocabulary().tokenizer(resources(tmp_path)).decode
    assert [decode(row.tolist()) for row in found] == ["the dog", "a cat", "a bird"]


def deviation(weight: Tensor) -> float:
    assert weight.numel() >= 4000  # so that chance stays below 5%
    return weight.std().item()


def test_initial_weights_keep_the_deviation_of_activations() -> None:
    shape: dict[str, Any] = {"width": 96, "n_layers": 3, "n_heads": 3, "inner_width": 160, "n_positions": 64}
    model = Bert(BertConfig(vocab_size=200, n_token_types=2, **shape, heads=("pooler",)))
    torch.manual_seed(0)
    initialise_weights(model)
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


def test_initial_weights_depend_on_the_seed() -> None:
    one, again = bert(50), bert(50)
    torch.manual_seed(1)
    initialise_weights(again)
    assert not torch.equal(one.embeddings.words.weight, again.embeddings.words.weight)
    for mine, theirs in zip(one.parameters(), bert(50).parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_causal_pretraining_learns(tmp_path: Path) -> None:
    kind = "byte-level with an end"
    stage = CausalPretraining(**pretraining_settings(vocabulary=vocabulary(kind), adamw_lr=1e-2))
    items = stage.items(resources(tmp_path))
    assert items[0].shape[1] == N_TOKENS
    shape: dict[str, Any] = {"n_layers": 2, "n_heads": 2, "width": 24, "inner_width": 32, "n_positions": N_TOKENS}
    model = Gpt(GptConfig(vocab_size=size_of(resources(tmp_path), kind), **shape))
    torch.manual_seed(0)
    initialise_weights(model)
    found = losses(stage, model, items, 30)
    assert mean(found[-3:]) < 0.5 * found[0]


def test_masked_pretraining_learns(tmp_path: Path) -> None:
    stage = MaskedPretraining(**pretraining_settings(masking="dynamic", masked_share=0.3))
    items = stage.items(resources(tmp_path))
    found = losses(stage, bert(size_of(resources(tmp_path)), heads=("masked",)), items, 30)
    assert mean(found[-3:]) < 0.75 * found[0]


def test_every_text_family_can_be_initialised() -> None:
    for name in ("bert", "albert", "roberta", "gpt", "vanilla"):
        spec = family(f"transformers/{name}")
        for config in spec.tiny:
            model = spec.new_model(config)
            for module in model.modules():
                if isinstance(module, nn.Embedding | nn.Linear):
                    nn.init.constant_(module.weight, torch.nan)
            initialise_weights(model)
            assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_task_adaptive_pretraining_learns_and_removes_its_head(tmp_path: Path) -> None:
    stage = TaskAdaptivePretraining(**pretraining_settings(masking="dynamic", masked_share=0.3))
    items = stage.items(resources(tmp_path))
    model = bert(size_of(resources(tmp_path)), heads=("pooler",))
    names = set(model.state_dict())
    found = losses(stage, model, items, 30)
    assert mean(found[-3:]) < 0.75 * found[0]
    assert set(model.state_dict()) == names


def test_new_positions_start_as_copies(tmp_path: Path) -> None:
    model = bert(size_of(resources(tmp_path)), heads=("masked",))
    weight = model.embeddings.positions.weight
    before = weight.detach().clone()
    stage = MaskedPretraining(**pretraining_settings(masking="dynamic", n_learned_positions=4))
    stage.begin(model, stage.items(resources(tmp_path)))
    assert torch.equal(weight[:4], before[:4])
    assert torch.equal(weight[4:10], before[[1, 2, 3, 1, 2, 3]])
    assert torch.equal(weight[N_TOKENS - 1], before[(N_TOKENS - 2) % 3 + 1])
