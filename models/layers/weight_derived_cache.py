"""What is made of weights once, and again when they change."""

from collections.abc import Callable
from typing import Any, Self

from torch import nn


class WeightDerivedCache(nn.Module):
    """Keeps what it makes of its weights until they move or change their type."""

    def forget(self) -> None:
        """Whatever was made."""
        raise NotImplementedError

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        self.forget()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self
