"""Whether trainings run in full or in a quick setting, and under what conditions a result was obtained."""

import datetime
import os
import platform
from collections.abc import Sequence

import torch

VARIABLE = "LECTURE17_FULL"  # the environment variable; `python -m lecture17 build --full` sets it
FULL = os.environ.get(VARIABLE) == "1"


def provenance(full: bool, seeds: Sequence[int]) -> str:
    """Two lines that say which run, which seeds, on what and when a result was measured."""
    run = "full run" if full else f"QUICK run, for tests (for the full one set {VARIABLE}=1, or full = True)"
    cores = os.cpu_count()
    return (
        f"{run}, {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}; {datetime.date.today()}\n"
        f"{platform.machine()} processor, {cores} cores, {platform.system()}; Python {platform.python_version()}, "
        f"PyTorch {torch.__version__.split('+')[0]}, one thread a training"
    )
