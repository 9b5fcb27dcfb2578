# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 04d · Many machines: only states travel
#
# *15 minutes · ★★☆*
#
# After this you can …
# - split one sequence across machines, and say which numbers must cross each border and which need not,
# - run SSD on several processes with `torchrun`, gradients included, and know what happens when one dies,
# - train one model on several machines with the script that trains it on one.
#
# **How to read.** Sections 2 to 5 start real processes on this machine, two at a time; each start takes a few seconds.
# What they do is in `lecture17/ops/distributed.py`, which is short, and in the scripts named below. Predict before you
# look.
#
# **Letters.** As in the [table](03a_semiseparable.ipynb#notation). A *process* is one of several programs that run
# together; its *rank* is its number, counted from 0.

# %%
import json

import torch

from lecture17 import compare, figures
from lecture17.course import predict, progress
from lecture17.experiments.launch import launch
from lecture17.ops import ssd

# %% [markdown]
# ## 1 · A segment is a decay and a state
#
# A sequence may outgrow one machine: its activations do not fit, or it takes too long. Give each machine a *segment* of
# consecutive tokens. What must a later segment know about an earlier one? Part 03b has the answer: all that the future
# knows about the past passes through the state. And in each head, a segment changes the state by one affine map,
#
# $$S \;\mapsto\; a\, S + U, \qquad a = e^{\sum_t \log a_t},$$
#
# where $U$ is the segment's last state if it begins at zero.
#
# **So a segment is a pair $(a, U)$, and two segments in a row are again such a pair**: $(a_1, U_1)$ followed by $(a_2,
# U_2)$ gives $(a_2 a_1,\; a_2 U_1 + U_2)$. All machines can compute their pairs at once, before any message is sent.
# What the state $S$ before the segment contributes is added afterwards, because the outputs are linear in it:
# $y_t = y_t^{\text{from zero}} + (a_1 \cdots a_t)\, C_t S$.
#
# (That is for one decay per token. With the matrix transitions of the delta rule and of RWKV-7, a segment is a pair
# $(A, U)$, where $A$ is the product of its $r \times r$ transitions; for the delta rule without decay that is
# $I - K^\top W$ in part [03c](03c_memory.ipynb). Such pairs compose in the same way, but a message then carries $r^2$
# numbers in place of the decay.)
#
# First in one process, with four segments of different lengths:

# %%
torch.manual_seed(17)
heads, d_state, d = 4, 8, 6
lengths = (30, 7, 1, 26)
x, log_a = torch.randn(1, 64, heads, d), -0.1 * torch.rand(1, 64, heads)
B, C = torch.randn(2, 1, 64, 1, d_state)
segments = list(zip(*(a.split(lengths, dim=1) for a in (x, log_a, B, C)), strict=True))

from_zero = [ssd.chunkwise(*segment) for segment in segments]  # each machine by itself
S, parts = torch.zeros(1, heads, d_state, d), []
for (_, log_a_seg, _, C_seg), (y_zero, U) in zip(segments, from_zero, strict=True):
    decays = log_a_seg.cumsum(1).exp()  # from the segment's start to each token
    parts.append(y_zero + decays[..., None] * torch.einsum("btn,bhnp->bthp", C_seg[:, :, 0], S))
    S = decays[:, -1, :, None, None] * S + U  # the only thing that is passed on

y_whole, S_whole = ssd.chunkwise(x, log_a, B, C)
compare.assert_same(whole=y_whole, in_segments=torch.cat(parts, dim=1), tol=1e-5)
compare.assert_same(last_state=S_whole, passed_on=S, tol=1e-5)

# %% [markdown]
# ## 2 · Two processes, for real
#
# `ssd_chunkwise` in `lecture17.ops.distributed` is that code on `torch.distributed`: each process calls it with its
# own segment. It computes its pair, receives the pair of *all* earlier segments from its left neighbor, sends the two
# combined to its right neighbor, and adds the last term. **One message crosses each border: a state and a decay for
# each head.** In the backward pass the gradients of the pair cross once in the other direction.
#
# The messages pass one after another, $P - 1$ of them for $P$ processes. A tree would need only $\log_2 P$ rounds, but
# more messages. And since all the long work is done before a process waits for its message, the sequential part is
# small: receive a state, scale it, add one, send. (Dao and Gu, arXiv 2405.21060, Section 8.2, describe the same split.)
#
# As a check, the script also computes the whole sequence in each process, and compares outputs, last state and all
# gradients. In a terminal you start it with
#
# ```
# torchrun --standalone --nproc-per-node 2 -m lecture17.experiments.sequence_parallel --tokens 4096
# ```

# %%
SEQUENCE = "lecture17.experiments.sequence_parallel"
sizes = {"heads": 4, "d_state": 64, "d_head": 64}
options = [word for name, size in sizes.items() for word in (f"--{name}", size)]


