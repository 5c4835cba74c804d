"""Draw random values that a JSON schema of an OpenAPI document allows, with a liking for its limits."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MAX_DEPTH, MAX_MEMBERS = 6, 4
OPTIONAL_PROB, EDGE_PROB, ANYWHERE_PROB = 0.35, 0.1, 0.03
"""Probabilities that an optional property is there, and that a number is a limit, or anywhere between both."""
SMALL = 8
"""Most that other integers exceed their least value by, because large ones mostly cost time."""
ODD_NUMBERS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-320, 1e-7, 1e7, 1e30, -1e30, 3.4e38, 1e308)
ODD_TEXTS = (
    *("", " ", "\n", "\x00", "a", "Ä", "ß", "ﬁ", "İ", "ﷺ", "\u0301", "e\u0301\u0301", "\u200b", "\u202e abc", "\ufeff"),
    *(
        "👩‍👩‍👧‍👦",
        "🇩🇪",
        "日本語",
        "עברית",
        "ไทย",
        "\U0010ffff",
        "\ud800",
        "a\udfff",
        "[MASK]",
        "<mask>",
        "[CLS] [SEP]",
        "</s>",
    ),
    *(
        "<|endoftext|>",
        "a dog runs.",
        "A" * 300,
        "a " * 300,
        "1" * 400,
        "%s %d {}",
        "../..",
        "data:image/png;base64,",
        "NaN",
    ),
)


def odd_text(draw: random.Random) -> str:
    """Return one text or a few, joined."""
    return "".join(draw.choices(ODD_TEXTS, k=draw.choice((1, 1, 1, 2, 3))))


class SchemaDraws:
    """Draws values of the schemas of one OpenAPI document."""

    def __init__(self, openapi: Mapping[str, Any]) -> None:
        self._document = openapi

    def resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the schema that a reference names, or the schema itself."""
        while "$ref" in schema:
            found: Any = self._document
            for key in schema["$ref"].removeprefix("#/").split("/"):
                found = found[key]
            schema = found
        return schema

    def value(self, schema: Mapping[str, Any], draw: random.Random, depth: int = 0) -> Any:
        """Return a random value."""
        schema = self.resolve(schema)
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return self.value(draw.choice(schema[key]), draw, depth)
        if "allOf" in schema:
            schema = {**schema, **{key: value for part in schema["allOf"] for key, value in self.resolve(part).items()}}
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return draw.choice(schema["enum"])
        kind = schema.get("type", "object" if "properties" in schema else "any")
        makers: dict[str, Callable[[Mapping[str, Any], random.Random, int], Any]] = {
            "string": _string,
            "integer": _integer,
            "number": _number,
            "boolean": lambda _, draw, __: draw.random() < 0.5,
            "null": lambda *_: None,
            "array": self._array,
            "object": self._object,
        }
        if isinstance(kind, list):
            kind = draw.choice(kind)
        if kind not in makers:
            kind = draw.choice(("string", "integer", "number", "boolean", "null"))
        return makers[kind](schema, draw, depth)

    def _array(self, schema: Mapping[str, Any], draw: random.Random, depth: int) -> list[Any]:
        if "prefixItems" in schema:
            return [self.value(each, draw, depth + 1) for each in schema["prefixItems"]]
        least = schema.get("minItems", 0)
        most = min(schema.get("maxItems", least + MAX_MEMBERS), least + MAX_MEMBERS)
        n = least if depth >= MAX_DEPTH else draw.randint(least, max(least, most))
        return [self.value(schema.get("items", {}), draw, depth + 1) for _ in range(n)]

    def _object(self, schema: Mapping[str, Any], draw: random.Random, depth: int) -> dict[str, Any]:
        required = schema.get("required", ())
        found = {
            name: self.value(each, draw, depth + 1)
            for name, each in schema.get("properties", {}).items()
            if name in required or (depth < MAX_DEPTH and draw.random() < OPTIONAL_PROB)
        }
        others = schema.get("additionalProperties")
        if isinstance(others, Mapping) and depth < MAX_DEPTH:
            found |= {odd_text(draw)[:20]: self.value(others, draw, depth + 1) for _ in range(draw.randrange(3))}
        return found


def _string(schema: Mapping[str, Any], draw: random.Random, depth: int) -> str:
    examples: Sequence[str] = [text for text in schema.get("examples", ()) if isinstance(text, str)]
    if examples and draw.random() < 0.7:
        return draw.choice(examples)
    text = odd_text(draw)
    return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", len(text) + 1)]


def _integer(schema: Mapping[str, Any], draw: random.Random, depth: int) -> int:
    least: int = math.ceil(schema.get("minimum", schema.get("exclusiveMinimum", -2) + 1))
    most: int = math.floor(schema.get("maximum", schema.get("exclusiveMaximum", 2**63) - 1))
    chance = draw.random()
    if chance < EDGE_PROB:
        return draw.choice((least, most))
    if chance < EDGE_PROB + ANYWHERE_PROB:
        return draw.randint(least, most)
    return draw.randint(least, min(most, least + SMALL))


def _number(schema: Mapping[str, Any], draw: random.Random, depth: int) -> float:
    least = schema.get("minimum", schema.get("exclusiveMinimum", -math.inf))
    most = schema.get("maximum", schema.get("exclusiveMaximum", math.inf))
    allowed = [number for number in (*ODD_NUMBERS, least, most) if least <= number <= most and math.isfinite(number)]
    if math.isfinite(least) and math.isfinite(most) and draw.random() < 0.7:
        return draw.uniform(least, most)
    return draw.choice(allowed or [least])
