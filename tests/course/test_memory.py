"""Free memory in a container, whose limit the machine's own figures do not show."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from lecture17.course import memory

GIB = 2**30
NOWHERE = Path("/nowhere")


def group(folder: Path, version: int, limit: str, used: int, cache: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    most, now, prefix = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
        2: ("memory.max", "memory.current", ""),
    }[version]
    (folder / most).write_text(f"{limit}\n")
    (folder / now).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{prefix}inactive_file {cache}\n")


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: SimpleNamespace(available=64 * GIB))
    return tmp_path / "groups"


def own(tmp_path: Path, text: str) -> Path:
    (tmp_path / "own").write_text(text)
    return tmp_path / "own"


def test_the_limit_of_a_container_counts_less_what_it_uses(groups: Path, tmp_path: Path) -> None:
    group(groups, 2, str(2 * GIB), GIB, GIB // 2)
    assert memory.free(own(tmp_path, "0::/\n")) == 3 * GIB // 2


def test_the_least_of_all_groups_around_it_counts(groups: Path, tmp_path: Path) -> None:
    group(groups / "users" / "me", 2, "max", GIB, 0)
    group(groups / "users", 2, str(4 * GIB), 3 * GIB, 0)
    assert memory.free(own(tmp_path, "0::/users/me\n")) == GIB


def test_older_containers_keep_their_limit_elsewhere(groups: Path, tmp_path: Path) -> None:
    group(groups / "memory", 1, str(GIB), 2 * GIB, 0)
    assert memory.free(own(tmp_path, "5:cpu,cpuacct:/x\n3:memory:/docker/of/the/host\n")) == 0


def test_without_a_limit_it_is_what_the_machine_has(groups: Path, tmp_path: Path) -> None:
    group(groups, 2, "max", GIB, 0)
    assert memory.free(own(tmp_path, "0::/\n")) == 64 * GIB
    assert memory.free(NOWHERE) == 64 * GIB
