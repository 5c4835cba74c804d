"""The codes of a sound as a stream of bytes, and back.

The payload is the scales of the chunks, as the bits of float32, and the codes of all chunks in order of time. They are
entropy-coded by how often each index of a codebook has occurred before or, where that takes more bytes, with all
indices alike. The field `bits` of the container is the number of codebooks.

Shapes: `K` codebooks, `F` frames of all chunks, `N` vectors of a codebook, `T` samples, `C` channels.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from models.autoencoders.encodec.config import EncodecConfig
from models.autoencoding.compression.entropy import TOTAL, Coder, Integers
from models.autoencoding.compression.stream import Mode, Stream, parse_stream
from models.errors import InvalidItems, Problem
from models.tasks.audio import SoundCodes

COUNT_WEIGHT = 16
"""How much more likely an index becomes by each time that it occurs, relative to one that has not occurred."""

Words = NDArray[np.uint32]


def pack(encoded: SoundCodes, config: EncodecConfig, digest: bytes) -> bytes:
    """Return the stream of a sound."""
    codes = torch.cat(encoded.chunks, 1).numpy()
    coded = {Mode.CODES: _pack_uniform(codes, config), Mode.ADAPTIVE_CODES: _pack_adaptive(codes, config)}
    mode = min(coded, key=lambda each: len(coded[each]))
    scales = np.array(encoded.scales, dtype="<f4").view("<u4").astype(np.uint32)
    return Stream(
        mode=mode,
        bits=encoded.n_codebooks,
        digest=digest,
        n_items=1,
        shape=(encoded.length, config.n_channels),
        words=np.concatenate([scales, coded[mode]]),
    ).to_bytes()


def unpack(data: bytes, config: EncodecConfig, digest: bytes, max_length: int) -> SoundCodes:
    """Return the codes in a stream of a sound of at most `max_length` samples.

    Raises:
        InvalidItems: the stream is of another model, is damaged, or is of a longer sound.
    """
    stream = parse_stream(data, digest=digest)
    length, n_channels = stream.shape if len(stream.shape) == 2 else (0, 0)
    if length > max_length:
        raise InvalidItems(Problem(f"the sound has {length} samples; at most {max_length} are taken"))
    encoded = None
    if length and n_channels == config.n_channels and 1 <= stream.bits <= config.n_codebooks and stream.n_items == 1:
        encoded = _unpack_words(stream, length, config)
    if encoded is None:
        raise InvalidItems(Problem("the stream's payload makes no sense"))
    return encoded


def _unpack_words(stream: Stream, length: int, config: EncodecConfig) -> SoundCodes | None:
    """Return the codes in the payload of a stream, or None if `pack` cannot have made it."""
    frames = [-(-samples // config.hop) for samples in config.chunk_lengths(length)]
    n_scales = len(frames) if config.normalize else 0
    scales, words = stream.words[:n_scales].astype("<u4").view("<f4"), stream.words[n_scales:]
    if len(scales) < n_scales or (len(words) and words[-1] == 0):
        return None
    coder = Coder(words)
    if stream.mode is Mode.CODES:
        codes = coder.pop_iid(stream.bits * sum(frames), _uniform(config)).reshape(stream.bits, -1)
    elif stream.mode is Mode.ADAPTIVE_CODES:
        codes = _pop_adaptive(coder, stream.bits, sum(frames), config)
    else:
        return None
    if len(coder.words()):
        return None
    ends = np.cumsum(frames)[:-1].tolist()
    chunks = tuple(torch.from_numpy(np.ascontiguousarray(part)) for part in np.split(codes, ends, axis=1))
    return SoundCodes(chunks=chunks, scales=tuple(scales.tolist()), length=length)


def _uniform(config: EncodecConfig) -> Integers:
    """Return the frequencies of indices that are all alike. They sum to `TOTAL`, since both are powers of 2."""
    frequency = TOTAL // config.codebook_size
    return np.full(config.codebook_size, frequency, dtype=np.int64)


def _pack_uniform(codes: Integers, config: EncodecConfig) -> Words:
    """Return the words of codes `[K, F]`, each of which takes the logarithm of N to the base 2 in bits."""
    coder = Coder()
    coder.push_iid(codes.ravel(), _uniform(config))
    return coder.words()


def _pack_adaptive(codes: Integers, config: EncodecConfig) -> Words:
    """Return the words of codes `[K, F]`. The last frame is pushed first, so that the first one is popped first."""
    n_codebooks, n_frames = codes.shape
    rows = np.arange(n_codebooks)
    counts = np.zeros((n_codebooks, config.codebook_size), dtype=np.int64)
    np.add.at(counts, (rows[:, None], codes), 1)
    coder = Coder()
    for frame in range(n_frames - 1, -1, -1):
        counts[rows, codes[:, frame]] -= 1
        coder.push(codes[:, frame], _frequencies(counts))
    return coder.words()


def _pop_adaptive(coder: Coder, n_codebooks: int, n_frames: int, config: EncodecConfig) -> Integers:
    """Return the codes `[K, F]` that `_pack_adaptive` has pushed."""
    rows = np.arange(n_codebooks)
    counts = np.zeros((n_codebooks, config.codebook_size), dtype=np.int64)
    codes = np.empty((n_codebooks, n_frames), dtype=np.int64)
    for frame in range(n_frames):
        codes[:, frame] = coder.pop(_frequencies(counts))
        counts[rows, codes[:, frame]] += 1
    return codes


def _frequencies(counts: Integers) -> Integers:
    """Return the frequencies of indices that have occurred so often, `[K, N]`. They are at least 1, and sum to `TOTAL`.

    An index that has occurred n times has a weight of 1 + n * `COUNT_WEIGHT`.
    """
    cumulative = (1 + COUNT_WEIGHT * counts).cumsum(1)
    spread = TOTAL - counts.shape[1]
    frequencies: Integers = np.diff(cumulative * spread // cumulative[:, -1:], axis=1, prepend=0) + 1
    return frequencies
