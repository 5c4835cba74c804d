"""The program of the child process that reads pickled weights, and writes them as safetensors.

It reads its work as JSON from standard input, and writes one line of JSON to standard output: `{"files": […]}` or
`{"refused": reason}`. It imports nothing of this project, and torch only once it has given up the network.

`torch.load(weights_only=True)` runs none of a pickle's code. All else is a second line of defence, for the case that a
fault is found in it: on Linux the process has no network, and limits on memory and on the size of files; everywhere a
hook of the interpreter refuses sockets, programs, and files for writing. The hook does not bind compiled code.
"""

import ctypes
import json
import os
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
"""Flags of `unshare`, from linux/sched.h."""
SPARE_BYTES = 2**20
"""Room in bytes for a file's header, beyond twice the size of what is read."""
SPARE_MEMORY_BYTES = 2**32
"""Room in bytes for the interpreter's and torch's own memory, beyond four times the size of what is read."""
METADATA = {"format": "pt"}
FORBIDDEN_EVENTS = (
    "socket.",
    "subprocess.",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.system",
    "pty.",
    "ctypes.dlopen",
)
"""Beginnings of the names of audit events that are refused."""
WRITE_MODES = frozenset("wax+")
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_GLOBAL_PATTERN = re.compile(r"GLOBAL ([\w.]+)")


class RefusedError(Exception):
    """A file is refused; the message does not name the file."""


def main() -> None:
    """Convert the files that standard input names."""
    work = json.load(sys.stdin)
    measures = isolate(sum(Path(file["source"]).stat().st_size for file in work["files"]))
    sys.stdout.write(json.dumps({"isolation": measures, **convert_all(work)}) + "\n")


def convert_all(work: Mapping[str, Any]) -> dict[str, Any]:
    """Convert files until one is refused, and return the answer of this program without the isolation."""
    files: list[dict[str, Any]] = []
    for file in work["files"]:
        try:
            files.append(convert(file["source"], file["target"], keep_aliases=work["keep_aliases"]))
        except RefusedError as error:
            return {"files": files, "refused": f"{file['name']} {error}"}
    return {"files": files}


def isolate(n_bytes: int) -> list[str]:
    """Give up the network, import torch, then give up all that reading `n_bytes` of weights does not need.

    Returns what has been done, in words.
    """
    measures = []
    if sys.platform == "linux":
        if _leave_network():
            measures.append("no network")
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * n_bytes + SPARE_BYTES,) * 2)
    import_module("safetensors.torch")
    torch = import_module("torch")

    torch.load(_smallest_checkpoint(torch), weights_only=True)  # imports what is imported late
    if sys.platform == "linux":
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + 4 * n_bytes + SPARE_MEMORY_BYTES,) * 2)
        measures.append("limits on memory and on the size of files")
    sys.addaudithook(refuse_event)
    return [*measures, "no sockets, programs or writable files in Python"]


def _leave_network() -> bool:
    """Move the process to a network of its own, which has no interfaces; return False where that is not permitted."""
    unshare = ctypes.CDLL(None).unshare
    return bool(unshare(CLONE_NEWNET) == 0 or unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0)


def _smallest_checkpoint(torch: Any) -> Any:
    import io

    file = io.BytesIO()
    torch.save({"a": torch.zeros(1)}, file)
    file.seek(0)
    return file


def refuse_event(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse an event that reading weights does not cause, as a hook of `sys.addaudithook`.

    Raises:
        PermissionError: it is such an event.
    """
    is_writing = False
    if event == "open":
        _, mode, flags = arguments
        is_writing = bool(WRITE_MODES & set(mode or "")) or bool((flags or 0) & WRITE_FLAGS)
    if is_writing or event.startswith(FORBIDDEN_EVENTS):
        raise PermissionError(f"a file of weights may not cause the event {event}")


def convert(source: str, target: str, *, keep_aliases: bool) -> dict[str, Any]:
    """Write the weights of a pickle to a safetensors file, with their names and dtypes.

    Returns the names that are written, and the names that are left out with the name of the same tensor.

    Raises:
        RefusedError: the file is damaged, has more than dense tensors, or the result cannot be written.
    """
    from safetensors.torch import save_file

    tensors = check_tensors(load(source))
    dropped = {} if keep_aliases else find_aliases(tensors)
    kept = {name: tensor for name, tensor in tensors.items() if name not in dropped}
    users = Counter(_storage(tensor) for tensor in kept.values())
    written = {n: (t.clone() if users[_storage(t)] > 1 else t).contiguous() for n, t in kept.items()}
    try:
        save_file(written, target, METADATA)
    except KeyError as error:
        raise RefusedError(f"has tensors of the type {error.args[0]}, which safetensors cannot hold") from None
    except Exception as error:  # an error of safetensors, which wraps those of the system
        raise RefusedError(f"could not be written as safetensors: {error}") from None
    return {"names": sorted(written), "dropped": dropped}


def load(source: str) -> Any:
    """Return the content of a pickle, without running any code of it.

    Raises:
        RefusedError: it is no pickle of torch, is damaged, or refers to more than tensors.
    """
    import torch

    try:
        mmap = zipfile.is_zipfile(source)  # the format of torch 1.6 and later
        return torch.load(source, map_location="cpu", weights_only=True, mmap=mmap)
    except OSError as error:
        raise RefusedError(f"cannot be read: {error.strerror or error}") from None
    except Exception as error:  # damaged files cause errors of almost any type
        if found := _GLOBAL_PATTERN.search(str(error)):
            detail = "which may run any code; nothing of it was run"
            raise RefusedError(f"has more than tensors: it refers to {found[1]}, {detail}") from None
        reason = f"{type(error).__name__}: {error}".strip().splitlines()[0][:200]
        raise RefusedError(f"is not a file of weights that torch can read ({reason})") from None


def check_tensors(content: Any) -> "dict[str, Tensor]":
    """Return the tensors of a file by name.

    Raises:
        RefusedError: something else is in it, or a tensor is sparse, quantised, or without values of its own.
    """
    import torch

    if not isinstance(content, Mapping):
        raise RefusedError(f"holds a {type(content).__name__}; it must hold tensors by name")
    tensors: dict[str, Tensor] = {}
    for name, value in content.items():
        if not isinstance(name, str):
            raise RefusedError(f"has an entry that is named {name!r:.100}; a name must be a text")
        if not isinstance(value, torch.Tensor):
            raise RefusedError(f"has the entry {name!r}, which is of the type {type(value).__name__} and no tensor")
        if value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise RefusedError(f"has the tensor {name!r}, which is sparse, quantised or without values")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise RefusedError(f"has the tensor {name!r}, which repeats its values")
        tensors[name] = value.detach()
    if not tensors:
        raise RefusedError("has no tensors")
    return tensors


def find_aliases(tensors: "Mapping[str, Tensor]") -> dict[str, str]:
    """Return the names whose tensor is also there under an earlier name, with that name."""
    first: dict[tuple[Any, ...], str] = {}
    aliases = {}
    for name, tensor in tensors.items():
        place = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        if tensor.numel() and first.setdefault(place, name) != name:
            aliases[name] = first[place]
    return aliases


def _storage(tensor: "Tensor") -> int:
    """Return a number that tensors which share memory have in common."""
    return tensor.untyped_storage().data_ptr() or id(tensor)


if __name__ == "__main__":
    main()
