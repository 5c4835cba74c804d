"""Compiles `models/ops/avx512/kernels.cpp` when the package is installed, if there is g++, on x86-64 Linux.

Elsewhere the package is pure Python, and slower.
"""

import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE, LIBRARY = "models/ops/avx512/kernels.cpp", "models/ops/avx512/kernels.so"
COMPILE = "-std=c++17 -O3 -shared -fPIC -pthread -fno-math-errno -fno-strict-aliasing".split()  # noqa: SIM905
PROCESSOR = "-mprefer-vector-width=512 -march=x86-64-v4 -mavx512vnni -mavx512bf16".split()  # noqa: SIM905


class CustomBuildHook(BuildHookInterface[Any]):
    """The hook of the wheel, as hatchling calls it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the kernels, and mark the wheel as one of this platform. Without them, warn and go on."""
        compiler = shutil.which("g++")
        if compiler is None or (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            self.app.display_warning(f"{SOURCE} is not compiled: that takes g++ on Linux and x86-64")
            return
        root = Path(self.root)
        try:
            compile_library(compiler, root / SOURCE, root / LIBRARY)
        except subprocess.CalledProcessError as error:
            self.app.display_warning(
                f"{SOURCE} does not compile with this g++; one of version 11 or newer does: {error}"
            )
            return
        build_data["artifacts"].append(LIBRARY)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def compile_library(compiler: str, source: Path, library: Path) -> None:
    """Compile into a new file, which replaces the old one, so that a running server keeps the library that it has.

    Raises:
        CalledProcessError: the source does not compile.
    """
    new = library.with_suffix(".new")
    subprocess.run([compiler, *COMPILE, *PROCESSOR, source, "-o", new], check=True)  # noqa: S603
    new.replace(library)
