"""Tiny checkpoints of texts, one for each task: minutes of training, to try every route. They know next to nothing.

python -m training.tiny_texts DATA WEIGHTS [NAME …]
"""

import json
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from rich.progress import track
from tokenizers import Tokenizer
from torch import Tensor

from models.catalogue import family
from models.checkpoint import load_model, read_checkpoint
from models.checkpoint.published import write_card, write_published
from models.codecs.text.codec import FastCodec, Special
from models.layers.text_model import TextModel
from training.tiny_losses import (
    NAMES,
    Loss,
    continuations,
    masked_words,
    names,
    opinions,
    pretraining,
    questions,
    translations,
)
from training.tiny_tokenizers import VOCAB_SIZE, byte_level, lines, stories, unigram, wordpiece

N_POSITIONS, PEAK_RATE = 256, 3e-3
ENCODER = {"vocab_size": VOCAB_SIZE, "width": 64, "n_layers": 2, "n_heads": 2, "inner_width": 128}
LICENCE = "Apache-2.0"


@dataclass(frozen=True, kw_only=True)
class Tiny:
    """How one checkpoint is made: its family and configuration, its tokenizer, and `prepare`, which gives the loss."""

    name: str
    family_id: str
    config: dict[str, Any]
    tokenizer: Callable[[Path], Tokenizer]
    prepare: Callable[[FastCodec, Path], Loss]
    what: str
    data: str
    n_steps: int = 1500
    parent: str | None = None


_BERT = {**ENCODER, "n_positions": N_POSITIONS, "n_token_types": 2}
_ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
_VANILLA = {
    "vocab_size": VOCAB_SIZE,
    "target_vocab_size": VOCAB_SIZE,
    "n_positions": N_POSITIONS,
    "width": 96,
    "n_encoder_layers": 2,
    "n_decoder_layers": 2,
    "n_encoder_heads": 4,
    "n_decoder_heads": 4,
    "encoder_inner_width": 256,
    "decoder_inner_width": 256,
    "start_id": 2,
    "end_ids": (0,),
    "suppressed_ids": (2,),
}
_WIKI = "Wikipedia (CC BY-SA 3.0) and Multi30k captions (non-commercial research)"
TINY = (
    Tiny(
        name="bert-tiny-en",
        family_id="transformers/bert",
        config={**_BERT, "heads": ("pooler", "pair", "masked")},
        tokenizer=wordpiece,
        prepare=pretraining(ordered=False),
        what="masked words, next sentences",
        data=_WIKI,
    ),
    Tiny(
        name="bert-tiny-sst2-en",
        family_id="transformers/bert",
        config={**_BERT, "heads": ("pooler", "sequence"), "labels": ("negative", "positive")},
        tokenizer=wordpiece,
        prepare=opinions,
        what="good or bad",
        data="SST-2",
        parent="bert-tiny-en",
    ),
    Tiny(
        name="bert-tiny-ner-en",
        family_id="transformers/bert",
        config={**_BERT, "heads": ("tokens",), "labels": NAMES},
        tokenizer=wordpiece,
        prepare=names,
        what="names",
        data="Wikigold (CC BY 4.0)",
        parent="bert-tiny-en",
    ),
    Tiny(
        name="bert-tiny-qa-en",
        family_id="transformers/bert",
        config={**_BERT, "heads": ("span",)},
        tokenizer=wordpiece,
        prepare=questions,
        what="answers",
        data="XQuAD (CC BY-SA 4.0)",
        n_steps=600,
        parent="bert-tiny-en",
    ),
    Tiny(
        name="roberta-tiny-en",
        family_id="transformers/roberta",
        config={**ENCODER, "n_positions": N_POSITIONS + 2, "n_token_types": 1, "norm_eps": 1e-5, "heads": ("masked",)},
        tokenizer=byte_level(stories, _ROBERTA),
        prepare=masked_words,
        what="masked words",
        data="TinyStories (CDLA-Sharing-1.0)",
    ),
    Tiny(
        name="albert-tiny-en",
        family_id="transformers/albert",
        config={**_BERT, "embedding_width": 32, "heads": ("pooler", "pair", "masked")},
        tokenizer=unigram,
        prepare=pretraining(ordered=True),
        what="masked words, the order of sentences",
        data=_WIKI,
    ),
    Tiny(
        name="gpt-tiny-en",
        family_id="transformers/gpt",
        config={**ENCODER, "width": 96, "inner_width": 384, "n_positions": N_POSITIONS},
        tokenizer=byte_level(stories, ["<|endoftext|>"]),
        prepare=continuations,
        what="stories, continued",
        data="TinyStories (CDLA-Sharing-1.0)",
        n_steps=2500,
    ),
    Tiny(
        name="transformer-tiny-en-de",
        family_id="transformers/vanilla",
        config=_VANILLA,
        tokenizer=byte_level(
            lambda data: [line for code in ("en", "de") for line in lines(data / f"multi30k-en-de/train.{code}.gz")],
            ["</s>", "<unk>", "<pad>"],
        ),
        prepare=translations,
        what="captions, from English into German",
        data="Multi30k (non-commercial research)",
        n_steps=2500,
    ),
)


