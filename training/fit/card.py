"""The model card of a fitted checkpoint."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import fill
from typing import Any

from models.autoencoding.calibration import CONFIDENCE
from models.codecs import ImageCodec, TableSeriesCodec
from training.fit.charts import CHARTS_FILE
from training.fit.comparison import OWN, Figures
from training.fit.prepared import Prepared

CARD_WIDTH = 120
"""Maximum number of characters of a line that is filled."""


@dataclass(frozen=True)
class Facts:
    """What a model card tells of a fit, beside what the data say themselves.

    Attributes:
        name: the name of the checkpoint.
        source: the name of the file.
        n_trained: the number of rows or windows that the weights were trained on.
        n_calibrated: the number of rows or steps that the threshold comes from.
        false_alarm_rate: the share of normal rows or steps that the threshold may flag.
        n_steps: the number of training steps.
        figures: the figures of the model and of other detectors, where anomalies were labelled.
        found_share: the share of the labelled anomalies that the threshold flags.
    """

    name: str
    source: str
    n_trained: int
    n_calibrated: int
    false_alarm_rate: float
    n_steps: int
    figures: Mapping[str, Figures] | None
    found_share: float


def card(facts: Facts, data: Prepared) -> str:
    """Return the model card in Markdown."""
    request = json.dumps({"model": facts.name, "inputs": [data.example]}, ensure_ascii=False)
    trained = f"{facts.n_trained} {'windows' if data.split.windows else data.noun}"
    return f"""# {facts.name}

{_summary(facts, data)}

![Scores, latents, contributions, and reconstructions]({CHARTS_FILE})

Scores of {facts.n_calibrated} {data.noun} by models that were not trained on them, with the threshold; latents; what
contributes to the scores on average; and what the model makes of its input.

## Threshold

{_promise(facts, data)}

The weights were trained on {trained} in {facts.n_steps} steps.
{_comparison(facts, data)}
{_order(data)}{_columns(data)}## Try it

```
manifold serve
curl localhost:8000/detect-anomalies -H 'content-type: application/json' -d '{request}'
```
"""


def _summary(facts: Facts, data: Prepared) -> str:
    codec = data.codec
    if isinstance(codec, ImageCodec):
        return (
            f"A convolutional autoencoder of the {data.n_rows} pictures of `{facts.source}`, seen as {codec.width} by "
            f"{codec.height} pixels."
        )
    of_what = f"windows of {codec.length} rows" if isinstance(codec, TableSeriesCodec) else "the rows"
    return f"A denoising autoencoder of {of_what} of `{facts.source}`: {data.n_rows} rows, {len(data.columns)} columns."


def _columns(data: Prepared) -> str:
    if not data.columns:
        return ""
    columns = "\n".join(
        f"| `{column.name}` | {column.kind} | {_details(column.describe())} |" for column in data.columns
    )
    left_out = "".join(f"- `{name}`: {reason}\n" for name, reason in data.left_out.items())
    return f"""## Columns

| column | kind | |
|---|---|---|
{columns}

{"Left out:" if left_out else "No column was left out."}

{left_out}
"""


def _promise(facts: Facts, data: Prepared) -> str:
    rate, n = f"{facts.false_alarm_rate:.3g}", facts.n_calibrated
    if data.split.windows is None:
        text = (
            f"At most {rate} of normal {data.noun} like these have a score above the threshold, with a probability of "
            f"{CONFIDENCE:.0%} if there are enough to say so. It comes from the scores of {n} {data.noun}, each by a "
            "model that was not trained on it."
        )
    else:
        text = (
            f"At most {rate} of the {n} steps that the model was not trained on have a score above the threshold. "
            "Those of new series exceed it as often if they are like these; neighbouring steps are alike, so that this "
            "is less certain than of rows without an order."
        )
    return fill(text, CARD_WIDTH)


def _order(data: Prepared) -> str:
    codec = data.codec
    if not isinstance(codec, TableSeriesCodec):
        return ""
    sentences = [f"The score of a row is the least of those of the windows of {codec.length} rows that contain it."]
    if codec.time is not None:
        sentences.append(f"The column `{codec.time.name}` puts the rows in order; a step is {codec.time.step_s:g} s.")
        sentences += ["The times are uneven: values between them are interpolated."] if codec.time.is_irregular else []
        sentences.append(f"Up to {codec.time.max_gap} steps without a row are bridged.")
    sentences += [f"The column `{codec.key}` tells several series apart."] if codec.key is not None else []
    return "## Order\n\n" + fill(" ".join(sentences), CARD_WIDTH) + "\n\n"


def _details(described: Mapping[str, Any]) -> str:
    values = described.get("values")
    parts = [f"{len(values)} values and others"] if values is not None else []
    parts += [f"cycles: {', '.join(described['cycles'])}"] if "cycles" in described else []
    return "; ".join([*parts, *(["has gaps"] if described["has_gaps"] else [])])


def _comparison(facts: Facts, data: Prepared) -> str:
    if not data.n_anomalies:
        return ""
    found = f"The threshold flags {facts.found_share:.1%} of the {data.n_anomalies} labelled anomalies."
    if facts.figures is None:
        return f"\n{found}\n"
    rows = "\n".join(
        f"| {name} | {each.auroc:.4f} | {each.average_precision:.4f} |" for name, each in facts.figures.items()
    )
    best = max(facts.figures, key=lambda name: facts.figures[name].auroc if facts.figures else 0.0)
    verdict = "" if best == OWN else f"\n\n**On these rows, {best} is better than this model.**"
    return f"""
{found}

| detector | AUROC | average precision |
|---|---|---|
{rows}{verdict}

All are trained on the same normal {data.noun}, and measured on others and on the labelled anomalies.
"""
