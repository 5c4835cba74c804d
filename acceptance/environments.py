"""Environments of their own for programs whose pinned packages disagree with those of the project."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ENVIRONMENTS = Path(__file__).parents[1] / ".venv" / "acceptance"
INSTALL_S = 600
"""Longest time in seconds that an installation may take."""


def python_environment(name: str, requirements: Path) -> Path:
    """Return the folder of a virtual environment with the packages of a requirements file, made anew if these changed.

    Raises:
        subprocess.CalledProcessError: the packages cannot be installed.
    """
    folder = ENVIRONMENTS / name
    if not _is_current(folder, requirements):
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=INSTALL_S)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(requirements)], check=True, timeout=INSTALL_S)
        _mark_current(folder, requirements)
    return folder


def node_environment(name: str, source: Path) -> Path:
    """Return a folder with the packages of a `package.json` and a copy of the scripts beside it.

    Node.js finds packages only above the script that imports them, hence the copy.

    Raises:
        subprocess.CalledProcessError: the packages cannot be installed.
    """
    folder, package = ENVIRONMENTS / name, source / "package.json"
    if not _is_current(folder, package):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(package, folder)
        npm = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(npm, cwd=folder, check=True, timeout=INSTALL_S)
        _mark_current(folder, package)
    for script in source.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


def outside_environment(**variables: str) -> dict[str, str]:
    """Return the variables for a program of another environment: those of this process without Python's, and more."""
    own = ("PYTHON", "VIRTUAL_ENV", "MANIFOLD_")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)} | variables


def _is_current(folder: Path, requirements: Path) -> bool:
    stamp = folder / "requirements.sha256"
    return stamp.is_file() and stamp.read_text() == _digest(requirements)


def _mark_current(folder: Path, requirements: Path) -> None:
    (folder / "requirements.sha256").write_text(_digest(requirements))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
