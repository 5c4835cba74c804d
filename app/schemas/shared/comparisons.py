"""Tasks that compare a text with candidates: their parameters, and how their items are read."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field

from app.schemas.shared.envelope import EmbeddingParameters
from app.schemas.shared.items import each_item, read_text_objects, tokenize_items
from app.schemas.shared.task_schema import ModelCodecs
from models.codecs.arrays import Limits
from models.codecs.text import TextItem
from models.errors import InvalidItems
from models.tasks.text import Tokens


class ComparisonParameters(EmbeddingParameters):
    """Parameters of tasks that compare the embedding of a text with those of candidates."""

    candidates_prompt_name: str | None = Field(
        None,
        max_length=1000,
        description="Name of the prompt to put before each candidate, for models that tell queries from documents; as "
        "for the text that they are compared with if omitted or null; no prompt if empty.",
    )


def read_comparisons(body: Any, codecs: ModelCodecs, limits: Limits, name: str) -> list[tuple[Tokens, ...]]:
    """Return the tokens of the texts of each item, `name` first and then the candidates, each after its prompt.

    Raises:
        InvalidItems: an item is refused, or the model has no prompt of that name.
    """
    prompts, parameters = codecs.texts.prompts, body.parameters
    prompt = of_candidates = prompts.choose(parameters.prompt_name)
    if parameters.candidates_prompt_name is not None:
        of_candidates = prompts.choose(parameters.candidates_prompt_name, "candidates_prompt_name")

    def tokenize(texts: Sequence[str], names: Sequence[str], prompt: str) -> list[Tokens]:
        return tokenize_named(list(map(TextItem, texts)), names, body, codecs, prompt)

    def read(item: dict[str, Any]) -> tuple[Tokens, ...]:
        source, candidates = item[name], item["candidates"]
        names = [name, *candidate_names(candidates)]
        if of_candidates == prompt:
            return tuple(tokenize([source, *candidates], names, prompt))
        return (*tokenize([source], names, prompt), *tokenize(candidates, names[1:], of_candidates))

    return _read_each(body, codecs, limits, name, read)


def read_pairs(body: Any, codecs: ModelCodecs, limits: Limits, name: str) -> list[tuple[Tokens, ...]]:
    """Return the tokens of the pairs of each item: of the text `name` and of each candidate.

    Raises:
        InvalidItems: an item is refused, or the model takes no pairs.
    """

    def read(item: dict[str, Any]) -> tuple[Tokens, ...]:
        candidates = item["candidates"]
        pairs = [TextItem(item[name], candidate) for candidate in candidates]
        return tuple(tokenize_named(pairs, candidate_names(candidates), body, codecs))

    return _read_each(body, codecs, limits, name, read)


def candidate_names(candidates: Sequence[str]) -> list[str]:
    """Return what errors call each candidate of an item."""
    return [f"candidates/{place}" for place in range(len(candidates))]


def tokenize_named(
    items: Sequence[TextItem], names: Sequence[str], body: Any, codecs: ModelCodecs, prompt: str = ""
) -> list[Tokens]:
    """Return the tokens of the texts of one item; a problem with a text says its name.

    Raises:
        InvalidItems: a text is refused.
    """
    try:
        return tokenize_items(items, body.parameters, codecs, prompt=prompt)
    except InvalidItems as error:
        problems = error.problems
        named = (
            problem if problem.index is None else replace(problem, detail=f"{names[problem.index]}: {problem.detail}")
            for problem in problems
        )
        raise InvalidItems(*named) from None


def _read_each(
    body: Any, codecs: ModelCodecs, limits: Limits, name: str, read: Callable[[dict[str, Any]], tuple[Tokens, ...]]
) -> list[tuple[Tokens, ...]]:
    items = read_text_objects(body.inputs, {name: str, "candidates": list}, limits, codecs.texts)
    return each_item(items, read)
