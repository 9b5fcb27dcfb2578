"""Starting one module in several processes, as `torchrun` does from a terminal. Introduced in 04d_many_machines."""

import os
import subprocess
import sys


def launch(
    processes: int, module: str, *options: object, timeout: float = 300, look_every: float = 0.1
) -> subprocess.CompletedProcess[str]:
    """Run `torchrun --standalone --nproc-per-node PROCESSES -m MODULE OPTIONS`; returns exit status and output.

    Each process has one thread. torchrun ends all of them when it sees that one has ended with an error; it looks every
    `look_every` seconds, and a longer time lets the others say what they saw.
    Raises subprocess.TimeoutExpired, after ending torchrun, where it takes longer than `timeout` seconds.
    """
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.run(
        [*torchrun, f"--monitor-interval={look_every}", "-m", module, *map(str, options)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=timeout,
        check=False,
    )
