"""Sequence-parallel SSD in several processes is SSD in one, sends a state a border, and fails aloud."""

import contextlib
import json
import time
from typing import Any

import pytest
import torch

from lecture17.experiments.launch import launch
from lecture17.ops.distributed import ssd_chunkwise
from tests.conftest import ROOT
from tests.ops.segments import CASES, CASES_OF_A_PAIR

SCRIPT = "lecture17.experiments.sequence_parallel"
LOOK_EVERY = 6.0  # seconds before torchrun ends the process that is to say what it saw


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    with contextlib.chdir(ROOT):
        done = launch(3, "tests.ops.segments")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", [*CASES, *CASES_OF_A_PAIR])
def test_segments_are_parts_of_the_whole_and_a_border_costs_one_state(case: str, found: dict[str, list[str]]) -> None:
    assert found[case] == []


def run_script(processes: int, *options: object) -> dict[str, Any]:
    done = launch(processes, SCRIPT, *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_script_finds_no_difference_and_bytes_that_do_not_grow_while_ring_attentions_do() -> None:
    sizes = {"heads": 2, "groups": 1, "d_state": 8, "d_head": 4, "batch": 2}
    options = [word for name, size in sizes.items() for word in (f"--{name}", size)]
    message = 4 * 2 * 2 * (8 * 4 + 1)
    for tokens in (65, 260):
        result = run_script(2, "--tokens", tokens, *options)
        assert max(result["errors"].values()) < 1e-5
        assert set(result["errors"]) == {"y", "dx", "dlog_a", "dB", "dC", "last state", "ring attention"}
        keys_and_values = 2 * 4 * 2 * 2 * 4 * -(-tokens // 2)
        assert result["bytes"] == {
            "forward": [message, 0],
            "backward": [0, message],
            "ring attention": [keys_and_values, 0],
        }


@pytest.mark.parametrize(
    ("killed", "could_not"), [(0, "rank 1 of 2 could not receive from rank 0"), (1, "rank 0 of 2")]
)
def test_a_killed_process_is_named_by_the_other_at_once(killed: int, could_not: str) -> None:
    begin = time.monotonic()
    done = launch(2, SCRIPT, "--tokens", 64, "--kill", killed, "--timeout", 60, look_every=LOOK_EVERY)
    assert time.monotonic() - begin < 40  # long before the time-out
    assert done.returncode != 0
    assert f"ConnectionError: {could_not}" in done.stderr
    assert "that process has ended or is stuck" in done.stderr


def test_a_process_that_is_stuck_is_given_up_after_the_time_out() -> None:
    begin = time.monotonic()
    done = launch(2, SCRIPT, "--tokens", 64, "--stall", 0, "--timeout", 3)
    assert time.monotonic() - begin < 40
    assert done.returncode != 0
    assert "ConnectionError: rank 1 of 2 could not receive from rank 0: Timed out waiting 3000ms" in done.stderr


def test_without_processes_it_says_how_to_start_them() -> None:
    x = torch.zeros(1, 2, 1, 1)
    with pytest.raises(RuntimeError, match=r"not initialized: expected a process started by torchrun.*init_process"):
        ssd_chunkwise(x, x[..., 0], x, x)
