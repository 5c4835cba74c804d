"""Tiny checkpoints of autoencoders of sentences, with random weights and a real tokenizer."""

import hashlib
from pathlib import Path
from typing import Any

import torch

from models.autoencoders.recurrent_text import FAMILY
from models.autoencoders.recurrent_text.config import RecurrentTextConfig
from models.checkpoint import Checkpoint, write_checkpoint
from models.codecs.sentence import TOKENIZER_FILE
from training.calibrate import calibrate
from training.data.files import DataFolder
from training.texts.vocabulary import SENTENCE_ROLES, byte_level

SENTENCES = [
    f"A {who} in a {colour} coat is {doing} in the {place}."
    for who in ("man", "woman", "small dog")
    for colour in ("red", "blue")
    for doing in ("running", "sitting")
    for place in ("park", "street")
]
NAME = "tiny-sentences"
MAX_TOKENS, VOCAB_SIZE = 24, 300


def write_sentences(root: Path, name: str = NAME) -> Checkpoint:
    """Write a checkpoint below the root of weights."""
    torch.manual_seed(0)
    folder = root / FAMILY.id / name
    folder.mkdir(parents=True)
    tokenizer = byte_level(lambda data: SENTENCES, VOCAB_SIZE, SENTENCE_ROLES, prefix_space=True)(
        DataFolder(root, download=False)
    )
    tokenizer.save(str(folder / TOKENIZER_FILE))
    config = RecurrentTextConfig(
        vocab_size=VOCAB_SIZE,
        max_tokens=MAX_TOKENS,
        embedding_width=8,
        encoder_width=6,
        decoder_width=10,
        memory_width=4,
        latent_width=5,
        n_waves=4,
    )
    model: Any = FAMILY.new_model(config)
    model.begins_word.copy_(
        torch.tensor([str(tokenizer.id_to_token(number)).startswith("Ġ") for number in range(VOCAB_SIZE)])
    )
    model.eval().requires_grad_(False)
    items = [torch.tensor(tokenizer.encode(text, add_special_tokens=False).ids) for text in SENTENCES]
    return write_checkpoint(
        folder,
        model,
        calibrate(model, items, [(model, items)], percentile=90.0, n_components=2),
        family_id=FAMILY.id,
        config=config,
        codec={
            "modality": "sentence",
            "shape": [MAX_TOKENS],
            "mask_token": SENTENCE_ROLES["mask_token"],
            "tokenizer_sha256": hashlib.sha256((folder / TOKENIZER_FILE).read_bytes()).hexdigest(),
        },
        licence="Apache-2.0",
        dtype=torch.float32,
    )
