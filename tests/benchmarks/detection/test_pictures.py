"""The benchmark of fitted pictures."""

import json

from click.testing import CliRunner

from benchmarks.detection.pictures import pictures


def test_faults_in_cloth_are_found_by_their_patches() -> None:
    run = CliRunner().invoke(pictures, ["--only", "cloth", "--seconds", "3", "--json"])
    assert run.exit_code == 0, run.output
    (found,) = json.loads(run.stdout)["pictures"]
    assert found["auroc"]["patch"] > 0.95 > found["auroc"]["error"]
    assert found["found"] > 0.8
    assert found["false_alarms"] < 0.06


def test_a_name_that_no_pictures_have_is_refused() -> None:
    run = CliRunner().invoke(pictures, ["--only", "x"])
    assert run.exit_code == 1
    assert "no pictures have a name that contains 'x'" in run.output
