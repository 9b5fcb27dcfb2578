"""How much memory is free here: what the machine has left, or the container that this runs in, if that is less."""

from contextlib import suppress
from pathlib import Path, PurePosixPath

import psutil

GROUPS = Path("/sys/fs/cgroup")  # where Linux keeps the limits of containers
FILES = {  # below GROUPS for each version: the limit, what is used, and the part of it that is given up when needed
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def free(own_groups: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes that can still be used: the least that the machine, or a group of processes that this one is in, has."""
    found = [psutil.virtual_memory().available]
    with suppress(OSError):
        for line in own_groups.read_text(encoding="utf-8").splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds in FILES:
                places = [PurePosixPath(path), *PurePosixPath(path).parents]  # each may have a limit
                found += [_left(GROUPS / kinds / str(place)[1:], *FILES[kinds]) for place in places]
    return min(found)


def _left(group: Path, limit: str, used: str, cache: str) -> int:
    try:
        most, now, parts = ((group / name).read_text(encoding="utf-8") for name in (limit, used, "memory.stat"))
        given_up = [int(line.split()[1]) for line in parts.splitlines() if line.startswith(f"{cache} ")]
        return max(0, int(most) - int(now) + sum(given_up))
    except (OSError, ValueError):  # there is no such group here, or its limit is "max"
        return 2**63
