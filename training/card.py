"""The model card, from what a recipe says and what was measured."""

from collections.abc import Mapping

from training.recipe import Recipe


def card(recipe: Recipe, metrics: Mapping[str, float]) -> str:
    """Markdown."""
    rows = "\n".join(
        f"| {what} | {metrics[name]:.5f} | {_bar(recipe, name)} |" for name, what in recipe.metrics.items()
    )
    caption = recipe.caption.format_map(metrics)
    return f"""# {recipe.name}

{recipe.summary.strip()}

![{caption}](picture.png)

{caption}

![Latents and anomaly scores of items never trained on.](charts.png)

Latents and anomaly scores of items never trained on.

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

{recipe.story.strip().format_map(metrics)}

```
make train RECIPE={recipe.name}
```

repeats it; `training/recipes/{recipe.name.replace("-", "_")}.py` is the whole recipe. Weights are stored as
{str(recipe.stored_dtype).removeprefix("torch.")} and computed in float32.

## Limits

{recipe.limits.strip()}

## Licence

Weights: {recipe.licence}. {recipe.data_licence.strip()}
"""


def _bar(recipe: Recipe, name: str) -> str:
    bar = recipe.bars.get(name)
    if bar is None:
        return ""
    return f"{'at least' if bar.more else 'at most'} {bar.must:g}"
