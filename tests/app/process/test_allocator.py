"""Freed memory is used again without a page fault, and returned to the operating system on demand."""

import subprocess
import sys

import pytest

from app.process.allocator import keep_freed_memory

PROGRAM = """
import resource, sys
import psutil, torch
from app.process.allocator import keep_freed_memory
from app.registry.garbage import give_memory_back

if sys.argv[1] == "keep":
    assert keep_freed_memory()

def fill(n_tensors, n_floats):
    return [torch.zeros(n_floats).fill_(1.0) for _ in range(n_tensors)]

fill(20, 500_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    fill(8, 500_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
process = psutil.Process()
fill(50, 500_000)
kept = process.memory_info().rss
give_memory_back()
print(kept - process.memory_info().rss)
"""


def numbers(mode: str) -> list[int]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True)
    return [int(line) for line in done.stdout.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has the setting")
def test_freed_memory_is_kept_until_it_is_given_back() -> None:
    n_faults, _ = numbers("leave")
    n_faults_kept, n_given_back = numbers("keep")
    assert 10 * n_faults_kept < n_faults
    assert n_given_back > 80e6


def test_nothing_changes_where_the_c_library_has_no_such_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.process.allocator.ctypes.CDLL", lambda name: object())
    assert not keep_freed_memory()
