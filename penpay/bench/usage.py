"""What processes use, read from /proc: CPU seconds and resident memory; and how fast the machine is just now."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGESIZE")
_LOOK_S = 0.5


def cpu_s(pid: int) -> float:
    """User and system time that a process has used since it began; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def rss_bytes(pid: int) -> int:
    """Resident memory now; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


def machine_s() -> float:
    """CPU seconds that the whole machine has spent on anything since it began: neither idle nor waiting for a disk."""
    user, nice, system, _idle, _wait, *rest = map(int, Path("/proc/stat").read_text(encoding="ascii").split()[1:8])
    return (user + nice + system + sum(rest)) / _TICKS_PER_S


def speed() -> float:
    """How often a second a fixed piece of work is done now, by one process that has a core to itself.

    A virtual machine is lent what its host can spare: the same work took from 1 to 1.7 times as long within a minute.
    """
    done, began_s = 0, time.perf_counter()
    while (took_s := time.perf_counter() - began_s) < _LOOK_S:
        kept = {number: (number, str(number), [number]) for number in range(2000)}
        done += len(kept) > 0
    return done / took_s


def file_system(path: Path) -> str:
    """Type of the file system that holds a path, e.g. `ext4` or `tmpfs`; empty when it cannot be told."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    place = str(path.resolve())
    holding = [mount for mount in mounts if place == mount[1] or place.startswith(mount[1].rstrip("/") + "/")]
    return max(holding, key=lambda mount: len(mount[1]))[2] if holding else ""


def used_since(pids: Mapping[str, int], before: Mapping[str, float]) -> dict[str, float]:
    """CPU seconds of each process since `before`, which `snapshot` took."""
    return {name: cpu_s(pid) - before[name] for name, pid in pids.items()}


def snapshot(pids: Mapping[str, int]) -> dict[str, float]:
    """CPU seconds of each process so far."""
    return {name: cpu_s(pid) for name, pid in pids.items()}
