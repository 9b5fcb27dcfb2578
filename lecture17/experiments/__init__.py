"""Experiments on a CPU: tasks, small mixers, one training loop, many seeds, a table. Introduced in 03d_expressivity.

parity = ModCounter(2)
schedule = Schedule(steps=1000, lengths=(4, 40))
training = Training("delta rule", parity, network(parity, DeltaRule, n_heads=8, d_state=4, beta_max=2), schedule)
print(run([training], seeds=[0, 1, 2], lengths=[40, 64, 256]).table())
"""

from ..layers import Attention
from .mixers import DeltaRule, Rotation, ScalarDecay
from .network import Network, network
from .runs import Results, Training, run
from .settings import FULL, provenance
from .tasks import Copying, ModCounter, Permutations
from .train import Schedule

__all__ = [
    "FULL",
    "Attention",
    "Copying",
    "DeltaRule",
    "ModCounter",
    "Network",
    "Permutations",
    "Results",
    "Rotation",
    "ScalarDecay",
    "Schedule",
    "Training",
    "network",
    "provenance",
    "run",
]
