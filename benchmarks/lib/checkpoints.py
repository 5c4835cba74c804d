"""Checkpoints of well-known shapes with random weights, in the format of Hugging Face.

Speed does not depend on the values of the weights. Each word of the vocabulary is a token, so that texts have exactly
the lengths that a benchmark asks for.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel

from benchmarks.lib.texts import VOCAB_SIZE
from models.catalogue import family
from models.checkpoint.hugging_face import write_published
from models.family import FamilyConfig
from models.transformers.bert.config import BertConfig
from models.transformers.gpt.config import GptConfig

BERT: dict[str, Any] = {"vocab_size": VOCAB_SIZE, "n_positions": 512, "n_token_types": 2, "heads": ("pooler",)}
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ROLES = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL_TOKENS, strict=True))
END_TOKEN = "<|endoftext|>"  # noqa: S105 not a password


@dataclass(frozen=True)
class Shape:
    """A family and its hyperparameters."""

    family: str
    config: FamilyConfig


SHAPES = {
    "minilm": Shape("transformers/bert", BertConfig(**BERT, width=384, n_layers=6, n_heads=12, inner_width=1536)),
    "bert-base": Shape("transformers/bert", BertConfig(**BERT, width=768, n_layers=12, n_heads=12, inner_width=3072)),
    "gpt2": Shape(
        "transformers/gpt",
        GptConfig(vocab_size=50257, n_positions=1024, width=768, n_layers=12, n_heads=12, inner_width=3072),
    ),
}


def write_checkpoint(name: str, folder: Path) -> Path:
    """Write the checkpoint of a shape to a folder, which is returned.

    An encoder is a sentence encoder with mean pooling.
    """
    shape = SHAPES[name]
    torch.manual_seed(0)
    model = family(shape.family).new_model(shape.config)
    is_encoder = isinstance(shape.config, BertConfig)
    ids = {} if is_encoder else {"bos_token_id": 0, "eos_token_id": 0}
    write_published(folder, model, family(shape.family), shape.config, extra=ids, dtype=torch.float32)
    roles = ROLES if is_encoder else {"bos_token": END_TOKEN, "eos_token": END_TOKEN, "unk_token": END_TOKEN}
    tokenizer = _tokenizer(SPECIAL_TOKENS if is_encoder else (END_TOKEN,), shape.config.to_dict()["vocab_size"])
    if is_encoder:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        _write_sentence_transformers_files(folder, shape.config.to_dict()["width"])
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **roles})
    return folder


def _tokenizer(special_tokens: tuple[str, ...], vocab_size: int) -> Tokenizer:
    vocabulary = {token: number for number, token in enumerate(special_tokens)}
    vocabulary |= {f"w{number}": number for number in range(len(special_tokens), vocab_size)}
    unknown = END_TOKEN if special_tokens == (END_TOKEN,) else ROLES["unk_token"]
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token=unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(list(special_tokens))
    return tokenizer


def _write_sentence_transformers_files(folder: Path, width: int) -> None:
    kinds = {"": "Transformer", "1_Pooling": "Pooling"}
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(kinds.items())
    ]
    _write_json(folder / "modules.json", modules)
    _write_json(folder / "sentence_bert_config.json", {"max_seq_length": 512, "do_lower_case": False})
    (folder / "1_Pooling").mkdir(exist_ok=True)
    _write_json(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": width, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False},
    )


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
