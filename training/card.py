"""Render the model card from what a recipe declares and what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.recipe import Recipe

CARD_FILE = "README.md"


@dataclass(frozen=True)
class Picture:
    """A picture file in the checkpoint's folder, with its caption."""

    file: str
    caption: str


def card(
    recipe: Recipe, metrics: Mapping[str, float], pictures: Sequence[Picture], sections: Mapping[str, str] | None = None
) -> str:
    """Return the model card in Markdown, with the further `sections`, by title, before the section on limits."""
    rows = "\n".join(
        f"| {meaning} | {metrics[name]:.5f} | {_bar_text(recipe, name)} |" for name, meaning in recipe.metrics.items()
    )
    picture_lines = "\n".join(f"![{picture.caption}]({picture.file})\n\n{picture.caption}\n" for picture in pictures)
    extra = "".join(f"## {title}\n\n{text.strip()}\n\n" for title, text in (sections or {}).items())
    return f"""# {recipe.name}

{recipe.summary.strip()}

{picture_lines}
## Metrics

Measured on the file in this folder:

| metric | value | bar |
|---|---|---|
{rows}

```
make evaluate
```

prints the same numbers again.

## Data and recipe

{recipe.procedure.strip().format_map(metrics)}

```
make train RECIPE={recipe.name}
```

repeats it; `training/recipes/{recipe.name.replace("-", "_")}.py` is the whole recipe. Weights are stored as
{str(recipe.stored_dtype).removeprefix("torch.")} and computed in float32.

{extra}## Limits

{recipe.limits.strip()}

## Licence

Weights: {recipe.licence}. {recipe.data_licence.strip()}
"""


def _bar_text(recipe: Recipe, name: str) -> str:
    bar = recipe.bars.get(name)
    if bar is None:
        return ""
    return f"{'at least' if bar.higher_is_better else 'at most'} {bar.must:g}"
