"""The Dockerfile and the files beside it fit together; `make container-test` builds and runs what they describe."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from app.settings import ENV_PREFIX, Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
VOLUME = "/data"
DIGESTS = {"python:3.11-slim": "a" * 64}
"""Digests that the imitation of a registry knows; those of other images are made of the letter b."""


def variables() -> dict[str, str]:
    (block,) = re.findall(r"^ENV (PATH=(?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)
    return dict(pair.split("=", 1) for pair in block.replace("\\\n", " ").split())


def test_everything_that_is_copied_is_here_and_sent_to_the_builder() -> None:
    sources = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    names = {name for source in sources for name in source.split()}
    assert all((ROOT / name).exists() for name in names)
    assert {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")} == names


def test_the_default_extras_exist() -> None:
    (extras,) = re.findall(r'^ARG EXTRAS="(.*)"$', DOCKERFILE, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(extras.split()) <= set(project["optional-dependencies"])


def test_all_variables_that_name_folders_to_write_to_name_the_volume() -> None:
    written = {name: value for name, value in variables().items() if not name.startswith((ENV_PREFIX, "PATH"))}
    assert written.keys() == {"HOME", "TMPDIR", "HF_HOME", "TRITON_CACHE_DIR"}
    assert all(Path(value).is_relative_to(VOLUME) for value in written.values())
    assert f"\nWORKDIR {VOLUME}\nVOLUME {VOLUME}\nUSER 10001:10001\n" in DOCKERFILE


def test_the_variables_of_the_image_are_settings_that_leave_the_port_to_the_user() -> None:
    names = {name.removeprefix(ENV_PREFIX).lower() for name in variables() if name.startswith(ENV_PREFIX)}
    assert names <= Settings.model_fields.keys()
    assert "port" not in names  # a file of settings could not change it
    assert f"\nEXPOSE {Settings.model_fields['port'].default}\n" in DOCKERFILE


def test_the_health_check_is_a_module() -> None:
    (check,) = re.findall(r"^HEALTHCHECK (?:.*\\\n)*\s*CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    *interpreter, module = json.loads(check)
    assert interpreter == ["python3", "-I", "-m"]
    assert importlib.util.find_spec(module)


def test_compose_runs_the_image_with_its_volume_and_nothing_else_to_write_to() -> None:
    service = COMPOSE["services"]["manifold"]
    assert set(service["build"]["args"]) <= set(re.findall(r"^ARG (\w+)=", DOCKERFILE, re.MULTILINE))
    assert service["volumes"] == [f"manifold:{VOLUME}"]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    longest_s = Settings.model_fields["shutdown_timeout_s"].default + Settings.model_fields["drain_ms"].default / 1000
    assert int(service["stop_grace_period"].removesuffix("s")) > longest_s


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the files that name images, and an imitation of skopeo, which asks registries for digests."""
    for name in ("Dockerfile", "deploy/compose.yaml", "deploy/pin-images"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bin").mkdir()
    skopeo = tmp_path / "bin/skopeo"
    cases = "".join(f"docker://{name}) digest={digest};; " for name, digest in DIGESTS.items())
    skopeo.write_text(f'#!/bin/sh\ncase "$4" in {cases}*) digest={"b" * 64};; esac\necho sha256:${{DIGEST-$digest}}\n')
    skopeo.chmod(0o755)
    return tmp_path


def pin(copy: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PATH": f"{copy / 'bin'}:{os.environ['PATH']}", **variables}
    return subprocess.run([copy / "deploy/pin-images"], env=environment, capture_output=True, text=True)


@pytest.mark.skipif(not shutil.which("bash"), reason="the command is a script of bash")
def test_images_are_pinned_and_pinned_anew(copy: Path) -> None:
    for digit in ("c", None):
        done = pin(copy, **({"DIGEST": digit * 64} if digit else {}))
        assert done.returncode == 0, done.stderr
        digest = digit * 64 if digit else DIGESTS["python:3.11-slim"]
        assert f"\nARG BASE=python:3.11-slim@sha256:{digest}\n" in (copy / "Dockerfile").read_text()
    images = [
        service["image"] for service in yaml.safe_load((copy / "deploy/compose.yaml").read_text())["services"].values()
    ]
    assert images == [
        "manifold",
        *(
            f"{COMPOSE['services'][name]['image'].partition('@')[0]}@sha256:{'b' * 64}"
            for name in ("prometheus", "grafana")
        ),
    ]
    assert sorted(path.name for path in copy.iterdir()) == ["Dockerfile", "bin", "deploy"]


@pytest.mark.skipif(not shutil.which("bash"), reason="the command is a script of bash")
def test_a_registry_that_answers_something_else_changes_nothing(copy: Path) -> None:
    done = pin(copy, DIGEST="not found")
    assert done.returncode == 1
    assert "The digest of python:3.11-slim is not a SHA-256: sha256:not found" in done.stderr
    assert (copy / "Dockerfile").read_text() == DOCKERFILE
