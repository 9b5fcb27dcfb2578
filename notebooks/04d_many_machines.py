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
# - cut one sequence across machines, and say which numbers must cross each cut and which need not,
# - run SSD on several processes with `torchrun`, gradients included, and know what happens when one dies,
# - train one model on several machines by the script that trains it on one.
#
# **How to read.** Sections 2 to 5 start real processes on this machine, two at a time; each takes some seconds.
# What they do is in `lecture17/ops/distributed.py`, which is short, and in the scripts named below. Predict
# before the picture.
#
# **Letters.** As in the [table](03a_semiseparable.ipynb#notation). A process is one program of several that run
# together; its *rank* is its number, from 0.

# %%
import json

import torch

from lecture17 import compare, figures
from lecture17.course import predict
from lecture17.experiments.launch import launch
from lecture17.ops import ssd

# %% [markdown]
# ## 1 · A segment is a decay and a state
#
# A sequence may outgrow one machine: its activations do not fit, or it takes too long. Give each machine a *segment* of
# consecutive tokens. What does a later segment have to know of an earlier one? Part 03b says: everything the future
# knows of the past passes through the state. And the state passes *through* a segment by one line for each head,
#
# $$S \;\mapsto\; a\, S + U, \qquad a = e^{\sum_t \log a_t}, \qquad
#   U = \text{the last state had the segment begun at zero.}$$
#
# **So a segment is a pair $(a, U)$, and two segments in a row are again such a pair**: $(a_1, U_1)$ and then $(a_2,
# U_2)$ give $(a_2 a_1,\; a_2 U_1 + U_2)$. The pairs can be computed by all machines at once, before any message is
# sent. What the state before contributes is added afterwards, because the outputs are linear in it: $y_t =
# y_t^{\text{from zero}} + (a_1 \cdots a_t)\, C_t S$.
#
# (That is for one decay per token. With the matrix transitions of the delta rule and RWKV-7 a segment is $(A, U)$,
# where $A$ is the product of its $r \times r$ transitions, $I - K^\top W$ in part [03c](03c_memory.ipynb). These pairs
# compose in the same way, and a message that carries one has $r^2$ numbers more.)
#
# First in one process, with four segments of different lengths:

# %%
torch.manual_seed(17)
heads, d_state, d = 4, 8, 6
lengths = (30, 7, 1, 26)
x, log_a = torch.randn(1, 64, heads, d), -0.1 * torch.rand(1, 64, heads)
B, C = torch.randn(2, 1, 64, 1, d_state)
segments = list(zip(*(a.split(lengths, dim=1) for a in (x, log_a, B, C)), strict=True))

from_zero = [ssd.chunkwise(*segment) for segment in segments]  # each machine for itself
S, parts = torch.zeros(1, heads, d_state, d), []
for (_, log_a_seg, _, C_seg), (y_zero, U) in zip(segments, from_zero, strict=True):
    decays = log_a_seg.cumsum(1).exp()  # from the segment's start to each token
    parts.append(y_zero + decays[..., None] * torch.einsum("btn,bhnp->bthp", C_seg[:, :, 0], S))
    S = decays[:, -1, :, None, None] * S + U  # the only thing that is handed on

y_whole, S_whole = ssd.chunkwise(x, log_a, B, C)
compare.assert_same(whole=y_whole, in_segments=torch.cat(parts, dim=1), tol=1e-5)
compare.assert_same(last_state=S_whole, handed_on=S, tol=1e-5)

# %% [markdown]
# ## 2 · Two processes, for real
#
# `ssd_chunkwise` in `lecture17.ops.distributed` is that code on `torch.distributed`: each process calls it with its
# own segment. It computes its pair, receives the pair of *all* segments before it from its left neighbor, hands on
# that pair followed by its own, and adds the last term. **One message crosses each border: a state and a decay for
# each head.** In the backward pass the gradients of the pair cross once the other way.
#
# The messages pass one after the other, $P - 1$ of them for $P$ processes. A tree would need only $\log_2 P$
# rounds, but more messages; and since all long work is done before a message is awaited, what happens one after the
# other is small: receive a state, scale it, add one, send. (Dao and Gu, arXiv 2405.21060, Section 8.2, describe the
# same cut.)
#
# The script computes the whole in each process as well, and compares outputs, last state and all gradients. In a
# terminal you start it with
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


