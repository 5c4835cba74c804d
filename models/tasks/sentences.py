"""Requests and results of the tasks of autoencoders that differ for sentences, which are token ids `[T]`, int64."""

from dataclasses import dataclass

from torch import Tensor

from models.tasks.autoencoding import ItemRequest, ItemsRequest


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReconstructSentenceResult:
    """A sentence that was encoded and decoded, as token ids.

    `edits` is the least number of tokens to insert, delete or replace in order to get the original back. `nll` is the
    negative log-likelihood of the original in nats for each of its tokens, its end included, given its latent.
    """

    reconstruction: Tensor
    edits: int
    nll: float


@dataclass(frozen=True, slots=True)
class SentenceNoise:
    """A corruption of the words of sentences.

    Attributes:
        dropped: probability of a word to be dropped.
        masked: probability of a word to be masked.
        moved: the largest number of places that a word moves by.
    """

    dropped: float = 0.0
    masked: float = 0.0
    moved: int = 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DenoiseSentenceRequest(ItemRequest):
    """A request to put a sentence right whose words are in disorder, missing or masked.

    To test how well this works, `noise` is added to the sentence first, with the `seed`; None if it is noisy already.
    """

    noise: SentenceNoise | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DenoiseSentenceResult:
    """A sentence that was put right, and a comparison with the original if noise was added to it.

    `edits_before` and `edits_after` are the least numbers of tokens to insert, delete or replace in `noisy` and in
    `denoised` in order to get the original.
    """

    denoised: Tensor
    noisy: Tensor | None = None
    edits_before: int | None = None
    edits_after: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImputeSentenceRequest(ItemRequest):
    """A request to write a word in place of each mask token of a sentence."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CompressSentencesRequest(ItemsRequest):
    """A request to compress sentences into one stream, from which exactly these sentences are decompressed."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class CompressSentencesResult:
    """A stream of compressed sentences."""

    stream: bytes


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ScoreSentenceRequest(ItemRequest):
    """A request to compute how likely a sentence is, given its own latent."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ScoreSentenceResult:
    """The tokens of a sentence with its end token, `[T + 1]`, and their log-probabilities in nats, `[T + 1]`.

    Each token is conditioned on the tokens before it, and on the latent that the sentence itself is encoded to.
    """

    ids: Tensor
    log_probs: Tensor
