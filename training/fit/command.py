"""The command `manifold fit`.

Modules that take seconds to import are imported when the command runs.
"""

import json
from pathlib import Path
from typing import Any

import click

from training.fit.command_options import checkpoint_options, false_alarms_option

MAX_CONTAMINATION = 0.5
KINDS = ("table", "series", "pictures")


def _names(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _contamination(context: click.Context, parameter: click.Parameter, value: str) -> str | float:
    if value in ("auto", "none"):
        return value
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 < share < MAX_CONTAMINATION:
        raise click.BadParameter(f"{value!r} is neither auto nor none, nor a share from 0 to {MAX_CONTAMINATION:g}.")
    return share


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--as", "kind", type=click.Choice(KINDS), help="What the rows are. Default: series if times rise evenly.")
@click.option("--family", help="Family of the model, such as variational. Default: the one that suits the data.")
@click.option("--time", help="Column of times, which puts the rows in order.")
@click.option("--key", help="Column that tells several series in the file apart.")
@click.option("--window", type=click.IntRange(2, 1024), help="Rows of a series that are looked at together.")
@click.option(
    "--stride", type=click.IntRange(1, 1024), help="Rows from one window to the next. Default: an eighth of it."
)
@click.option("--columns", default="", callback=_names, help="Columns to use, separated by commas. Default: all.")
@click.option("--ignore", default="", callback=_names, help="Columns to leave out, separated by commas.")
@click.option(
    "--schema",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file with a section for each column whose kind, unit or values are not what they seem.",
)
@click.option(
    "--label", help="Column that is 1 or true for known anomalies, or subfolder with pictures of them. Not trained on."
)
@false_alarms_option("rows, steps or pictures")
@click.option(
    "--contamination",
    default="auto",
    show_default=True,
    callback=_contamination,
    help="Share of the data without a label that are anomalies and left out; auto finds out, none leaves nothing out.",
)
@click.option("--minutes", type=click.FloatRange(0, min_open=True), default=5.0, show_default=True, help="Time limit.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the split, the weights and the noise.")
@click.option("--dry-run", is_flag=True, help="Tell what the data are, and train nothing.")
@click.option("--json-lines", is_flag=True, help="Print JSON on a line each: also what is found, and the progress.")
@checkpoint_options
def fit(data: Path, dry_run: bool, as_json: bool, json_lines: bool, **options: Any) -> None:
    """Make an anomaly detector from a table, time series or pictures.

    DATA is a file of separated values whose first line names the columns: numbers, booleans, categories and dates, with
    gaps. What each column is, is found out and printed, and whether the rows are a series. DATA may also be a folder of
    PNG, JPEG or WebP files. The checkpoint is written to a folder of its own in ./checkpoints, where `manifold serve`
    finds it.

    \b
    Keys of the JSON output:
      folder               where the checkpoint is
      kind, window         table, series or pictures; rows of a series that are looked at together, or null
      rows                 number of rows or pictures by use: training, validation, calibration; anomalies, which
                           are labelled; suspects, which are left out; of series, windows for the first two
      columns, left_out    what the model sees, and which columns it does not see, and why
      steps, seconds       length of the training
      false_alarm_rate     share of normal rows that may be called anomalies
      threshold            the score above which a row is one
      found_share          share of the labelled anomalies that are found; null without any
      figures              by detector: auroc, average_precision; null without labels or scikit-learn

    \b
    Lines of --json-lines are objects with one key:
      found                kind, window, rows (their number), time, key, columns, left_out; also the JSON output of
                           --dry-run
      note                 a sentence about what was decided
      progress             stage; done, from 0 to 1; steps and error of the training
      result               the JSON output
    """
    from rich.console import Console

    from training.errors import TrainingError

    if as_json and json_lines:
        raise click.UsageError("--json and --json-lines exclude each other.")
    try:
        from training.fit.options import FitOptions
        from training.fit.pipeline import fit_file, inspect_file
        from training.fit.report import JsonLinesReport, Report, TextReport, describe
    except ModuleNotFoundError as error:
        advice = "pip install -c constraints.txt -e '.[fit]' installs it"
        raise click.ClickException(f"this needs the package {error.name}; {advice}") from error
    report: Report = JsonLinesReport(click.echo) if json_lines else TextReport(Console(stderr=as_json))
    try:
        if dry_run:
            found = describe(inspect_file(data, FitOptions(**options), report))
        else:
            found = fit_file(data, FitOptions(**options), report).to_json()
    except TrainingError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(found, indent=2))
