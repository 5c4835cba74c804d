"""The tasks of an autoencoder, answered from two maps: items to latents, and latents to items.

Shapes: `B` batch; the rest are the model's own `input_shape` and `latent_shape`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.autoencoding.anomalies import judge
from models.autoencoding.calibration import Calibration
from models.autoencoding.compression.quantisation import MAX_BITS, MIN_BITS, pack, unpack
from models.autoencoding.compression.stream import Mode, Stream, parse
from models.autoencoding.corruption import corrupt
from models.autoencoding.imputation import levelled
from models.autoencoding.latents import between
from models.autoencoding.metrics import compared, psnr
from models.errors import InvalidItems, Problem
from models.family import Model
from models.ops.devices import to_cpu
from models.results import project, rank
from models.seeding import seeded
from models.tasks import Task
from models.tasks.autoencoding import (
    ClassifyRequest,
    ClassifyResult,
    CompressRequest,
    CompressResult,
    DecodeRequest,
    DecodeResult,
    DecompressRequest,
    DecompressResult,
    DenoiseRequest,
    DenoiseResult,
    DetectAnomaliesRequest,
    DetectAnomaliesResult,
    EncodeRequest,
    EncodeResult,
    ImputeRequest,
    ImputeResult,
    InterpolateRequest,
    InterpolateResult,
    ProjectRequest,
    ProjectResult,
    ReconstructRequest,
    ReconstructResult,
    SampleRequest,
    SampleResult,
)


class Autoencoder(Model):
    """What all families share. A family gives `latents_of` and `items_of`, and more where it has more.

    `value_range` are the ends of what its items can hold.
    """

    calibration: Calibration  # which every trained one has
    value_range: tuple[float, float] = (0.0, 1.0)
    scores: tuple[str, ...] = ("mse", "mae")
    samplers: tuple[str, ...] = ("gmm",)
    stored_bits = 8
    """Bits of an element before compression."""

    def latents_of(self, items: Sequence[Tensor]) -> Tensor:
        """The latents of items on the CPU, `[B, *latent_shape]`, on the CPU in float32."""
        raise NotImplementedError

    def items_of(self, latents: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
        """The items of `[B, *latent_shape]` on the CPU, each of its shape, on the CPU in float32."""
        raise NotImplementedError

    def reconstructions_of(self, items: Sequence[Tensor]) -> list[Tensor]:
        """Items after the round trip."""
        return self.items_of(self.latents_of(items), [tuple(item.shape) for item in items])

    def encode(self, requests: Sequence[EncodeRequest]) -> list[EncodeResult]:
        """Latents of the items; refuses `sample`, unless a family has a posterior to draw from.

        Raises:
            InvalidItems: a request asks for a sample.
        """
        if any(request.sample for request in requests):
            raise InvalidItems(Problem("this model's latent is deterministic: `sample` must be false"))
        return [EncodeResult(latent=z) for z in self.latents_of([r.item for r in requests]).unbind()]

    def decode(self, requests: Sequence[DecodeRequest]) -> list[DecodeResult]:
        """Items of the latents."""
        shapes = [self._shape(request.length) for request in requests]
        items = self.items_of(torch.stack([request.latent for request in requests]), shapes)
        return [DecodeResult(reconstruction=item) for item in items]

    def reconstruct(self, requests: Sequence[ReconstructRequest]) -> list[ReconstructResult]:
        """Items after the round trip, with their mean squared and mean absolute error."""
        items = [request.item for request in requests]
        reconstructions = self.reconstructions_of(items)
        if len({item.shape for item in items}) == 1:
            return compared(torch.stack(items), torch.stack(reconstructions))
        return [compared(item[None], other[None])[0] for item, other in zip(items, reconstructions, strict=True)]

    def denoise(self, requests: Sequence[DenoiseRequest]) -> list[DenoiseResult]:
        """Items reconstructed, after noise was added where a request asks for it."""
        noisy = [self._corrupted(request) for request in requests]
        results = []
        for request, dirty, denoised in zip(requests, noisy, self.reconstructions_of(noisy), strict=True):
            result = DenoiseResult(denoised=denoised)
            if request.noise:
                before, after = (self._psnr(request.item, other) for other in (dirty, denoised))
                result = DenoiseResult(denoised=denoised, noisy=dirty, psnr_before=before, psnr_after=after)
            results.append(result)
        return results

    def sample(self, requests: Sequence[SampleRequest]) -> list[SampleResult]:
        """New items. What a seed and an index give depends on nothing else.

        Raises:
            InvalidItems: a sampler or label that this model has not.
        """
        latents = torch.stack([self._drawn(request) for request in requests])
        items = self._invariantly(latents, [self._shape(request.length) for request in requests])
        return [
            SampleResult(sample=item, latent=latent, seed=request.seed)
            for request, item, latent in zip(requests, items, latents.unbind(), strict=True)
        ]

    def draw(self, request: SampleRequest, sampler: str, generator: torch.Generator) -> Tensor:
        """One latent by the named sampler; families with samplers of their own add them."""
        if self.calibration.mixture is None or sampler != "gmm":
            raise NotImplementedError(f"{type(self).__name__} declares the sampler {sampler} and has none")
        return self.calibration.mixture.draw(generator, request.temperature).view(self.latent_shape)

    def interpolate(self, requests: Sequence[InterpolateRequest]) -> list[InterpolateResult]:
        """Items along the way between the latents of two."""
        ends = self.latents_of([item for request in requests for item in (request.start, request.end)])
        paths = [
            between(ends[2 * i], ends[2 * i + 1], request.steps, request.method) for i, request in enumerate(requests)
        ]
        shapes = [shape for request in requests for shape in self._shapes_between(request)]
        frames = iter(self.items_of(torch.cat(paths), shapes))
        return [
            InterpolateResult(frames=tuple(next(frames) for _ in range(request.steps)), latents=path)
            for request, path in zip(requests, paths, strict=True)
        ]

    def detect_anomalies(self, requests: Sequence[DetectAnomaliesRequest]) -> list[DetectAnomaliesResult]:
        """How each item scores beside held-out normal ones.

        Raises:
            InvalidItems: a score that this model has not.
        """
        for request in requests:
            if request.score not in (None, *self.scores):
                raise InvalidItems(Problem(f"score is {request.score!r}; this model has {', '.join(self.scores)}"))
        named = [request.score or self.scores[0] for request in requests]
        parts: dict[int, Tensor] = {}
        for score in dict.fromkeys(named):
            places = [i for i, name in enumerate(named) if name == score]
            parts |= dict(zip(places, self.score_parts([requests[i].item for i in places], score), strict=True))
        return [judge(request, named[i], parts[i], self.calibration) for i, request in enumerate(requests)]

    def score_parts(self, items: Sequence[Tensor], score: str) -> list[Tensor]:
        """What each element adds to its item's score; of the item's shape."""
        measure: Mapping[str, Callable[[Tensor], Tensor]] = {"mse": torch.square, "mae": torch.abs}
        return [
            measure[score](reconstruction - item) / item.numel()
            for item, reconstruction in zip(items, self.reconstructions_of(items), strict=True)
        ]

    def impute(self, requests: Sequence[ImputeRequest]) -> list[ImputeResult]:
        """Gaps filled by what the model makes of the rest: each round reconstructs the item and keeps the gaps' values.

        Source: Rezende, Mohamed, Wierstra 2014, appendix F, with the mean in place of a draw.

        Raises:
            InvalidItems: nothing of an item is observed.
        """
        missing = [request.item.isnan() for request in requests]
        for gaps in missing:
            if gaps.all():
                raise InvalidItems(Problem("every element is null; at least one must be observed"))
        items = [self.first_guess(request.item, gaps) for request, gaps in zip(requests, missing, strict=True)]
        for step in range(max(request.iterations for request in requests)):
            open_ = [i for i, request in enumerate(requests) if step < request.iterations]
            for i, filled in zip(open_, self.reconstructions_of([items[i] for i in open_]), strict=True):
                items[i] = torch.where(missing[i], filled, items[i])
        return [ImputeResult(imputed=item) for item in items]

    def first_guess(self, item: Tensor, missing: Tensor) -> Tensor:
        """What imputation starts from."""
        return levelled(item, missing)

    def compress(self, requests: Sequence[CompressRequest]) -> list[CompressResult]:
        """Streams of quantised latents, or lossless ones where the family has them.

        Raises:
            InvalidItems: `bits` out of range, items of several shapes in one stream, or lossless is asked for in vain.
        """
        return [self._compressed(request) for request in requests]

    def decompress(self, requests: Sequence[DecompressRequest]) -> list[DecompressResult]:
        """The items of streams that this very model has made.

        Raises:
            InvalidItems: a stream is foreign, damaged, or of more items than allowed.
        """
        return [DecompressResult(items=tuple(self._decompressed(r.stream, r.max_items))) for r in requests]

    def pack_lossless(self, items: Tensor) -> NDArray[np.uint32]:
        """The payload of `[n, *input_shape]` without loss; only some families can."""
        raise InvalidItems(Problem("this model has no lossless coding; `lossless` must be false"))

    def unpack_lossless(self, words: NDArray[np.uint32], n_items: int) -> Tensor | None:
        """The items of such a payload; None where it makes no sense."""
        return None

    def to_device(self, batch: Tensor) -> Tensor:
        """Where and as the weights are."""
        weight = next(self.parameters())
        return batch.to(weight.device, weight.dtype)

    def project(self, requests: Sequence[ProjectRequest]) -> list[ProjectResult]:
        """Items as points in a plane fitted to their latents."""
        latents = self.latents_of([item for request in requests for item in request.items])
        parts = torch.split(latents, [len(request.items) for request in requests])
        return [project(part.flatten(1), request.method) for request, part in zip(requests, parts, strict=True)]

    def classify(self, requests: Sequence[ClassifyRequest]) -> list[ClassifyResult]:
        """The classes of the items; only models with `labels` declare this task."""
        logits = self.class_logits_of([request.item for request in requests])
        return [rank(self.labels, row, request) for request, row in zip(requests, logits.unbind(), strict=True)]

    def class_logits_of(self, items: Sequence[Tensor]) -> Tensor:
        """`[B, n_labels]` on the CPU in float32."""
        raise NotImplementedError

    def random_codes(self, n: int) -> Tensor:
        """See `Model.random_codes`."""
        return self.latents_of(list(torch.rand((n, *self.input_shape), generator=seeded(n)))).flatten(1)

    def example(self, task: Task) -> Any:
        """A small valid request about zeros, which every range allows."""
        item, other = torch.zeros(self.input_shape), torch.full(self.input_shape, 0.5)
        latent = torch.zeros(self.latent_shape)
        if task.request is DecompressRequest:
            (packed,) = self.compress([CompressRequest(items=(item,))])
            return DecompressRequest(stream=packed.stream, max_items=1)
        arguments: dict[type, dict[str, Any]] = {
            DecodeRequest: {"latent": latent},
            SampleRequest: {"seed": 0},
            InterpolateRequest: {"start": item, "end": other, "steps": 2},
            CompressRequest: {"items": (item,)},
            ProjectRequest: {"items": (item, other)},
            ImputeRequest: {"item": item, "iterations": 1},
        }
        return task.request(**arguments.get(task.request, {"item": item}))

    def _shape(self, length: int | None) -> tuple[int, ...]:
        """Of an item to be made; models of series have a choice."""
        if length is not None:
            raise InvalidItems(Problem(f"length is {length}; this model's items all have the shape {self.input_shape}"))
        return self.input_shape

    def _shapes_between(self, request: InterpolateRequest) -> list[tuple[int, ...]]:
        return [self.input_shape] * request.steps

    def _corrupted(self, request: DenoiseRequest) -> Tensor:
        if request.noise is None:
            return request.item
        low, high = self.value_range if math.isfinite(self.value_range[0]) else request.item.aminmax()
        return corrupt(request.item, request.noise, seeded(request.seed), low=float(low), high=float(high))

    def _psnr(self, clean: Tensor, other: Tensor) -> float:
        """In dB against the range, of the item itself where the model's is unbounded; at most `MAX_PSNR`."""
        low, high = self.value_range if math.isfinite(self.value_range[0]) else clean.aminmax()
        return psnr((clean - other).square().mean().item(), float(high) - float(low))

    def _drawn(self, request: SampleRequest) -> Tensor:
        sampler = request.sampler or self.samplers[0]
        if sampler not in self.samplers:
            raise InvalidItems(Problem(f"sampler is {sampler!r}; this model has {', '.join(self.samplers)}"))
        if request.label is not None and request.label not in self.labels:
            known = f"this model has {', '.join(self.labels)}" if self.labels else "this model has no labels"
            raise InvalidItems(Problem(f"label is {request.label!r}; {known}"))
        return self.draw(request, sampler, self.generator_of(request))

    @staticmethod
    def generator_of(request: SampleRequest) -> torch.Generator:
        """Of its seed and index, and of nothing else."""
        return seeded(request.seed, request.index)

    def _invariantly(self, latents: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
        """`items_of`, one at a time: a product's last bits depend on how many rows it has, and on the row's place."""
        return [self.items_of(row[None], [shape])[0] for row, shape in zip(latents, shapes, strict=True)]

    def _compressed(self, request: CompressRequest) -> CompressResult:
        if not MIN_BITS <= request.bits <= MAX_BITS:
            raise InvalidItems(Problem(f"bits is {request.bits}; it must be {MIN_BITS} to {MAX_BITS}"))
        shapes = {tuple(item.shape) for item in request.items}
        if len(shapes) > 1:
            raise InvalidItems(Problem(f"the items of one stream must have one shape; here are {sorted(shapes)}"))
        items = torch.stack(request.items)
        if request.lossless:
            mode, words = Mode.BITS_BACK, self.pack_lossless(items)
        else:
            mode, words = Mode.QUANTISED, pack(self.latents_of(request.items), self.calibration, request.bits)
        stream = Stream(
            mode=mode,
            bits=request.bits,
            digest=self.digest,
            n_items=len(items),
            shape=tuple(items.shape[1:]),
            words=words,
        ).to_bytes()
        mse = (torch.stack(self._decompressed(stream, len(items))) - items).square().mean().item()
        bits_per_element = 8 * len(stream) / items.numel()
        low, high = self.value_range if math.isfinite(self.value_range[0]) else items.aminmax()
        return CompressResult(
            stream=stream,
            bits_per_element=bits_per_element,
            ratio=self.stored_bits / bits_per_element,
            mse=mse,
            psnr=psnr(mse, float(high) - float(low)),
        )

    def _decompressed(self, data: bytes, max_items: int) -> list[Tensor]:
        stream = parse(data, digest=self.digest)
        if not 1 <= stream.n_items <= max_items:
            raise InvalidItems(Problem(f"the stream has {stream.n_items} items; a request takes 1 to {max_items}"))
        self._check_shape(stream.shape)
        if stream.mode is Mode.BITS_BACK:
            items = self.unpack_lossless(stream.words, stream.n_items)
            if items is not None:
                return list(items.unbind())
        elif MIN_BITS <= stream.bits <= MAX_BITS:
            latents = unpack(stream.words, self.calibration, stream.bits, stream.n_items)
            if latents is not None:
                return self._invariantly(latents, [stream.shape] * stream.n_items)
        raise InvalidItems(Problem("the stream's payload makes no sense"))

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if shape != self.input_shape:
            raise InvalidItems(Problem(f"the stream's items have the shape {shape}, the model's {self.input_shape}"))


class FixedShapeAutoencoder(Autoencoder):
    """An autoencoder whose items all have `input_shape`, made of two networks.

    A family sets `encoder` (`[B, *input_shape]` to `[B, *latent_shape]`) and `decoder` (the way back), or has its own
    `codes` and `decoded`.
    """

    encoder: nn.Module
    decoder: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.classifier: nn.Module | None = None

    def forward(self, items: Tensor) -> Tensor:
        """Reconstruct `[B, *input_shape]`."""
        return self.decoded(self.codes(items))

    def codes(self, items: Tensor) -> Tensor:
        """`[B, *input_shape]` to `[B, *latent_shape]`."""
        latents: Tensor = self.encoder(items)
        return latents

    def decoded(self, latents: Tensor) -> Tensor:
        """`[B, *latent_shape]` to `[B, *input_shape]`."""
        items: Tensor = self.decoder(latents)
        return items

    def latents_of(self, items: Sequence[Tensor]) -> Tensor:
        """See `Autoencoder.latents_of`."""
        return to_cpu(self.codes(self.to_device(torch.stack(list(items)))))

    def items_of(self, latents: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
        """See `Autoencoder.items_of`."""
        return list(self.batch_of(latents).unbind())

    def batch_of(self, latents: Tensor) -> Tensor:
        """`[B, *latent_shape]` on the CPU to `[B, *input_shape]` there, in float32."""
        return to_cpu(self.decoded(self.to_device(latents)))

    def reconstructions_of(self, items: Sequence[Tensor]) -> list[Tensor]:
        """See `Autoencoder.reconstructions_of`."""
        return list(self._round_trip(torch.stack(list(items))).unbind())

    def reconstruct(self, requests: Sequence[ReconstructRequest]) -> list[ReconstructResult]:
        """See `Autoencoder.reconstruct`."""
        items = torch.stack([request.item for request in requests])
        return compared(items, self._round_trip(items))

    def _round_trip(self, items: Tensor) -> Tensor:
        """`[B, *input_shape]` on the CPU to the same, without a stop there."""
        return to_cpu(self(self.to_device(items)))

    def class_logits(self, items: Tensor) -> Tensor:
        """`[B, *input_shape]` to `[B, n_labels]`, by the `classifier` of models with labels."""
        if self.classifier is None:
            raise NotImplementedError("this model was built without labels")
        logits: Tensor = self.classifier(items)
        return logits

    def class_logits_of(self, items: Sequence[Tensor]) -> Tensor:
        """See `Autoencoder.class_logits_of`."""
        return to_cpu(self.class_logits(self.to_device(torch.stack(list(items)))))
