"""The image, built by Buildah on a Debian root, and programs that run in a container of it.

Neither Docker nor a registry of images is needed: debootstrap makes the base image, and Buildah, as root and without
namespaces of its own, builds the image and runs programs in it by `chroot`.
"""

import ast
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from acceptance.environments import ENVIRONMENTS
from tests.app.server import Served, wait_ready

ROOT = Path(__file__).parents[1]
FOLDER = ENVIRONMENTS / "container"
BASE, IMAGE = "localhost/debian-python", "localhost/manifold"
BASE_PACKAGES = ("ca-certificates", "python3", "python3-venv")
"""Packages of Debian that the base image has besides the smallest system: those of the image `python`."""
USER_ID = 10001
VOLUME = "/data"
SHARED_FOLDERS = ("/run/lock", "/tmp", "/var/tmp")  # noqa: S108 nothing is written to them
"""Folders of Debian that every user may write to. An empty one that belongs to root is mounted over each."""
BUILD_S, READY_S, COMMAND_S = 1800, 180, 300
"""Longest times in seconds: to build an image, until a server is ready, and of another command."""


def missing() -> str:
    """Return why no image can be built here, or an empty text."""
    if getattr(os, "geteuid", lambda: 1)() != 0:
        return "only root can build the image without Docker"
    if sys.platform != "linux" or platform.freedesktop_os_release().get("ID") != "debian":
        return "the base image is made of the packages of a Debian"
    tools = [tool for tool in ("buildah", "debootstrap") if shutil.which(tool) is None]
    return f"not installed: {', '.join(tools)}" if tools else ""


