"""Limited memory."""

import subprocess
import sys

import pytest

from benchmarks.lib.memory import MemoryGroup, memory_group, resident_bytes

MB = 2**20


def test_a_process_that_exceeds_the_limit_is_killed_and_counted() -> None:
    with memory_group(60 * MB) as group:
        if group.folder is None:
            pytest.skip(group.kind)
        command = f"{group.join_command}\nexec {sys.executable} -c 'bytearray(200 * 2**20)'"
        killed = subprocess.run(["sh", "-ec", command], check=False)
        assert killed.returncode == -9
        assert group.n_killed >= 1
        assert group.read_limit() == 60 * MB
        assert group.limit(70 * MB)
        assert group.read_limit() == 70 * MB
    assert not group.folder.exists()


def test_without_a_group_nothing_is_limited() -> None:
    group = MemoryGroup()
    assert (group.join_command, group.n_killed, group.read_limit(), group.limit(1)) == ("", 0, None, False)


def test_the_memory_of_descendants_counts() -> None:
    inner = "bytearray(50 * 2**20); print(flush=True); input()"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', 'x = {inner}'])"
    with subprocess.Popen([sys.executable, "-c", outer], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert resident_bytes(process.pid) > 50 * MB
        process.communicate(b"\n")
    assert resident_bytes(process.pid) == 0
