"""Compiles `models/kernels/kernels.cpp` while the package is installed, where there is g++ and an x86-64 Linux.

Elsewhere the package is pure Python, and slower.
"""

import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE, LIBRARY = "models/kernels/kernels.cpp", "models/kernels/kernels.so"
COMPILE = "-std=c++17 -O3 -fPIC -fopenmp -fno-math-errno -mprefer-vector-width=512".split()  # noqa: SIM905
PROCESSOR = "-march=x86-64-v4 -mavx512vnni -mavx512bf16".split()  # noqa: SIM905


class CustomBuildHook(BuildHookInterface[Any]):
    """Of hatchling."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and let the wheel be one of this platform."""
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
    """Without OpenMP's library: it is to be the one that torch brings, so that there is one pool of threads.

    Raises:
        CalledProcessError: it does not compile.
    """
    with tempfile.TemporaryDirectory() as folder:
        compiled, linked = Path(folder) / "kernels.o", Path(folder) / "kernels.so"
        subprocess.run([compiler, *COMPILE, *PROCESSOR, "-c", source, "-o", compiled], check=True)  # noqa: S603
        subprocess.run([compiler, "-shared", compiled, "-o", linked], check=True)  # noqa: S603
        shutil.copy(linked, library.with_suffix(".new"))
        library.with_suffix(".new").replace(library)  # a running server keeps the one that it has
