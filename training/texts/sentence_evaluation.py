"""Measure an autoencoder of sentences: its reconstructions, its anomaly scores, and its paths between sentences."""

import zlib
from collections.abc import Sequence
from typing import cast

import torch
from rich.progress import track
from torch import Tensor

from models.autoencoding.autoencoder import Autoencoder
from models.codecs.arrays import Limits
from models.codecs.sentence import SentenceCodec
from models.family import Model
from models.seeding import seeded
from models.tasks import COMPRESS_SENTENCES, DECOMPRESS, DENOISE_SENTENCE, INTERPOLATE, RECONSTRUCT_SENTENCE
from models.tasks.autoencoding import DecompressRequest, InterpolateRequest, ReconstructRequest
from models.tasks.sentences import CompressSentencesRequest, DenoiseSentenceRequest
from training.metrics import anomaly_scores, auroc, detect_anomalies, mean
from training.texts.samples import quote
from training.texts.scores import bleu

BATCH_SIZE = 100
REACH = 3
"""Largest number of places that a word moves by, in the captions that are moved but not scrambled."""
N_STEPS = 6
"""Number of sentences on a path between two."""


def tensors_of(codec: SentenceCodec, sentences: Sequence[str]) -> list[Tensor]:
    """Return the tokens of sentences, of which those that are too long are left out."""
    (max_tokens,) = codec.shape
    limits = Limits(max_items=1, max_pixels=0)
    kept = [sentence for sentence in sentences if codec.count_tokens(sentence) < max_tokens]
    return [codec.decode([sentence], limits)[0] for sentence in kept]


def scramble(sentence: str, seed: int) -> str:
    """Return the words of a sentence in a random order, always the same one for a seed."""
    words = sentence.split()
    return " ".join(words[i] for i in torch.randperm(len(words), generator=seeded(seed)).tolist())


def move_words(sentence: str, seed: int) -> str:
    """Return a sentence of which each word is moved by at most `REACH` places."""
    words = sentence.split()
    places = torch.arange(len(words)) + torch.rand(len(words), generator=seeded(seed)) * (REACH + 1)
    return " ".join(words[i] for i in places.argsort().tolist())


def swap_neighbours(sentence: str, seed: int) -> str:
    """Return a sentence of at least two words with two neighbouring words exchanged."""
    words = sentence.split()
    place = int(torch.randint(len(words) - 1, (), generator=seeded(seed)))
    words[place : place + 2] = words[place + 1], words[place]
    return " ".join(words)


def measure_reconstructions(model: Model, codec: SentenceCodec, captions: Sequence[str]) -> dict[str, float]:
    """Return the metrics of captions that are reconstructed, moved or scrambled; none may be too long."""
    restored = [codec.encode(item.numpy()) for item in _reconstructions(model, tensors_of(codec, captions))]
    found = {
        "bleu": bleu(restored, captions, lowercase=False),
        "exact": mean(float(pair[0] == pair[1]) for pair in zip(restored, captions, strict=True)),
    }
    for name, change in (("moved", move_words), ("scrambled", scramble)):
        noisy = [change(caption, seed) for seed, caption in enumerate(captions)]
        denoised = [codec.encode(item.numpy()) for item in _denoised(model, tensors_of(codec, noisy))]
        found[f"bleu_{name}_before"] = bleu(noisy, captions, lowercase=False)
        found[f"bleu_{name}_after"] = bleu(denoised, captions, lowercase=False)
    return found


