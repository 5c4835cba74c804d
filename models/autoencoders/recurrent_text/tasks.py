"""The tasks that this family answers in its own way, because its items are tokens and not numbers."""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.autoencoders.recurrent_text.model import RecurrentTextAutoencoder
from models.autoencoders.recurrent_text.noise import WordNoise
from models.autoencoding.compression.stream import Mode, Stream, parse_stream
from models.autoencoding.encoding import NO_POSTERIOR
from models.errors import InvalidItems, Problem
from models.seeding import seeded
from models.tasks.autoencoding import DecompressRequest, DecompressResult, ImputeResult, ReconstructRequest
from models.tasks.sentences import (
    CompressSentencesRequest,
    CompressSentencesResult,
    DenoiseSentenceRequest,
    DenoiseSentenceResult,
    ImputeSentenceRequest,
    ReconstructSentenceResult,
    ScoreSentenceRequest,
    ScoreSentenceResult,
    SentenceNoise,
)


def reconstruct(
    model: RecurrentTextAutoencoder, requests: Sequence[ReconstructRequest]
) -> list[ReconstructSentenceResult]:
    """Map sentences to latents and back, and compare them with the originals.

    Raises:
        InvalidItems: a request has a seed.
    """
    if any(request.seed is not None for request in requests):
        raise InvalidItems(Problem(NO_POSTERIOR, parameter="seed"))
    items = [request.item for request in requests]
    latents = model.latents_of(items)
    losses = model.losses_of(latents, items)
    return [
        ReconstructSentenceResult(
            reconstruction=restored, edits=edit_distance(item.tolist(), restored.tolist()), nll=loss.mean().item()
        )
        for item, restored, loss in zip(items, model.items_of(latents, [()] * len(items)), losses, strict=True)
    ]


def denoise(model: RecurrentTextAutoencoder, requests: Sequence[DenoiseSentenceRequest]) -> list[DenoiseSentenceResult]:
    """Put sentences right. Where a request asks for it, add noise first and count how much of it is removed."""
    noisy_items = [_add_noise(model, request) for request in requests]
    denoised_items = model.reconstructions_of(noisy_items)
    results = []
    for request, noisy, denoised in zip(requests, noisy_items, denoised_items, strict=True):
        result = DenoiseSentenceResult(denoised=denoised)
        if request.noise is not None:
            original = request.item.tolist()
            before, after = (edit_distance(original, other.tolist()) for other in (noisy, denoised))
            result = DenoiseSentenceResult(denoised=denoised, noisy=noisy, edits_before=before, edits_after=after)
        results.append(result)
    return results


def impute(model: RecurrentTextAutoencoder, requests: Sequence[ImputeSentenceRequest]) -> list[ImputeResult]:
    """Write a word in place of each mask: the likeliest tokens that the words before it and the latent make.

    The other words stay as they are.

    Raises:
        InvalidItems: a sentence consists of masks alone.
    """
    items = [request.item for request in requests]
    if any(bool((item == model.config.mask_id).all()) for item in items):
        raise InvalidItems(Problem("every word is null or masked; at least one must be known"))
    latents = model.latents_of(items)
    return [ImputeResult(imputed=model.fill(latent[None], item)) for latent, item in zip(latents, items, strict=True)]


def compress(
    model: RecurrentTextAutoencoder, requests: Sequence[CompressSentencesRequest]
) -> list[CompressSentencesResult]:
    """Compress the sentences of each request into a stream without loss.

    Raises:
        InvalidItems: the decoder cannot be computed in integers.
    """
    return [CompressSentencesResult(stream=_pack(model, request.items)) for request in requests]


def decompress(model: RecurrentTextAutoencoder, requests: Sequence[DecompressRequest]) -> list[DecompressResult]:
    """Decompress streams that the same model has made.

    Raises:
        InvalidItems: a stream is of another model, is damaged, or has more sentences than the request allows.
    """
    return [DecompressResult(items=tuple(_unpack(model, request))) for request in requests]


def score(model: RecurrentTextAutoencoder, requests: Sequence[ScoreSentenceRequest]) -> list[ScoreSentenceResult]:
    """Compute the log-probability of each token of sentences and of their ends, given their own latents."""
    items = [request.item for request in requests]
    end = torch.tensor([model.config.end_id])
    return [
        ScoreSentenceResult(ids=torch.cat([item, end]), log_probs=-losses)
        for item, losses in zip(items, model.losses_of(model.latents_of(items), items), strict=True)
    ]


def edit_distance(first: Sequence[int], second: Sequence[int]) -> int:
    """Return the least number of elements to insert, delete or replace that makes one sequence the other.

    Source: Levenshtein 1966; Wagner and Fischer 1974.
    """
    row = list(range(len(second) + 1))
    for i, left in enumerate(first, 1):
        previous, row = row, [i]
        for j, right in enumerate(second, 1):
            row.append(min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (left != right)))
    return row[-1]


def _pack(model: RecurrentTextAutoencoder, items: Sequence[Tensor]) -> bytes:
    """Return the stream of sentences."""
    if model.lossless_coder is None:
        raise InvalidItems(Problem("this model compresses nothing: its decoder cannot be computed in integers"))
    return Stream(
        mode=Mode.LOSSLESS,
        bits=0,
        digest=model.digest,
        n_items=len(items),
        shape=tuple(model.input_shape),
        words=model.lossless_coder.pack(items),
    ).to_bytes()


def _unpack(model: RecurrentTextAutoencoder, request: DecompressRequest) -> list[Tensor]:
    """Return the sentences of a stream; see `decompress`."""
    stream = parse_stream(request.stream, digest=model.digest)
    if not 1 <= stream.n_items <= request.max_items:
        raise InvalidItems(Problem(f"the stream has {stream.n_items} items; a request takes 1 to {request.max_items}"))
    if stream.shape != tuple(model.input_shape):
        shapes = f"the shape {list(stream.shape)}, the model's {list(model.input_shape)}"
        raise InvalidItems(Problem(f"the stream's items have {shapes}"))
    if stream.mode is Mode.LOSSLESS and model.lossless_coder is not None:
        texts = model.lossless_coder.unpack(stream.words, stream.n_items)
        if texts is not None:
            return texts
    raise InvalidItems(Problem("the stream's payload makes no sense"))


def _add_noise(model: RecurrentTextAutoencoder, request: DenoiseSentenceRequest) -> Tensor:
    """Return the tokens of the sentence with the noise of its request."""
    if request.noise is None:
        return request.item
    ids = request.item[None]
    noise = word_noise(model, request.noise)
    lengths = torch.tensor([ids.shape[1]])
    begins_word = model.begins_word.cpu()[ids]
    noisy, new_lengths = noise(ids, begins_word, lengths, seeded(request.seed, request.index))
    return noisy[0, : int(new_lengths[0])]


def word_noise(model: RecurrentTextAutoencoder, noise: SentenceNoise) -> WordNoise:
    """Return what adds the noise of a request to every sentence."""
    return WordNoise(
        mask_id=model.config.mask_id,
        padding_id=model.config.start_id,
        clean_share=0.0,
        scrambled_share=0.0,
        dropped_share=noise.dropped,
        masked_share=noise.masked,
        reach=noise.moved,
    )
