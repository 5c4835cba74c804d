"""Make valid inputs of a model from its card, the same for the same seed."""

import random
from typing import Any

import numpy as np

WORDS = tuple(
    "the old dog ran home and a small red bird sang in green trees by night while rain fell on every roof".split()  # noqa: SIM905 a text is easier to read
)
MEAN_LOG_WORDS, DEVIATION_LOG_WORDS, MAX_WORDS = 3.1, 0.6, 100


def random_text(draw: random.Random) -> str:
    """Return a text whose number of words is log-normal."""
    n = min(MAX_WORDS, max(1, round(draw.lognormvariate(MEAN_LOG_WORDS, DEVIATION_LOG_WORDS))))
    return " ".join(draw.choices(WORDS, k=n))


class ModelInputs:
    """Makes inputs of one model, with digits enough to tell them apart."""

    def __init__(self, card: dict[str, Any], seed: int, n_digits: int = 4) -> None:
        self.card, self.model, self._n_digits = card, str(card["id"]), n_digits
        self.draw = random.Random(seed)  # noqa: S311 not a secret
        self._numbers = np.random.default_rng(seed)

    @property
    def tasks(self) -> list[str]:
        """Return the tasks that the model serves, as paths name them."""
        return [task.replace("_", "-") for task in self.card["tasks"]]

    def texts(self, n: int, n_words: int | None = None) -> list[str]:
        """Return texts of mixed lengths, or of a number of words."""
        if n_words is None:
            return [random_text(self.draw) for _ in range(n)]
        return [" ".join(self.draw.choices(WORDS, k=n_words)) for _ in range(n)]

    def items(self, n: int) -> list[Any]:
        """Return items of the model's shape, of numbers between 0 and 1; sounds of up to a tenth of a second."""
        if self.is_sound:
            most = self.card["item"]["shape"][0] // 10
            lengths = self._numbers.integers(1, most, n, endpoint=True)
            return [self._rounded(self._numbers.uniform(-1, 1, length)) for length in lengths]
        return self._rounded(self._numbers.random((n, *self.card["item"]["shape"])))

    def latents(self, n: int) -> list[Any]:
        """Return latents of the model's shape, from a normal distribution; of sounds, the codes of a single frame."""
        if self.is_sound:
            return [{"codes": [[[int(self._numbers.integers(2))]]], "length": 1} for _ in range(n)]
        return self._rounded(self._numbers.normal(size=(n, *self.card["latent_shape"])))

    def items_with_gaps(self, n: int) -> list[Any]:
        """Return flat items of which about a third of the values is missing."""
        values = self._numbers.random((n, int(np.prod(self.card["item"]["shape"]))))
        return [[None if value < 1 / 3 else round(float(value), self._n_digits) for value in item] for item in values]

    @property
    def mask(self) -> str:
        """Return the mask of the model's vocabulary."""
        return "<mask>" if self.card["family"] == "transformers/roberta" else "[MASK]"

    @property
    def is_text(self) -> bool:
        """Return whether the model reads texts."""
        return self.card["item"]["modality"] in ("text", "sentence")

    @property
    def is_sound(self) -> bool:
        """Return whether the model takes sounds, which have one channel here."""
        return bool(self.card["item"]["modality"] == "audio")

    def of_task(self, task: str, n: int = 1, n_words: int | None = None) -> list[Any] | None:
        """Return the inputs of a request; None for a task without any. Streams to decompress are not made here."""
        texts = self.texts(n, n_words) if self.is_text else []
        match task:
            case "sample":
                return None
            case "decode":
                return self.latents(n)
            case "impute":
                return [["a", None, text] for text in texts] if self.is_text else self.items_with_gaps(n)
            case "interpolate":
                return self.texts(2, n_words) if self.is_text else self.items(2)
            case "similarity":
                return [{"source": text, "candidates": self.texts(2, n_words)} for text in texts]
            case "rerank":
                return [{"query": text, "candidates": self.texts(2, n_words)} for text in texts]
            case "answer":
                return [{"question": "who sang?", "context": text} for text in texts]
            case "fill-mask":
                return [f"the {self.mask} {text}" for text in texts]
            case "detokenize":
                return [[5, 6, 7 + number] for number in range(n)]
            case _:
                return list(texts) if self.is_text else self.items(n)

    def _rounded(self, values: np.ndarray[Any, Any]) -> list[Any]:
        return values.round(self._n_digits).tolist()  # type: ignore[no-any-return]