def two_processes(tokens: int) -> dict:
    done = launch(2, SEQUENCE, "--tokens", tokens, *options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


measured = {tokens: two_processes(tokens) for tokens in (256, 1025)}  # the second is odd
for tokens, result in measured.items():
    worst = max(result["errors"].values())
    assert worst < 1e-5
    print(f"{tokens} tokens: {', '.join(result['errors'])}: equal to one process within 1e-05")

# %% [markdown]
# ## 3 · What travels
#
# Attention can be split as well. In *ring attention* (Liu, Zaharia and Abbeel, arXiv 2310.01889) the keys and values
# travel from process to process, because each query must meet every earlier key. The script does that too, with exact
# softmax, and counts the bytes that each process passes to `torch.distributed.send`. For two processes, in float32:
#
# | method | bytes across the border, forward |
# | --- | --- |
# | SSD | $4 \cdot \text{batch} \cdot \text{heads} \cdot (d_k d_v + 1)$ |
# | ring attention, causal | $4 \cdot \text{batch} \cdot \text{heads} \cdot 2 d \cdot N / 2$ |
#
# Take $d_k = d_v = d = 64$. At what length are the two equal, and what does SSD's line do beyond it?

# %%
predict("04d_many_machines-level")

# %%
message = 4 * sizes["heads"] * (sizes["d_state"] * sizes["d_head"] + 1)


def ring(tokens: int) -> int:
    first = -(-tokens // 2)  # the first process holds the odd token
    return 4 * sizes["heads"] * 2 * sizes["d_head"] * first


for tokens, result in measured.items():
    assert result["bytes"]["forward"] == [message, 0]  # rank 0 sends, rank 1 is the last
    assert result["bytes"]["backward"] == [0, message]  # and back
    assert result["bytes"]["ring attention"] == [ring(tokens), 0]
    print(f"{tokens:>5} tokens: SSD {message:,} bytes, ring attention {ring(tokens):,}")

lengths = [2**k for k in range(6, 21, 2)]
sent = {"SSD: a state and a decay": [message] * len(lengths)}
sent["ring attention: keys, values"] = [ring(n) for n in lengths]
title = "Bytes that cross one border, against the tokens"
figures.growth(lengths, sent, "bytes across one border", title=title)

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# A state of 64 × 64 is as large as the keys and values of 32 tokens. So with half of the tokens on each
# side, the two are equal at 64 tokens; at a million, ring attention sends sixteen thousand times more. (It can hide
# much of that traffic behind its arithmetic, which is quadratic. And it looks things up exactly, which a state does
# not.)
#
# </details>
#
# ## 4 · When a process dies
#
# When a process dies, its neighbors wait for a message that never comes. On a thousand machines, a program that hangs
# is worse than one that fails. So every wait ends. If a process has died, its connections close, and its neighbors
# notice at once. If it is merely stuck, they give up after the time-out of `init_process_group`. Either way the
# survivor says which process it could not reach. Here rank 0 is killed before it sends (`--kill 0`), with a time-out of
# 60 s:

# %%
done = launch(2, SEQUENCE, "--tokens", 256, "--kill", 0, "--timeout", 60, look_every=5)
assert done.returncode != 0
(said,) = [line for line in done.stderr.splitlines() if ": ConnectionError: " in line]
what, found, why = said.partition("could not receive from rank 0")
print(what + found)  # the rest names a port, which changes
assert found
assert "Timed out" not in why  # it did not wait for the 60 s

# %% [markdown]
# `torchrun` watches its processes itself, and ends the others when one has failed; here `look_every` lets the survivor
# speak first. The work since the last checkpoint is lost: start again from there.
#
# ## 5 · Many batches: data parallelism
#
# When the *model and one sequence* fit on one machine and only the time is too long, there is a simpler split: each
# process holds all weights and a share of each batch, and the gradients are averaged during the backward pass
# (`DistributedDataParallel`). All processes start from the same weights, because rank 0 first sends its own to the
# others. And the mean over the batch is the mean of the shares' means, if the shares are equally large. So each step
# should be the one that a single process would take. **The script need not know how many processes there are**:
# `torchrun` sets their number and each one's rank in the environment. Without `torchrun` the script runs as one
# process.
#
# ```
# python -m lecture17.experiments.data_parallel
# torchrun --standalone --nproc-per-node 2 -m lecture17.experiments.data_parallel
# ```
#
# Will the losses be the same? And what would the two replicas do if their gradients were not averaged?

# %%
predict("04d_many_machines-replicas")

# %%
TRAINING = "lecture17.experiments.data_parallel"
one, two = (json.loads(launch(n, TRAINING, "--steps", 12).stdout) for n in (1, 2))
compare.assert_same(losses_of_one=one["losses"], losses_of_two=two["losses"], tol=1e-3)
assert one["losses"][-1] < one["losses"][0] - 0.5  # it learns: the comparison means something
assert two["weights apart"] < 1e-6
print(f"rows of each batch: {one['rows each']} in one process, {two['rows each']} in each of two")
print("after 12 steps the replicas' weights differ by less than 1e-06")

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# The losses are equal up to rounding, but not bit for bit: sums in a different order round differently,
# and training lets such differences grow slowly. The replicas stay together because they start from the same weights
# and each applies the same averaged gradient. Without the average, each would follow its own share of the batches, and
# they would drift apart.
#
# </details>
#
# **What was not tried here.** Two processes on one machine talk through Gloo, over the loopback interface. On GPUs the
# same code uses NCCL (`init_process_group("nccl")`), with one GPU for each process. That was not run, and no speed is
# claimed.
#
# ## Recap
#
# - A segment of SSD acts on the state by a decay and a state; such pairs compose, in any grouping.
# - Do the long work first, then send one small message per border and direction. Outputs, states and gradients are
#   those of one process, up to rounding.
# - SSD's bytes do not depend on $N$; ring attention's grow with it.
# - A wait without an end is a hang: every receive has a time-out, and an error that names the rank.
#
# **Where next:** the [exercise](../exercises/04d_many_machines.ipynb) (4 points); then [04e](04e_published.ipynb) loads
# a published model and runs your code inside. After that, zone 5 measures.

# %% tags=["nbval-ignore-output"]
progress("04d_many_machines")