@dataclass(frozen=True)
class Container:
    """A container of the image, whose volume is a folder of this machine. Its other folders are never writable."""

    name: str
    volume: Path
    empty: Path
    config: dict[str, Any]
    environment: dict[str, str]

    def command(self, *words: str, variables: dict[str, str] | None = None) -> list[str]:
        """Return the command that runs a program as the user of the image, in its folder and with its variables."""
        mounts = [f"{self.volume}:{VOLUME}", *(f"{self.empty}:{folder}" for folder in SHARED_FOLDERS)]
        options = [f"--volume={mount}" for mount in mounts]
        options += [f"--env={name}={value}" for name, value in (variables or {}).items()]
        return ["buildah", "run", *options, self.name, "--", *words]

    def run(self, *words: str, variables: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """Run a program until it ends."""
        return subprocess.run(
            self.command(*words, variables=variables),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
        )

    def check_health(self) -> "subprocess.CompletedProcess[str]":
        """Run the health check of the image."""
        kind, *words = self.config["Healthcheck"]["Test"]
        assert kind == "CMD"
        return self.run(*words)

    @contextmanager
    def serve(self, log: Path, port: int, *options: str, variables: dict[str, str] | None = None) -> Iterator[Served]:
        """Run the command of the image with more options, and give the server once it is ready on the port."""
        command = self.command(*self.config["Cmd"], *options, variables=variables)
        with log.open("wb") as out:
            process = subprocess.Popen(command, env=self.environment, stdout=out, stderr=subprocess.STDOUT)
        url = f"http://127.0.0.1:{port}"
        try:
            wait_ready(url, process, log, within_s=READY_S)
            yield Served(url, process, log)
        finally:
            if process.poll() is None:
                children = psutil.Process(process.pid).children(recursive=True)
                next(child for child in children if child.uids().real == USER_ID).terminate()
            process.wait(COMMAND_S)

    @contextmanager
    def files(self) -> Iterator[Path]:
        """Give the folder of this machine in which the files of the container are, without what is mounted."""
        mounted = subprocess.run(
            ["buildah", "mount", self.name], env=self.environment, check=True, capture_output=True, text=True
        )
        try:
            yield Path(mounted.stdout.strip())
        finally:
            subprocess.run(["buildah", "umount", self.name], env=self.environment, check=True, capture_output=True)


@contextmanager
def build(folder: Path) -> Iterator[tuple[Container, str]]:
    """Build the image by the command that users run, and give a container of it and what the command printed.

    What Buildah stores is deleted afterwards; the Debian root is kept for the next time.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=FOLDER) as storage:
        environment = _environment(Path(storage))
        _make_base(environment)
        command = [str(ROOT / "deploy/build-image"), "--pull=false", f"--build-arg=BASE={BASE}", *_pip_options(folder)]
        built = _run(command, environment | {"ENGINE": "buildah", "IMAGE": IMAGE})
        inspected = _run(["buildah", "inspect", "--type=image", IMAGE], environment)
        name = _run(["buildah", "from", "--pull=false", IMAGE], environment).strip()
        volume, empty = folder / "volume", folder / "empty"
        for path in (volume, empty):
            path.mkdir()
        os.chown(volume, USER_ID, USER_ID)
        yield Container(name, volume, empty, json.loads(inspected)["Docker"]["config"], environment), built


def _run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=BUILD_S)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-10_000:]
    return done.stdout


def _environment(storage: Path) -> dict[str, str]:
    """Return the variables with which Buildah stores everything below a folder, and needs no namespaces."""
    config = storage / "storage.conf"
    folders = f'graphroot = "{storage / "images"}"\nrunroot = "{storage / "run"}"\n'
    config.write_text(f'[storage]\ndriver = "vfs"\n{folders}')
    (storage / "temporary").mkdir()
    return {
        **os.environ,
        "CONTAINERS_STORAGE_CONF": str(config),
        "STORAGE_DRIVER": "vfs",
        "BUILDAH_ISOLATION": "chroot",
        "TMPDIR": str(storage / "temporary"),
    }


def _make_base(environment: dict[str, str]) -> None:
    name = _run(["buildah", "from", "scratch"], environment).strip()
    _run(["buildah", "add", name, str(_debian_root()), "/"], environment)
    _run(["buildah", "commit", "--rm", name, BASE], environment)


def _debian_root() -> Path:
    """Return an archive with the files of a small Debian, of the release and the mirror that apt uses here."""
    codename = platform.freedesktop_os_release()["VERSION_CODENAME"]
    archive = FOLDER / f"{codename}-{'-'.join(BASE_PACKAGES)}.tar"
    if archive.exists():
        return archive
    fields = "$(CODENAME) $(COMPONENT) $(IDENTIFIER) $(REPO_URI)"
    targets = _run(["apt-get", "indextargets", "--format", fields], {**os.environ}).splitlines()
    mirror = next(line.split()[-1] for line in targets if line.startswith(f"{codename} main Packages "))
    with TemporaryDirectory(dir=FOLDER) as temporary:
        root, partial = Path(temporary) / "root", Path(temporary) / "root.tar"
        packages = f"--include={','.join(BASE_PACKAGES)}"
        _run(["debootstrap", "--variant=minbase", packages, codename, str(root), mirror], {**os.environ})
        _run(["tar", "--create", "--file", str(partial), "--directory", str(root), "."], {**os.environ})
        partial.rename(archive)
    return archive


def _pip_options(folder: Path) -> list[str]:
    """Return options that give a build this machine's configuration of pip, and the files that it names.

    They matter where packages come from a mirror, or from a folder.
    """
    listed = _run([sys.executable, "-m", "pip", "config", "list"], {**os.environ})
    pairs = re.findall(r"^\S+\.([\w-]+)=(.*)$", listed, re.MULTILINE)
    values = {name: str(ast.literal_eval(value)).split() for name, value in reversed(pairs)}  # variables come first
    config = folder / "pip.conf"
    mounts = {str(config): "/etc/pip.conf"}
    indent = "\n    "
    config.write_text(
        "[global]\n"
        + "".join(
            f"{name} = {indent.join(_mounted(word, mounts) for word in words)}\n" for name, words in values.items()
        )
    )
    return [f"--volume={source}:{target}:ro" for source, target in mounts.items()]


def _mounted(word: str, mounts: dict[str, str]) -> str:
    """Return a value of pip's configuration for a container, and add what it names here to the mounts."""
    path = Path(word.removeprefix("file://"))
    if not (path.is_absolute() and path.exists()):
        return word
    if word.startswith("file://"):  # an index of packages, which are beside it
        target = mounts.setdefault(str(path.parent), f"/mnt/{len(mounts)}")
        return f"file://{target}/{path.name}"
    return mounts.setdefault(str(path), f"/mnt/{len(mounts)}")
