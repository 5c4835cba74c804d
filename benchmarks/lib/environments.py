"""Virtual environments of the peers, made on first use, with the published packages at the versions named here."""

import hashlib
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

OWN = "manifold"
"""The environment that this process runs in."""
REQUIREMENTS: Mapping[str, Sequence[str]] = {
    OWN: (),
    "engines": (
        "torch==2.13.0",
        "transformers==4.57.6",
        "ctranslate2==4.8.5",
        "onnx==1.23.2",
        "onnxruntime==1.32.0",
        "onnxscript==0.7.2",
        "openvino==2026.4.1",
    ),
    "gpu": ("torch==2.13.0", "transformers==4.57.6"),
    "litserve": ("torch==2.13.0", "litserve==0.2.19", "sentence-transformers==6.2.0"),
    "matrix-profile": ("stumpy==1.14.1",),
    "pyod": ("torch==2.13.0", "pyod==3.6.7", "tqdm==4.70.1"),
    "infinity": ("torch==2.13.0", "infinity-emb[server,torch]==0.0.78"),
}
ROOT = Path("runs/benchmarks/environments")


def python_of(name: str) -> str:
    """Return the interpreter of an environment, which is made if it is missing or has other requirements.

    Raises:
        CalledProcessError: A package cannot be installed.
    """
    requirements = REQUIREMENTS[name]
    if not requirements:
        return sys.executable
    digest = hashlib.sha256("\n".join(requirements).encode()).hexdigest()
    folder = ROOT / name
    python, stamp = folder / "bin" / "python", folder / "requirements"
    if not stamp.exists() or stamp.read_text() != digest:
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)  # noqa: S603
        stamp.write_text(digest)
    return str(python.absolute())
