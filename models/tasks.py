"""The vocabulary of the server: what a model can be asked, and what it answers.

A task is a frozen request, a frozen result and a Protocol with one method named like the task. The method takes a whole
batch and returns one result a request, in order; each request carries its own parameters, so requests that differ in
them still share a batch. Tensors of requests and results live on the CPU in float32; a model moves them where it runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EncodeRequest:
    """One item to map to its latent. `sample` draws from the posterior, of families that have one, by `seed`."""

    item: Tensor
    sample: bool = False
    seed: int | None = None

    @property
    def cost(self) -> int:
        """Elements this request adds to a batch."""
        return self.item.numel()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EncodeResult:
    """`latent` has the model's `latent_shape`."""

    latent: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecodeRequest:
    """One latent, of the model's `latent_shape`, to map back to an item."""

    latent: Tensor

    @property
    def cost(self) -> int:
        """Elements this request adds to a batch."""
        return self.latent.numel()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DecodeResult:
    """`reconstruction` has the model's `input_shape`."""

    reconstruction: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReconstructRequest:
    """One item to encode and decode again. `seed` matters to families whose latent is drawn."""

    item: Tensor
    seed: int | None = None

    @property
    def cost(self) -> int:
        """Elements this request adds to a batch."""
        return self.item.numel()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReconstructResult:
    """`reconstruction` has the item's shape; `mse` and `mae` are means over its elements."""

    reconstruction: Tensor
    mse: float
    mae: float


Request = EncodeRequest | DecodeRequest | ReconstructRequest
Result = EncodeResult | DecodeResult | ReconstructResult


@runtime_checkable
class Encodes(Protocol):
    """Maps items to latents."""

    def encode(self, requests: Sequence[EncodeRequest]) -> list[EncodeResult]:
        """One latent a request, in order."""


@runtime_checkable
class Decodes(Protocol):
    """Maps latents to items."""

    def decode(self, requests: Sequence[DecodeRequest]) -> list[DecodeResult]:
        """One reconstruction a request, in order."""


@runtime_checkable
class Reconstructs(Protocol):
    """Maps items to latents and back."""

    def reconstruct(self, requests: Sequence[ReconstructRequest]) -> list[ReconstructResult]:
        """One reconstruction with its errors a request, in order."""


@dataclass(frozen=True, slots=True)
class Task:
    """One verb of the server."""

    name: str
    request: type[Request]
    result: type[Result]
    protocol: type[Any]

    def run(self, model: object, requests: Sequence[Request]) -> list[Result]:
        """Ask `model` once for the whole batch."""
        results: list[Result] = getattr(model, self.name)(requests)
        return results


ENCODE = Task("encode", EncodeRequest, EncodeResult, Encodes)
DECODE = Task("decode", DecodeRequest, DecodeResult, Decodes)
RECONSTRUCT = Task("reconstruct", ReconstructRequest, ReconstructResult, Reconstructs)

TASKS = {task.name: task for task in (ENCODE, DECODE, RECONSTRUCT)}
