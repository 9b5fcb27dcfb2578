"""The same script trains in one process and in two: the same losses, and replicas that stay equal."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from lecture17.experiments.data import Bytes
from lecture17.experiments.data_parallel import train, windows
from lecture17.experiments.launch import launch

SCRIPT = "lecture17.experiments.data_parallel"
OPTIONS = ("--steps", "6", "--batch", "4", "--length", "32", "--kind", "hybrid 3:1")
TEXT = Bytes("counting", np.arange(1000, dtype=np.uint8))


def test_two_processes_take_the_steps_of_one() -> None:
    one = subprocess.run([sys.executable, "-m", SCRIPT, *OPTIONS], capture_output=True, text=True, check=True)
    two = launch(2, SCRIPT, *OPTIONS)
    assert two.returncode == 0, two.stderr
    alone, shared = json.loads(one.stdout), json.loads(two.stdout)
    assert (alone["processes"], alone["rows each"]) == (1, 4)
    assert (shared["processes"], shared["rows each"]) == (2, 2)
    assert shared["losses"] == pytest.approx(alone["losses"], rel=1e-4)
    assert alone["losses"][-1] < alone["losses"][0] - 0.3  # without learning nothing would be compared
    assert shared["weights apart"] < 1e-6


def test_the_shares_of_a_batch_are_the_batch() -> None:
    whole = windows(TEXT, 6, 10, 3, 0, 1)
    shares = [windows(TEXT, 6, 10, 3, rank, 3) for rank in range(3)]
    for i in range(2):
        assert torch.equal(torch.cat([s[i] for s in shares]), whole[i])
    assert not torch.equal(windows(TEXT, 6, 10, 4, 0, 1)[0], whole[0])


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ValueError, match="batch is 5 for 2 processes: expected a multiple"):
        train(nn.Linear(1, 1), TEXT, 1, 5, 10, 0, 2, torch.device("cpu"))
