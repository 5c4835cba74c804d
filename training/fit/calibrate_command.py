"""The command `manifold calibrate`.

Modules that take seconds to import are imported when the command runs.
"""

import json
from dataclasses import asdict
from pathlib import Path

import click

from training.fit.command_options import false_alarms_option, folder_option, json_option


@click.command()
@click.argument("name")
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--label", help="Column that is 1 or true for known anomalies, or subfolder of them; they are left out.")
@false_alarms_option("rows, steps, pictures or sounds")
@folder_option("--checkpoints", "Folder in which the checkpoint's own folder is.")
@json_option
def calibrate(
    name: str, data: Path, label: str | None, false_alarm_rate: float, checkpoints: Path, *, as_json: bool
) -> None:
    """Set the threshold of a checkpoint anew, without training.

    NAME is a checkpoint of `manifold fit` or of sounds, and DATA new normal data of the same kind, which the model must
    not have been trained on. The scores of DATA replace those that thresholds and p-values come from; a checkpoint of
    sounds may have none before.

    \b
    Keys of the JSON output:
      score                the score that the thresholds are of
      n_scores             number of rows, steps, pictures or sounds that were scored
      false_alarm_rate     share of normal ones that may be called anomalies
      threshold_before, threshold
                           the threshold of the checkpoint before, null if it had none, and now
      flagged_before       share of the new data that the threshold before would have called anomalies, or null
    """
    from training.errors import TrainingError

    try:
        from training.fit.recalibration import recalibrate
    except ModuleNotFoundError as error:
        advice = "pip install -c constraints.txt -e '.[fit]' installs it"
        raise click.ClickException(f"this needs the package {error.name}; {advice}") from error
    try:
        found = recalibrate(checkpoints / name, data, label=label, false_alarm_rate=false_alarm_rate)
    except TrainingError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
        return
    before = "; there was none before"
    if found.threshold_before is not None and found.flagged_before is not None:
        before = f", and was {found.threshold_before:.4g}, which {found.flagged_before:.2%} of them exceed"
    click.echo(
        f"{found.n_scores} new scores; the threshold is {found.threshold:.4g}{before}\n"
        f"wrote {checkpoints / name}; a running server takes it by POST /models/{name}/unload and /load"
    )