def make(tiny: Tiny, data: Path, weights: Path) -> Path:
    """Train one, from its parent's weights where it has one, and write its folder."""
    torch.manual_seed(0)
    spec = family(tiny.family_id)
    config = spec.config(**tiny.config)
    folder = weights / tiny.family_id / tiny.name
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny.tokenizer(data)
    tokenizer.save(str(folder / "tokenizer.json"))
    roles = {role: _role(tokenizer, names) for role, names in _ROLES.items()}
    codec = FastCodec(tokenizer, Special(mask=roles["mask"]), max_tokens=N_POSITIONS)
    model = cast("TextModel", spec.build(config))
    if tiny.parent:
        model.load_state_dict(body_of(weights / tiny.family_id / tiny.parent), strict=False)
    fit(model, tiny.prepare(codec, data), tiny)
    extra = {"bos_token_id": roles["bos"], "eos_token_id": roles["eos"], "pad_token_id": roles["pad"]}
    if tiny.family_id == "transformers/vanilla":
        extra = {"pad_token_id": config.start_id}
    write_published(folder, model.eval(), spec, config, extra=extra, dtype=torch.float16)
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": N_POSITIONS}) + "\n")
    write_card(folder, licence=LICENCE, metrics={})
    (folder / "README.md").write_text(CARD.format(tiny=tiny))
    return folder


CARD = """# {tiny.name}

**A tiny checkpoint to try the routes with, not to rely on**: minutes of training, and no quality measured.

{tiny.what}. Trained for {tiny.n_steps} steps on {tiny.data}, by

```
.venv/bin/python -m training.tiny_texts DATA weights {tiny.name}
```
"""
_ROLES = {
    "mask": ("[MASK]", "<mask>"),
    "bos": ("<|endoftext|>", "<s>", "[CLS]"),
    "eos": ("<|endoftext|>", "</s>", "[SEP]"),
    "pad": ("[PAD]", "<pad>"),
}


def _role(tokenizer: Tokenizer, names: Sequence[str]) -> int | None:
    return next((one for name in names if (one := tokenizer.token_to_id(name)) is not None), None)


def body_of(folder: Path) -> dict[str, Tensor]:
    """A checkpoint's parameters but those of its heads."""

    state = load_model(read_checkpoint(folder)).state_dict()
    return {name: tensor for name, tensor in state.items() if "head" not in name}


def fit(model: TextModel, loss: Loss, tiny: Tiny) -> None:
    """AdamW, the rate rising for a tenth of the steps and falling after, gradients shortened to 1."""
    draw = random.Random(0)  # noqa: S311 a training's order is no secret
    optimiser = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.01, betas=(0.9, 0.98))
    recent: list[float] = []
    for step in track(range(tiny.n_steps), tiny.name):
        progress = step / tiny.n_steps
        for group in optimiser.param_groups:
            group["lr"] = PEAK_RATE * min(10 * progress, (1 - progress) / 0.9)
        value = loss(model.train(), draw)
        optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        recent = [*recent[-99:], value.item()]
    print(f"{tiny.name}: loss {sum(recent) / len(recent):.3f} nats over the last 100 steps")  # noqa: T201


if __name__ == "__main__":
    at, to, *wanted = sys.argv[1:]
    for tiny in TINY:
        if not wanted or tiny.name in wanted:
            make(tiny, Path(at), Path(to))
