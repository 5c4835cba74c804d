"""The model: it splits sounds into chunks, maps these to codes and back, and joins them.

Shapes: `B` batch, `C` channels, `T` samples, `K` codebooks in use, `F` frames, `D` width of a frame.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from models.autoencoders.encodec.classifier import SoundClassifier
from models.autoencoders.encodec.config import EncodecConfig
from models.autoencoders.encodec.network import Decoder, Encoder
from models.autoencoders.encodec.quantiser import ResidualQuantiser
from models.autoencoding.calibration import Calibration
from models.autoencoding.compression.stream import DIGEST_BYTES
from models.errors import InvalidItems, Problem
from models.family import Model
from models.ops import devices
from models.ops.cooperation import begin_part
from models.ops.devices import to_cpu
from models.seeding import seeded
from models.tasks import COMPRESS_SOUND, DECODE_SOUND, DECOMPRESS_SOUND, PROJECT_SOUNDS, Task
from models.tasks.audio import (
    CompressSoundRequest,
    DecodeSoundRequest,
    DecompressSoundRequest,
    ProjectSoundsRequest,
    SoundCodes,
)

COST_OF_SAMPLE = 4
"""Cost of a sample relative to an element of an image, because of the convolutions at the full sampling rate."""
MAX_SAMPLES_AT_ONCE = 2**17
"""Maximum number of samples of the chunks that are computed together; a chunk of more samples is computed alone."""
N_ACTIVATIONS = 8
"""Number of arrays with all filters at the full sampling rate that take as much memory as a pass was measured to."""
MAX_SCALE = 1024.0
"""Maximum volume of a chunk."""
Place = tuple[int, int]
"""The number of a sound in a batch, and that of a chunk in the sound."""
SILENCE = 1e-8
"""What is added to the volume of a chunk, so that silence can be divided by it."""


class Encodec(Model):
    """Sounds as indices of codebooks.

    Chunks of the same length share a batch, whatever sounds they are of. Padding would change a result.

    Source: Defossez, Copet, Synnaeve, Adi 2022, sections 3.1 and 3.2; Appendix A of the same for the chunks.

    Attributes:
        config: the hyperparameters.
        digest: bytes that distinguish the checkpoint from all others; zeros until a checkpoint is loaded.
        sample_bytes: about how much memory a pass takes for each sample in time, in bytes.
        max_pass_samples: maximum number of samples in time that a pass takes.
        latent_width: width of the latent of a whole sound.
        scores: names of the anomaly scores; the first is the default.
        calibration: measurements of normal sounds; None for models without them, which find no anomalies.
        classifier: maps frames of whole sounds to the logits of the classes; None for models without classes.
    """

    digest: bytes = bytes(DIGEST_BYTES)
    scores: tuple[str, ...] = ("spectral", "mse", "mae")
    calibration: Calibration | None = None

    def __init__(self, config: EncodecConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder, self.decoder = Encoder(config), Decoder(config)
        self.quantiser = ResidualQuantiser(config)
        self.sample_bytes = N_ACTIVATIONS * config.n_filters * torch.float32.itemsize
        self.max_pass_samples = max(MAX_SAMPLES_AT_ONCE, config.chunk_samples)
        self.latent_width = 2 * config.latent_width
        self.labels = config.labels
        self.classifier = SoundClassifier(config) if config.labels else None

    def forward(self, chunks: Tensor) -> Tensor:
        """Reconstruct `[B, C, T]` with all codebooks; T is rounded up to whole frames."""
        codes, scales = self.encode_chunks(chunks, self.config.n_codebooks)
        return self.decode_chunks(codes, scales)

    def encode_chunks(self, chunks: Tensor, n_codebooks: int) -> tuple[Tensor, Tensor | None]:
        """Map `[B, C, T]` to indices `[B, K, F]` and, if the model normalises the volume, to scales `[B, 1, 1]`.

        The scale is the root mean square of the mean of the channels.
        """
        frames, scales = self._frames_of(chunks)
        return self.quantiser.encode(frames, n_codebooks), scales

    def _frames_of(self, chunks: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map `[B, C, T]` to frames `[B, D, F]`, which no codebook has approximated, and to scales if there are any."""
        scales = None
        if self.config.normalize:
            mono = chunks.sum(1, keepdim=True) / chunks.shape[1]
            scales = mono.pow(2).mean(2, keepdim=True).sqrt() + SILENCE
            chunks = chunks / scales
        return self.encoder(chunks), scales

    def decode_chunks(self, codes: Tensor, scales: Tensor | None) -> Tensor:
        """Map indices `[B, K, F]` and scales `[B, 1, 1]` to `[B, C, F * hop]`."""
        sounds: Tensor = self.decoder(self.quantiser.decode(codes))
        return sounds if scales is None else sounds * scales

    def codebooks_at(self, bandwidth: float | None) -> int:
        """Return the number of codebooks for a bandwidth in kbit/s; for the least one if None.

        Raises:
            InvalidItems: the model has no such bandwidth.
        """
        known = self.config.bandwidths
        if bandwidth is not None and bandwidth not in known:
            allowed = ", ".join(f"{each:g}" for each in known)
            raise InvalidItems(
                Problem(f"bandwidth is {bandwidth:g} kbit/s; this model has {allowed}", parameter="bandwidth")
            )
        return self.config.codebooks_at(known[0] if bandwidth is None else bandwidth)

    def codes_of(self, sounds: Sequence[Tensor], n_codebooks: Sequence[int]) -> list[SoundCodes]:
        """Map sounds `[C, T]` to codes, each with its own number of codebooks."""
        found: dict[Place, tuple[Tensor, float]] = {}
        for own, chunks in self._chunks_of(sounds):
            codes, scales = self.encode_chunks(chunks, max(n_codebooks[i] for i, _ in own))
            volumes = [0.0] * len(own) if scales is None else to_cpu(scales).flatten().tolist()
            found |= dict(zip(own, zip(codes.cpu(), volumes, strict=True), strict=True))
        encoded = []
        for i, (sound, n) in enumerate(zip(sounds, n_codebooks, strict=True)):
            parts = [found[i, j] for j in range(len(self.config.chunk_lengths(sound.shape[1])))]
            scales_of_sound = tuple(scale for _, scale in parts) if self.config.normalize else ()
            chunks_of_sound = tuple(codes[:n].clone() for codes, _ in parts)
            encoded.append(SoundCodes(chunks=chunks_of_sound, scales=scales_of_sound, length=sound.shape[1]))
        return encoded

    def frames_of(self, sounds: Sequence[Tensor]) -> list[Tensor]:
        """Map sounds `[C, T]` to the frames of all their chunks, `[D, F]` each, which no codebook has approximated."""
        found: dict[Place, Tensor] = {}
        for own, chunks in self._chunks_of(sounds):
            found |= dict(zip(own, to_cpu(self._frames_of(chunks)[0]), strict=True))
        n_chunks = [len(self.config.chunk_lengths(sound.shape[1])) for sound in sounds]
        return [torch.cat([found[i, j] for j in range(n)], 1) for i, n in enumerate(n_chunks)]

    def latents_of(self, sounds: Sequence[Tensor]) -> Tensor:
        """Map sounds `[C, T]` to latents `[n, 2 D]`: the means and the standard deviations of the frames over time."""
        both = [torch.std_mean(frames, 1, correction=0) for frames in self.frames_of(sounds)]
        return torch.stack([torch.cat([means, deviations]) for deviations, means in both])

    def class_logits_of(self, sounds: Sequence[Tensor]) -> Tensor:
        """Return the logits of the classes of sounds `[C, T]`, `[n, n_labels]`. Only models with labels have them."""
        if self.classifier is None:
            raise NotImplementedError("this model was built without labels")
        every = [self._to_device(frames)[None] for frames in self.frames_of(sounds)]
        logits = [self.classifier(frames, torch.tensor([frames.shape[2]], device=frames.device)) for frames in every]
        return to_cpu(torch.cat(logits))

    def _chunks_of(self, sounds: Sequence[Tensor]) -> Iterator[tuple[list[Place], Tensor]]:
        """Yield the chunks of sounds in batches `[B, C, T]` of one length, on the device, with their places."""
        lengths = [self.config.chunk_lengths(sound.shape[1]) for sound in sounds]
        stride = self.config.chunk_stride
        places = [(i, j) for i, own in enumerate(lengths) for j in range(len(own))]
        for group in _groups([lengths[i][j] for i, j in places]):
            own = [places[place] for place in group]
            chunks = torch.stack([sounds[i][:, j * stride :][:, : lengths[i][j]] for i, j in own])
            yield own, self._to_device(chunks)

    def sounds_of(self, encoded: Sequence[SoundCodes]) -> list[Tensor]:
        """Map codes to sounds `[C, T]`, each of its length.

        Raises:
            InvalidItems: the codes are not those of a sound of this model; the error names the count and the limit.
        """
        for sound in encoded:
            self._check(sound)
        device = next(self.parameters()).device
        places = [(i, j) for i, sound in enumerate(encoded) for j in range(len(sound.chunks))]
        found: dict[Place, Tensor] = {}
        by_shape: dict[int, list[Place]] = defaultdict(list)
        for i, j in places:
            by_shape[encoded[i].n_codebooks].append((i, j))
        for same in by_shape.values():
            for group in _groups([encoded[i].chunks[j].shape[1] * self.config.hop for i, j in same]):
                own = [same[place] for place in group]
                codes = torch.stack([encoded[i].chunks[j] for i, j in own]).to(device)
                scales = [encoded[i].scales[j] for i, j in own] if self.config.normalize else None
                column = None if scales is None else self._to_device(torch.tensor(scales))[:, None, None]
                found |= dict(zip(own, to_cpu(self.decode_chunks(codes, column)), strict=True))
        return [
            self._join([found[i, j] for j in range(len(sound.chunks))])[:, : sound.length].contiguous()
            for i, sound in enumerate(encoded)
        ]

    def _join(self, chunks: list[Tensor]) -> Tensor:
        """Add overlapping chunks `[C, T]` with weights that fade in and out, and divide by the sum of the weights."""
        if len(chunks) == 1:
            return chunks[0]
        stride, (n_channels, n_samples) = self.config.chunk_stride, chunks[0].shape
        middle = torch.linspace(0, 1, n_samples + 2)[1:-1]
        fade = 0.5 - (middle - 0.5).abs()
        n_all = max(j * stride + chunk.shape[1] for j, chunk in enumerate(chunks))
        total, weights = torch.zeros(n_channels, n_all), torch.zeros(n_all)
        for j, chunk in enumerate(chunks):
            part = slice(j * stride, j * stride + chunk.shape[1])
            total[:, part] += fade[: chunk.shape[1]] * chunk
            weights[part] += fade[: chunk.shape[1]]
        return total / weights

    def _check(self, encoded: SoundCodes) -> None:
        """Raise InvalidItems unless codes have the chunks, frames, codebooks, indices and scales of a sound."""
        config, lengths = self.config, self.config.chunk_lengths(encoded.length)
        frames = [-(-length // config.hop) for length in lengths]
        found = [codes.shape[1] for codes in encoded.chunks]
        fault = ""
        if found != frames:
            fault = f"there are chunks of {found} frames; a sound of {encoded.length} samples has {frames}"
        elif not 1 <= encoded.n_codebooks <= config.n_codebooks:
            fault = f"there are {encoded.n_codebooks} codebooks; the model has 1 to {config.n_codebooks}"
        elif any(codes.min() < 0 or codes.max() >= config.codebook_size for codes in encoded.chunks):
            fault = f"an index is out of range; indices are 0 to {config.codebook_size - 1}"
        elif len(encoded.scales) != (len(frames) if config.normalize else 0):
            expected = len(frames) if config.normalize else 0
            fault = f"there are {len(encoded.scales)} scales; a sound of {encoded.length} samples has {expected}"
        elif not all(0 <= scale <= MAX_SCALE for scale in encoded.scales):
            fault = f"a scale is out of range; scales are 0 to {MAX_SCALE:g}"
        if fault:
            raise InvalidItems(Problem(fault))

    def _to_device(self, values: Tensor) -> Tensor:
        weight = next(self.parameters())
        return devices.to_device(values.to(weight.dtype), weight.device)

    @override
    def cost_of(self, task: Task, request: Any) -> int:
        """Return the samples that a request adds to a batch, times the cost of a sample."""
        return COST_OF_SAMPLE * super().cost_of(task, request)

    @override
    def extra_tensors(self) -> list[Tensor]:
        return [] if self.calibration is None else list(self.calibration.tensors().values())

    @override
    def random_codes(self, n: int) -> Tensor:
        sounds = torch.rand((n, self.config.n_channels, 4 * self.config.hop), generator=seeded(n)) - 0.5
        return to_cpu(self.encoder(self._to_device(sounds))).flatten(1)

    @override
    def example(self, task: Task) -> Any:
        n_samples = 2 * self.config.hop
        sound = torch.sin(torch.arange(n_samples) * 0.1).expand(self.config.n_channels, -1)
        if task is DECODE_SOUND:
            return DecodeSoundRequest(encoded=self.codes_of([sound], [1])[0])
        if task is DECOMPRESS_SOUND:
            (compressed,) = self.run(COMPRESS_SOUND, [CompressSoundRequest(sound=sound)])
            return DecompressSoundRequest(stream=compressed.stream, length=n_samples)
        if task is PROJECT_SOUNDS:
            return ProjectSoundsRequest(sounds=(sound, 0.5 * sound))
        return task.request(sound=sound)


def _groups(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield the places of equal lengths, as many at a time as `MAX_SAMPLES_AT_ONCE` allows."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for place, length in enumerate(lengths):
        by_length[length].append(place)
    for length, places in by_length.items():
        n = max(1, MAX_SAMPLES_AT_ONCE // length)
        for start in range(0, len(places), n):
            begin_part()
            yield places[start : start + n]
