"""Folders of sentence encoders with random weights, their vectors as we compute them, and as the library does."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from torch import Tensor, nn

from models.checkpoint import load_model, read_checkpoint
from models.checkpoint.hugging_face import PublishedCheckpoint
from models.codecs.text import TextItem
from models.tasks.text import EncodeTextRequest, EncodeTextResult, SimilarityRequest
from models.text.embedding import encode, similarity
from models.text.text_model import TextModel
from tests.models.transformers.reference import publish

WIDTH = 12
SIZE: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 24,
}
TEXTS = ["the dog sees a cat", "a man", "the red house of the man and the dog in the red house", ""]
PROMPTS = {"query": "the red ", "document": "", "of": "dog: "}


def write_bases(root: Path) -> None:
    """Write plain folders of transformers, by architecture."""
    roberta = transformers.RobertaConfig(**SIZE, type_vocab_size=1, pad_token_id=1)
    albert = transformers.AlbertConfig(**SIZE, embedding_size=8)
    for architecture in ("BertModel", "BertForMaskedLM", "BertForSequenceClassification"):
        publish(root / architecture, architecture, transformers.BertConfig(**{**SIZE, "num_labels": 1}))
    publish(root / "RobertaModel", "RobertaModel", roberta)
    publish(root / "AlbertForMaskedLM", "AlbertForMaskedLM", albert)
    mpnet = transformers.MPNetConfig(**{**SIZE, "max_position_embeddings": 26})
    distilbert = transformers.DistilBertConfig(
        vocab_size=60, dim=WIDTH, n_layers=2, n_heads=3, hidden_dim=20, max_position_embeddings=24
    )
    electra = transformers.ElectraConfig(**SIZE, embedding_size=8)
    for family, config in {"MPNet": mpnet, "DistilBert": distilbert, "Electra": electra}.items():
        for head in ("Model", "ForMaskedLM"):
            publish(root / f"{family}{head}", f"{family}{head}", config)
    special = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "[UNK]", **special}
    (root / "AlbertForMaskedLM/tokenizer_config.json").write_text(json.dumps(settings))


def save(bases: Path, folder: Path, *modules: nn.Module, base: str = "BertModel", **settings: Any) -> Path:
    """Save a sentence encoder of these modules after the Transformer."""
    torch.manual_seed(1)
    encoder = SentenceTransformer(modules=[Transformer(str(bases / base)), *modules], device="cpu", **settings)
    for module in modules:
        for parameter in module.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    encoder.save_pretrained(str(folder), create_model_card=False)
    return folder


def edit(folder: Path, file: str, **values: Any) -> None:
    content = json.loads((folder / file).read_text())
    content |= values
    (folder / file).write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))


def checkpoint_of(folder: Path) -> PublishedCheckpoint:
    return cast("PublishedCheckpoint", read_checkpoint(folder))


def ours(
    folder: Path, texts: Sequence[str] = TEXTS, prompt_name: str | None = None, **parameters: Any
) -> list[EncodeTextResult]:
    checkpoint = checkpoint_of(folder)
    model, codec = cast("TextModel", load_model(checkpoint)), checkpoint.codec
    prompt = codec.prompts.choose(prompt_name)
    tokens = codec.tokenize([TextItem(text) for text in texts], truncate=True, prompt=prompt)
    with torch.inference_mode():
        return list(encode(model, [EncodeTextRequest(tokens=each, **parameters) for each in tokens]))


def vectors(folder: Path, texts: Sequence[str] = TEXTS, prompt_name: str | None = None, **parameters: Any) -> Tensor:
    return torch.stack([result.embedding for result in ours(folder, texts, prompt_name, **parameters)])


def library(folder: Path) -> SentenceTransformer:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SentenceTransformer(str(folder), device="cpu")


def theirs(folder: Path | SentenceTransformer, texts: Sequence[str] = TEXTS, **parameters: Any) -> Tensor:
    encoder = library(folder) if isinstance(folder, Path) else folder
    return torch.from_numpy(np.asarray(encoder.encode(list(texts), **parameters)))


def similarities(folder: Path) -> Tensor:
    checkpoint = checkpoint_of(folder)
    tokens = checkpoint.codec.tokenize([TextItem(text) for text in TEXTS])
    with torch.inference_mode():
        model = cast("TextModel", load_model(checkpoint))
        return similarity(model, [SimilarityRequest(texts=tuple(tokens))])[0].scores
