"""What the tiny checkpoints are trained to do. Each function reads its data, and gives the loss of a batch of it."""

import csv
import gzip
import itertools
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from models.codecs.text.codec import FastCodec
from models.layers.attention import WithinTexts
from models.layers.encoder import TextEncoder
from models.layers.text_model import plain_tokens
from models.tasks.text import Tokens
from models.transformers.albert.objective import loss as albert_loss
from models.transformers.bert.objective import loss as bert_loss
from models.transformers.gpt.model import Gpt
from models.transformers.gpt.objective import loss as gpt_loss
from models.transformers.roberta.objective import loss as roberta_loss
from models.transformers.vanilla.model import VanillaTransformer
from models.transformers.vanilla.objective import loss as vanilla_loss
from training.tiny_tokenizers import VOCAB_SIZE, lines, sentences, stories

BATCH_SIZE = 32
MASKED_SHARE = 0.15

Loss = Callable[[Any, random.Random], Tensor]


def masked(tokens: Tokens, codec: FastCodec, draw: random.Random) -> tuple[Tokens, Tensor]:
    """A text with words behind masks, and what they hide (Devlin et al. 2019, section 3.1)."""
    ids, targets = tokens.ids.clone(), torch.full_like(tokens.ids, -1)
    places = [place for place, text in enumerate(tokens.texts) if text is not None]
    for place in draw.sample(places, max(1, int(MASKED_SHARE * len(places)))):
        targets[place] = ids[place]
        choice = draw.random()
        if choice < 0.9:
            ids[place] = (codec.special.mask or 0) if choice < 0.8 else draw.randrange(VOCAB_SIZE)
    return replace(tokens, ids=ids), targets


def pretraining(ordered: bool) -> Callable[[FastCodec, Path], Loss]:
    """Masked words, and pairs: of another text, or `ordered`, the other way round."""

    def prepare(codec: FastCodec, data: Path) -> Loss:
        texts = [text for text in sentences(data) if len(text) > 60]

        def loss(model: TextEncoder, draw: random.Random) -> Tensor:
            pairs, labels = [], []
            for text in draw.sample(texts, BATCH_SIZE):
                words = text.split()[:80]
                cut = len(words) // 2
                first, second = " ".join(words[:cut]), " ".join(words[cut:])
                labels.append(draw.randrange(2))
                if labels[-1] and ordered:
                    first, second = second, first
                elif labels[-1]:
                    second = draw.choice(texts)[: len(second) + 1]
                pairs.append(masked(codec.encode_truncated(first, second), codec, draw))
            chosen = albert_loss if ordered else bert_loss
            return chosen(model, [text for text, _ in pairs], [hidden for _, hidden in pairs], torch.tensor(labels))

        return loss

    return prepare


def masked_words(codec: FastCodec, data: Path) -> Loss:
    """Masked words alone."""
    texts = stories(data)

    def loss(model: TextEncoder, draw: random.Random) -> Tensor:
        pairs = [masked(codec.encode_truncated(text[:400]), codec, draw) for text in draw.sample(texts, BATCH_SIZE)]
        return roberta_loss(model, [text for text, _ in pairs], [hidden for _, hidden in pairs])

    return loss


