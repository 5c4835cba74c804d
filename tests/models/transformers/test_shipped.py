"""Every checkpoint of texts in the repository is read by `transformers` too, with the same outputs."""

import warnings
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import transformers
from torch import Tensor

from models.checkpoint import find_checkpoints, load_model, read_checkpoint
from models.checkpoint.hugging_face import PublishedCheckpoint
from models.text.attention_patterns import AcrossTexts, WithinTexts
from models.text.ragged_batch import RaggedBatch
from models.text.text_encoder import TextEncoder
from models.text.text_model import TextModel
from models.transformers.gpt.model import Gpt
from models.transformers.vanilla.model import VanillaTransformer
from tests.models.transformers.reference import assert_close

ROOT = Path(__file__).parents[3] / "weights"
FOLDERS = [folder for folder in find_checkpoints(ROOT) if read_checkpoint(folder).modality == "text"]
TEXTS = ("A man is riding a bike in the snow.", "naïve café, 1984!", "the quick brown fox", "x")


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def checkpoint(request: pytest.FixtureRequest) -> PublishedCheckpoint:
    return cast("PublishedCheckpoint", read_checkpoint(request.param))


def reference(checkpoint: PublishedCheckpoint) -> Any:
    (architecture,) = checkpoint.values["architectures"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = getattr(transformers, architecture).from_pretrained(
            checkpoint.folder, dtype=torch.float32, output_loading_info=True
        )
    model, info = model
    missing = {"model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight"}
    assert not info["missing_keys"] - missing - {"pooler.dense.weight", "pooler.dense.bias"}
    assert not info["unexpected_keys"]
    return model.eval()


def test_its_tokenizer_cuts_as_ours_does(checkpoint: PublishedCheckpoint) -> None:
    theirs = transformers.AutoTokenizer.from_pretrained(checkpoint.folder)
    for text in TEXTS:
        assert theirs(text)["input_ids"] == checkpoint.codec.encode(text).ids.tolist()


def test_its_logits_are_ours(checkpoint: PublishedCheckpoint) -> None:
    model, theirs = cast("TextModel", load_model(checkpoint)), reference(checkpoint)
    for text in TEXTS:
        tokens = checkpoint.codec.encode(text)
        batch = RaggedBatch.of_texts([tokens])
        given = {"input_ids": torch.from_numpy(tokens.ids)[None]}
        with torch.inference_mode():
            if isinstance(model, VanillaTransformer):
                start = torch.full((1, 1), model.config.start_id)
                target = torch.cat([start, given["input_ids"][:, :-1]], 1)
                expected = theirs(**given, decoder_input_ids=target).logits
                assert_close(translated(model, batch, target[0]), expected[0])
            elif isinstance(model, Gpt):
                hidden = model.hidden(batch, WithinTexts(batch.segments, causal=True))
                assert_close(model.logits(hidden), theirs(**given).logits[0])
            else:
                compare(cast("TextEncoder", model), batch, theirs(**given))


def compare(model: TextEncoder, batch: RaggedBatch, theirs: Any) -> None:
    hidden = model.hidden(batch, WithinTexts(batch.segments))
    heads: dict[str, Any] = {
        "prediction_logits": lambda: model.masked_logits(hidden)[None],
        "seq_relationship_logits": lambda: model.pair_logits(batch, hidden),
        "sop_logits": lambda: model.pair_logits(batch, hidden),
        "last_hidden_state": lambda: hidden[None],
        "start_logits": lambda: cast("Any", model.span_head)(hidden)[None, :, 0],
        "end_logits": lambda: cast("Any", model.span_head)(hidden)[None, :, 1],
    }
    shown = {name: value for name, value in theirs.items() if isinstance(value, Tensor) and name != "pooler_output"}
    assert shown
    for name, value in shown.items():
        mine = logits(model, batch, hidden) if name == "logits" else heads[name]()
        assert_close(mine, value)


def logits(model: TextEncoder, batch: RaggedBatch, hidden: Tensor) -> Tensor:
    """Return the output of the only head of a model that names it `logits`."""
    if model.sequence_head is not None:
        return cast("Tensor", model.sequence_head(model.pooler_output(batch, hidden)))
    if model.token_head is not None:
        return cast("Tensor", model.token_head(hidden)[None])
    return model.masked_logits(hidden)[None]


def translated(model: VanillaTransformer, source: RaggedBatch, target: Tensor) -> Tensor:
    memory = model.hidden(source, WithinTexts(source.segments))
    row = RaggedBatch.of_rows(target[None])
    across = AcrossTexts(row.segments, source.segments, model.keys_values(memory))
    return model.logits(
        model.decoder(row.token_ids, row.segments.positions, WithinTexts(row.segments, causal=True), across)
    )
