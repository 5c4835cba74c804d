"""Prompts: texts that a sentence encoder expects before those that it makes vectors of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.errors import InvalidItems, Problem


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """The prompts of a checkpoint.

    Attributes:
        by_name: the prompts by their names; some may be empty.
        default: the name of the prompt of requests that name none; without it, they have no prompt.
        are_pooled: whether the tokens of a prompt count when a text's vector is made of those of its tokens.
    """

    by_name: Mapping[str, str] = field(default_factory=dict)
    default: str | None = None
    are_pooled: bool = True

    def choose(self, name: str | None, parameter: str = "prompt_name") -> str:
        """Return the prompt of that name; the default one if the name is None, and none if it is empty.

        Raises:
            InvalidItems: there is no prompt of that name; the error blames the parameter.
        """
        name = self.default if name is None else name
        if not name:
            return ""
        if name not in self.by_name:
            known = f"this model has {', '.join(self.by_name)}" if self.by_name else "this model has no prompts"
            raise InvalidItems(Problem(f"{parameter} is {name[:100]!r}; {known}", parameter=parameter))
        return self.by_name[name]