measured = {tokens: two_processes(tokens) for tokens in (256, 1025)}  # the second cannot be halved
for tokens, result in measured.items():
    worst = max(result["errors"].values())
    assert worst < 1e-5
    print(f"{tokens} tokens: {', '.join(result['errors'])}: equal to one process within 1e-05")

# %% [markdown]
# ## 3 · What travels
#
# Attention can be cut as well. In *ring attention* (Liu, Zaharia and Abbeel, arXiv 2310.01889) the keys and values
# travel from process to process, because each query must meet each earlier key. The script does that too, with
# exact softmax, and counts the bytes that each process hands to `torch.distributed.send`. For two processes, in
# float32:
#
# | method | bytes across the border, forward |
# | --- | --- |
# | SSD | $4 \cdot \text{batch} \cdot \text{heads} \cdot (d_k d_v + 1)$ |
# | ring attention, causal | $4 \cdot \text{batch} \cdot \text{heads} \cdot 2 d \cdot N / 2$ |
#
# Take $d_k = d_v = d = 64$. What does the SSD line do beyond the length at which the two are equal?

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
# **Learned:** a state of 64 × 64 weighs as much as the keys and values of 32 tokens, so with half of the tokens on
# each side the two are level at 64 tokens; at a million ring attention sends sixteen thousand times more. (It can
# hide much of that behind its arithmetic, which is quadratic. And it looks up exactly, which a state does not.)
#
# ## 4 · When a process dies
#
# Then its neighbors wait for a message that never comes. A program on a thousand machines that hangs is worse than
# one that fails. So each wait has an end: a process that has died closes its connections, which is noticed at once,
# and one that is merely stuck is given up after the time-out of `init_process_group`. Either way the survivor says
# whom it could not reach. Here rank 0 is killed before it sends (`--kill 0`), with a time-out of 60 s:

# %%
done = launch(2, SEQUENCE, "--tokens", 256, "--kill", 0, "--timeout", 60, look_every=5)
assert done.returncode != 0
(said,) = [line for line in done.stderr.splitlines() if ": ConnectionError: " in line]
what, found, why = said.partition("could not receive from rank 0")
print(what + found)  # the rest names a port, another each time
assert found
assert "Timed out" not in why  # it did not wait for the 60 s

# %% [markdown]
# `torchrun` itself looks at its processes all the time and ends the others when one has failed; `look_every` let the
# survivor speak first. What is lost is the work since the last checkpoint: start again from there.
#
# ## 5 · Many batches: data parallelism
#
# When the *model and one sequence* fit and only the time is too long, there is a simpler cut: each process holds all
# weights and a share of each batch, and the gradients are averaged during the backward pass
# (`DistributedDataParallel`). All start from equal weights, since rank 0 sends out its own first, and the mean over
# the batch is the mean of the shares' means (if the shares are equally large). So the steps are those of one process.
# **The script does not know how many it is**: `torchrun` sets rank and number in the environment, and without it the
# script is one process.
#
# ```
# python -m lecture17.experiments.data_parallel
# torchrun --standalone --nproc-per-node 2 -m lecture17.experiments.data_parallel
# ```
#
# What would the two replicas do if their gradients were not averaged?

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
# **Learned:** equal to rounding, not to the bit: sums in another order round otherwise, and training lets such
# differences grow slowly. The replicas stay together because they start alike and each adds the same averaged gradient.
#
# **What was not tried here.** Two processes on one machine talk through Gloo, over the loopback. On GPUs the same code
# takes NCCL (`init_process_group("nccl")`), with one GPU for each process: that was not run, and no speed is claimed.
#
# ## Recap
#
# - A segment of SSD acts on the state as a decay and a state; such pairs compose, in any grouping.
# - Long work first, then one small message a border each way: exact outputs, states and gradients.
# - The bytes do not depend on $N$; ring attention's do.
# - A wait without an end is a hang: every receive has a time-out and an error that names the rank.
#
# **Where next:** zone 5 measures: time and memory in [05a](05a_cost.ipynb), then long range, language and images.
