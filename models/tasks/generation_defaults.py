"""What a checkpoint prefers where a request to generate texts leaves a parameter out."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from models.errors import InvalidItems, Problem
from models.tasks.generation import DEFAULT_NEW_TOKENS, EarlyStopping, GenerateRequest
from models.tasks.text import Tokens

SAMPLING_PARAMETERS = ("temperature", "top_k", "top_p", "min_p", "typical_p")
"""Parameters that turn on sampling if a request gives any of them, and that only sampling uses."""
SHARED_PARAMETERS = ("repetition_penalty", "no_repeat_ngram_size", "length_penalty", "early_stopping")
"""Parameters that are the request's, else the checkpoint's, whatever the other parameters are."""


@dataclass(frozen=True, kw_only=True)
class GenerationDefaults:
    """The values of a checkpoint for parameters that a request leaves out; None where the checkpoint has no preference.

    The names are those of `generation_config.json`. `max_length` and `min_length` count the tokens that the decoder is
    given as well, and have no effect beside `max_new_tokens` and `min_new_tokens`. `num_return_sequences` is `n`.
    """

    max_new_tokens: int | None = None
    max_length: int | None = None
    min_new_tokens: int | None = None
    min_length: int | None = None
    do_sample: bool | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repetition_penalty: float | None = None
    no_repeat_ngram_size: int | None = None
    num_beams: int | None = None
    length_penalty: float | None = None
    early_stopping: EarlyStopping | None = None
    num_return_sequences: int | None = None

    def preferred(self) -> dict[str, Any]:
        """Return the preferences by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def new_tokens_after(self, n_given: int) -> int | None:
        """Return the preferred maximum of new tokens after `n_given` tokens that the decoder is given.

        A `max_length` that leaves no room after them does not count.
        """
        if self.max_new_tokens is not None:
            return self.max_new_tokens
        return self.max_length - n_given if self.max_length is not None and self.max_length > n_given else None

    def fewest_after(self, n_given: int) -> int:
        """Return the preferred minimum of new tokens after `n_given` tokens that the decoder is given."""
        return max(0, (self.min_length or 0) - n_given) if self.min_new_tokens is None else self.min_new_tokens

    def of_new_tokens(self, n_given: int) -> "GenerationDefaults":
        """Return the same preferences without lengths that count the `n_given` tokens that every decoder is given."""
        most, fewest = self.new_tokens_after(n_given), self.fewest_after(n_given) or self.min_new_tokens
        return replace(self, max_new_tokens=most, min_new_tokens=fewest, max_length=None, min_length=None)

    def complete(self, tokens: Tokens, given: Mapping[str, Any], *, n_new: int = DEFAULT_NEW_TOKENS) -> GenerateRequest:
        """Return a request with the parameters that a caller gives, and the checkpoint's values for all others.

        Args:
            tokens: the prompt or the text to translate.
            given: the parameters that are given, by the names of `GenerateRequest`; None stands for one that is not.
            n_new: maximum of new tokens if neither the caller nor the checkpoint has one.

        Raises:
            InvalidItems: parameters contradict one another.
        """
        said = {name: value for name, value in given.items() if value is not None}
        chosen = self._chosen_search(said)
        for name in SHARED_PARAMETERS:
            if name not in said and getattr(self, name) is not None:
                chosen[name] = getattr(self, name)
        if "min_new_tokens" not in said:
            fewest = self.fewest_after(len(tokens))
            chosen["min_new_tokens"] = min(fewest, said.get("max_new_tokens", fewest))
        preferred = self.new_tokens_after(len(tokens)) or n_new
        chosen["default_new_tokens"] = max(preferred, (said | chosen)["min_new_tokens"])
        return GenerateRequest(tokens=tokens, **(said | chosen))

    def _chosen_search(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters that decide between greedy search, sampling and beam search.

        What the caller says decides. A checkpoint's `num_beams` counts only for a caller who does not sample.
        """
        sampling = [name for name in SAMPLING_PARAMETERS if name in said]
        if sampling and said.get("do_sample") is False:
            raise _refusal(f"{sampling[0]} is for sampling, but do_sample is false", sampling[0])
        n_beams = said.get("num_beams")
        is_search = n_beams is not None and n_beams > 1
        if is_search and (sampling or said.get("do_sample")):
            detail = (
                f"num_beams above 1 is a beam search, which cannot be combined with sampling: num_beams is {n_beams}"
            )
            raise _refusal(detail, "num_beams")
        samples: bool = said.get("do_sample", bool(sampling) or (bool(self.do_sample) and not is_search))
        if n_beams is None:
            n_beams = 1 if samples else self.num_beams or 1
        chosen: dict[str, Any] = {"do_sample": samples, "num_beams": n_beams, "n": said.get("n")}
        if samples:
            values = {name: said.get(name, getattr(self, name)) for name in SAMPLING_PARAMETERS}
            chosen |= {name: value for name, value in values.items() if value is not None}
        if chosen["n"] is None:
            preferred = self.num_return_sequences or 1
            chosen["n"] = preferred if samples else min(preferred, n_beams)
        elif n_beams > 1 and chosen["n"] > n_beams:
            whose = "" if "num_beams" in said else ", which is this model's default; give num_beams as well"
            raise _refusal(f"n is {chosen['n']}, more than num_beams, {n_beams}{whose}", "n")
        return chosen


def _refusal(detail: str, parameter: str) -> InvalidItems:
    return InvalidItems(Problem(detail, parameter=parameter))