def measure_anomalies(
    model: Model, codec: SentenceCodec, captions: Sequence[str], others: Sequence[str]
) -> dict[str, float]:
    """Return how well the default anomaly score tells intact captions from changed ones and from other sentences."""
    autoencoder = cast("Autoencoder", model)
    intact, alarms = detect_anomalies(model, tensors_of(codec, captions))
    found = {}
    for name, sentences in (
        ("scrambled", [scramble(caption, seed) for seed, caption in enumerate(captions)]),
        ("swapped", [swap_neighbours(caption, seed) for seed, caption in enumerate(captions)]),
        ("articles", others),
    ):
        scores = anomaly_scores(autoencoder, tensors_of(codec, sentences), autoencoder.scores[0])
        is_changed = torch.cat([torch.zeros(len(intact)), torch.ones(len(scores))]).bool()
        found[f"auroc_{name}"] = auroc(torch.cat([intact, scores]), is_changed)
    return {**found, "false_alarms": alarms.float().mean().item()}


def measure_compression(model: Model, codec: SentenceCodec, captions: Sequence[str]) -> dict[str, float]:
    """Return the bytes a caption of streams, of all captions together and of each alone, and those of other forms.

    Raises:
        ArithmeticError: a stream does not give back the captions.
    """
    items = tensors_of(codec, captions)
    with torch.inference_mode():
        (together,) = model.run(COMPRESS_SENTENCES, [CompressSentencesRequest(items=tuple(items))])
        alone = [
            len(model.run(COMPRESS_SENTENCES, [CompressSentencesRequest(items=(item,))])[0].stream)
            for item in track(items, "streams of captions")
        ]
        request = DecompressRequest(stream=together.stream, max_items=len(items))
        (result,) = model.run(DECOMPRESS, [request])
    if [codec.encode(item.numpy()) for item in result.items] != list(captions):
        raise ArithmeticError("the stream does not give back the captions")
    n = len(captions)
    encoded = [caption.encode() for caption in captions]
    return {
        "bytes_together": len(together.stream) / n,
        "bytes_alone": sum(alone) / n,
        "bytes_utf8": sum(map(len, encoded)) / n,
        "bytes_zlib_together": len(zlib.compress(b"\n".join(encoded), 9)) / n,
        "bytes_zlib_alone": sum(len(zlib.compress(each, 9)) for each in encoded) / n,
    }


def interpolations_section(model: Model, codec: SentenceCodec, captions: Sequence[str], n: int) -> str:
    """Return the paths between the first `n` pairs of captions in Markdown, each sentence on a line."""
    items = tensors_of(codec, captions[: 2 * n])
    requests = [
        InterpolateRequest(start=start, end=end, steps=N_STEPS, method="slerp")
        for start, end in zip(items[::2], items[1::2], strict=True)
    ]
    with torch.inference_mode():
        results = model.run(INTERPOLATE, requests)
    parts = []
    for number, result in enumerate(results):
        lines = [f"- {quote(codec.encode(frame.numpy()))}" for frame in result.frames]
        first, last = captions[2 * number], captions[2 * number + 1]
        parts.append("\n".join([f"{number + 1}. From {quote(first)} to {quote(last)}:", "", *lines]))
    head = (
        f"The first {n} pairs of test captions, not chosen by hand: {N_STEPS} sentences on the path from one to the "
        "other (`/interpolate` with `slerp`), unedited. The first and the last are the reconstructions of both."
    )
    return "\n\n".join([head, *parts])


def _reconstructions(model: Model, items: Sequence[Tensor]) -> list[Tensor]:
    restored: list[Tensor] = []
    with torch.inference_mode():
        for start in track(range(0, len(items), BATCH_SIZE), "reconstructions"):
            requests = [ReconstructRequest(item=item) for item in items[start : start + BATCH_SIZE]]
            restored += [result.reconstruction for result in model.run(RECONSTRUCT_SENTENCE, requests)]
    return restored


def _denoised(model: Model, items: Sequence[Tensor]) -> list[Tensor]:
    restored: list[Tensor] = []
    with torch.inference_mode():
        for start in track(range(0, len(items), BATCH_SIZE), "denoised sentences"):
            requests = [DenoiseSentenceRequest(item=item) for item in items[start : start + BATCH_SIZE]]
            restored += [result.denoised for result in model.run(DENOISE_SENTENCE, requests)]
    return restored
