"""The memory that a process may use is the least of what its machine and its control groups allow."""

from pathlib import Path

import psutil
import pytest

from app.available_memory import PROCESS_BYTES, available_bytes, default_memory_limit
from app.registry.memory import MemoryBudget
from app.settings import Settings

GIB = 2**30
MOUNT = "31 23 0:28 {root} {mount_point} rw,relatime - {kind} {kind} rw{options}\n"


def write_proc(folder: Path, groups: str, mount_point: Path, *, root: str = "/", kind: str = "cgroup2") -> Path:
    """Write what Linux says of a process in these groups."""
    options = ",memory" if kind == "cgroup" else ""
    (folder / "cgroup").write_text(groups)
    (folder / "mountinfo").write_text(
        "22 1 8:1 / / rw - ext4 /dev/sda rw\n"
        + MOUNT.format(root=root, mount_point=mount_point, kind=kind, options=options)
    )
    return folder


def write_limit(folder: Path, text: str, name: str = "memory.max") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text + "\n")


@pytest.mark.parametrize(
    ("own", "parent", "expected"), [("3000", "max", 3000), ("max", "2000", 2000), ("4000", "1000", 1000)]
)
def test_the_least_limit_of_the_group_and_those_around_it_counts(
    own: str, parent: str, expected: int, tmp_path: Path
) -> None:
    mounted = tmp_path / "mounted"
    write_limit(mounted / "service" / "server", own)
    write_limit(mounted / "service", parent)
    assert available_bytes(write_proc(tmp_path, "0::/service/server\n", mounted)) == expected


def test_limits_of_version_1_count_unless_they_stand_for_none(tmp_path: Path) -> None:
    mounted, groups = tmp_path / "mounted", "5:devices:/\n4:cpu,memory:/docker/id\n0::/\n"
    proc = write_proc(tmp_path, groups, mounted, kind="cgroup")
    write_limit(mounted / "docker" / "id", "5000", "memory.limit_in_bytes")
    write_limit(mounted, str(2**63 - 4096), "memory.limit_in_bytes")
    assert available_bytes(proc) == 5000


@pytest.mark.parametrize(("root", "group"), [("/docker/id", "/docker/id"), ("/", "/elsewhere"), ("/docker/id", "/")])
def test_in_a_container_the_mounted_group_counts(root: str, group: str, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    write_limit(mounted, "7000")
    assert available_bytes(write_proc(tmp_path, f"0::{group}\n", mounted, root=root)) == 7000


def test_without_control_groups_the_machine_limits(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) == psutil.virtual_memory().total


def test_the_default_leaves_room_for_the_process() -> None:
    assert default_memory_limit(4 * GIB) == (4 * GIB - PROCESS_BYTES) * 3 // 4
    assert default_memory_limit(GIB) == GIB // 2
    assert default_memory_limit(0) == 0
    assert Settings().memory_limit == default_memory_limit(available_bytes())


def test_requests_are_left_what_the_models_do_not_take_but_never_nothing() -> None:
    budget = MemoryBudget(Settings(memory_limit="4GiB"), list)
    assert (budget.limit, budget.limit_for_requests()) == (4 * GIB, 4 * GIB)
    budget.n_bytes = GIB
    assert budget.limit_for_requests() == 3 * GIB
    budget.n_bytes = 4 * GIB
    assert budget.limit_for_requests() == 64 * 2**20
    budget.settings = Settings(memory_limit=0)
    assert (budget.limit, budget.limit_for_requests()) == (0, 0)


def test_models_on_gpus_are_limited_only_if_somebody_says_so_and_take_nothing_from_requests() -> None:
    budget = MemoryBudget(Settings(device="cuda"), list)
    budget.n_bytes = GIB
    assert (budget.limit, budget.limit_for_requests()) == (0, Settings().memory_limit)
    budget.settings = Settings(device="cuda", memory_limit="2GiB")
    assert (budget.limit, budget.limit_for_requests()) == (2 * GIB, 2 * GIB)
