"""A module that keeps what is computed from its weights."""

from collections.abc import Callable
from typing import Any, Self, TypeVar

from torch import nn
from typing_extensions import override

ValueT = TypeVar("ValueT")


class WeightDerivedCache(nn.Module):
    """Keeps values that are computed from its weights, until the weights move to a device or change their dtype."""

    def __init__(self) -> None:
        super().__init__()
        self._derived: dict[Callable[[Self], Any], Any] = {}

    def derived(self, compute: Callable[[Self], ValueT]) -> ValueT:
        """Return what a function computes from this module. It is computed once, until `clear_derived` is called."""
        if compute not in self._derived:
            self._derived[compute] = compute(self)
        value: ValueT = self._derived[compute]
        return value

    def clear_derived(self) -> None:
        """Drop all values, because the weights have changed."""
        self._derived.clear()

    @override
    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        self.clear_derived()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    @override
    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_derived": {}}  # a copy has other weights