def continuations(codec: FastCodec, data: Path) -> Loss:
    """Stories, each begun and ended by the same token."""
    end = codec.id_of("<|endoftext|>") or 0
    texts = [[end, *codec.encode(text).ids.tolist(), end][:160] for text in stories(data)]

    def loss(model: Gpt, draw: random.Random) -> Tensor:
        return gpt_loss(model, [plain_tokens(ids) for ids in draw.sample(texts, BATCH_SIZE // 2)])

    return loss


def translations(codec: FastCodec, data: Path) -> Loss:
    """Captions of pictures, in English and German."""
    pairs = list(zip(*(lines(data / f"multi30k-en-de/train.{code}.gz") for code in ("en", "de")), strict=True))

    def loss(model: VanillaTransformer, draw: random.Random) -> Tensor:
        chosen = draw.sample(pairs, 2 * BATCH_SIZE)
        sources = [codec.encode_truncated(source) for source, _ in chosen]
        return vanilla_loss(model, sources, [codec.encode_truncated(target).ids for _, target in chosen], 0.1)

    return loss


def opinions(codec: FastCodec, data: Path) -> Loss:
    """Sentences of film reviews, good or bad."""
    rows = list(csv.reader(lines(data / "sst2/train.tsv.gz")[1:], delimiter="\t", quoting=csv.QUOTE_NONE))

    def loss(model: TextEncoder, draw: random.Random) -> Tensor:
        chosen = draw.sample(rows, BATCH_SIZE)
        packed = model.pack([codec.encode_truncated(text) for text, _ in chosen])
        pooled = model.pooled(packed, model.hidden(packed, WithinTexts(packed.segments)))
        logits = cast("Any", model.sequence_head)(pooled)
        return functional.cross_entropy(logits, torch.tensor([int(label) for _, label in chosen]))

    return loss


NAMES = ("O", "I-PER", "I-LOC", "I-ORG", "I-MISC")


def names(codec: FastCodec, data: Path) -> Loss:
    """Names in an encyclopaedia."""
    blocks = gzip.decompress((data / "ner-wikigold/wikigold.conll.txt.gz").read_bytes()).decode().split("\n\n")
    rows = [[line.split() for line in block.splitlines() if line.strip()] for block in blocks]
    rows = [row for row in rows if row and row[0][0] != "-DOCSTART-"]

    def loss(model: TextEncoder, draw: random.Random) -> Tensor:
        texts: list[Tokens] = []
        targets: list[list[int]] = []
        for row in draw.sample(rows, BATCH_SIZE):
            ends = list(itertools.accumulate(len(word) + 1 for word, _ in row))
            tokens = codec.encode_truncated(" ".join(word for word, _ in row))
            words = [next(i for i, end in enumerate(ends) if start < end) for start, _ in tokens.offsets]
            wanted = [NAMES.index(row[word][1]) for word in words]
            targets.append([w if text == 0 else -1 for w, text in zip(wanted, tokens.texts, strict=True)])
            texts.append(tokens)
        states = torch.cat(model.states(texts))
        logits = cast("Any", model.token_head)(states)
        return functional.cross_entropy(logits, torch.tensor(list(itertools.chain(*targets))), ignore_index=-1)

    return loss


def questions(codec: FastCodec, data: Path) -> Loss:
    """Questions about paragraphs of an encyclopaedia."""
    content = json.loads(gzip.decompress((data / "qa-xquad-en/xquad.en.json.gz").read_bytes()))
    rows = list(_questions(content))

    def loss(model: TextEncoder, draw: random.Random) -> Tensor:
        losses: list[Tensor] = []
        texts: list[Tokens] = []
        spans: list[tuple[int, int]] = []
        while len(texts) < BATCH_SIZE // 2:
            question, context, start, end = draw.choice(rows)
            for window in codec.windows(question, context, 64):
                inside = [p for p, text in enumerate(window.texts) if text == 1]
                first = [p for p in inside if window.offsets[p][0] <= start < window.offsets[p][1]]
                last = [p for p in inside if window.offsets[p][0] < end <= window.offsets[p][1]]
                if first and last:
                    texts.append(window)
                    spans.append((first[0], last[-1]))
                    break
        for state, span in zip(model.states(texts), spans, strict=True):
            losses.append(functional.cross_entropy(cast("Any", model.span_head)(state).T, torch.tensor(span)))
        return torch.stack(losses).mean()

    return loss


def _questions(content: dict[str, Any]) -> Iterator[tuple[str, str, int, int]]:
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            for one in paragraph["qas"]:
                answer = one["answers"][0]
                start = answer["answer_start"]
                yield one["question"], paragraph["context"], start, start + len(answer["text"])
