"""Whether trainings run in full or in a quick setting, and under what conditions a result was obtained."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import torch

VARIABLE = "LECTURE17_FULL"  # the environment variable; `python -m lecture17 build --full` sets it
FULL = os.environ.get(VARIABLE) == "1"
# What full trainings have learned so far: one that was stopped goes on from here. In the learner's own folder.
CHECKPOINTS = Path(os.environ.get("LECTURE17_HOME") or Path(__file__).parents[2]) / ".lecture17" / "trainings"


def provenance(full: bool, seeds: Sequence[int], steps: int | None = None, threads: str = "one thread a seed") -> str:
    """Two lines that say which run, which seeds, how many steps, and on what a result was measured."""
    run = "full run" if full else f"QUICK run, for tests (for the full one set {VARIABLE}=1, or full = True)"
    drawn = f", {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}" if seeds else ""
    how = f"{steps:,} steps, {threads}" if steps else threads
    return (
        f"{run}{drawn}; {how}\n"
        f"{platform.machine()} processor, {os.cpu_count()} cores, {platform.system()}; "
        f"Python {platform.python_version()}, PyTorch {torch.__version__.split('+')[0]}"
    )
