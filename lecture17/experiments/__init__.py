"""Experiments on a CPU: tasks, small mixers, one training loop, many seeds, a table. Introduced in 03d_expressivity.

parity = ModCounter(2)
schedule = Schedule(steps=1000, lengths=(4, 40))
training = Training("delta rule", parity, network(parity, DeltaRule, n_heads=8, d_state=4, beta_max=2), schedule)
print(run([training], seeds=[0, 1, 2], lengths=[40, 64, 256]).table())
"""

from ..layers import Attention
from .networks import KDA, Convolved, DeltaRule, LinearAttention, Network, Rotation, ScalarDecay, Softmax, network
from .runs import Results, Training, interval, run, tuned
from .settings import CHECKPOINTS, FULL, provenance
from .study import stored
from .tasks import Copying, ListOps, ModCounter, Passkey, Permutations, Recall
from .training import Schedule

__all__ = [
    "CHECKPOINTS",
    "FULL",
    "KDA",
    "Attention",
    "Convolved",
    "Copying",
    "DeltaRule",
    "LinearAttention",
    "ListOps",
    "ModCounter",
    "Network",
    "Passkey",
    "Permutations",
    "Recall",
    "Results",
    "Rotation",
    "ScalarDecay",
    "Schedule",
    "Softmax",
    "Training",
    "interval",
    "network",
    "provenance",
    "run",
    "stored",
    "tuned",
]
