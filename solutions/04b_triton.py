# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises for 04b · Triton
#
# Each time you open this notebook, run the code cell below this text first. Then fill in the cell under each card, run
# it, then run the check below it. Checks try random inputs, half of them new each time, and name the mistake when they
# recognize it. Neither exercise needs the other. Everything you need is in
# [04b · Triton](../notebooks/04b_triton.ipynb).
#
# A check sends the text of your kernel to processes of its own. In one, Triton's interpreter runs it and watches every
# address, so a wrong address gives a message and not a crash. In another, Triton compiles it for A100 and H100. No GPU
# is needed, and none runs your kernel. You can also try it here: launch it on tensors of your own, as the notebook does.
# An address outside of a tensor may then end the notebook's kernel, but what you wrote stays.

# %%
import torch

from lecture17.course import check, hint, progress
from lecture17.triton_lab.interpreter import tl, triton

# %% [markdown]
# ## A mask for the last chunk
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `04b_triton-kernel-masked-load` | ★☆☆ | 10 min | 2 | you can find a program's numbers, and only those |
#
# How much of a state is left at the end of a chunk? The product of the chunk's decays: the exponential of the sum of their logs.
# Store it for every head and chunk: `total[head, chunk]`. `log_a` is $(heads, N)$ and `total` $(heads, chunks)$, both float32, row
# by row in memory. $N$ is not a multiple of `L`, so the last chunk is not full. Some decays are 0 (`log_a = -inf`).
#
# The grid is `(heads, chunks)`: `tl.program_id(0)` is the head, `tl.program_id(1)` the chunk. `L` is a power of two. `total`
# arrives full of NaN, and without `other`, what a load leaves out is NaN as well.
# Stuck? Type `hint("04b_triton-kernel-masked-load")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "04b_triton-kernel-masked-load", "locked": false, "schema_version": 3, "solution": true, "task": false}
@triton.jit
def chunk_totals(log_a, total, N, chunks, L: tl.constexpr):
    """total[head, chunk] = exp(the sum of the chunk's log decays)."""
    ### BEGIN SOLUTION
    head = tl.program_id(0)
    chunk = tl.program_id(1)
    t = chunk * L + tl.arange(0, L)
    logs = tl.load(log_a + head * N + t, mask=t < N, other=0.0)
    tl.store(total + head * chunks + chunk, tl.exp(tl.sum(logs, 0)))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "04b_triton-kernel-masked-load-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check("04b_triton-kernel-masked-load", chunk_totals)

# %% [markdown]
# ## What a chunk adds to the state
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `04b_triton-kernel-chunk-state` | ★★★ | 25 min | 4 | you can write the kernel that sums a chunk up in a state |
#
# For each head and chunk, with $t$ running over the tokens of the chunk and $T$ its last:
#
# $$\text{added} = \sum_t e^{\log a_{t+1} + \dots + \log a_T}\; B_t\, x_t^\top$$
#
# Shapes: `x` `(heads, N, D)`, `B` `(heads, N, D_STATE)`, `log_a` `(heads, N)`, `added` `(heads, chunks, D_STATE, D)`; all float32,
# row by row in memory. The grid is `(heads, chunks)`. `BK` $\ge$ `D_STATE`, `BV` $\ge$ `D` and `L` are powers of two, at least 16: load tiles of
# `L` × `BK` and `L` × `BV`, and mask the excess. The product is one `tl.dot`, with `input_precision="ieee"`.
#
# The notebook's kernel takes cumulative sums and subtracts them. That is not enough here: some `log_a` are `-inf`, and some
# are −5000 among mild ones. Sum what comes *after* each token instead: load `log_a` with a mask, one place further on, and
# use `tl.cumsum(…, 0, reverse=True)`.
# Stuck? Type `hint("04b_triton-kernel-chunk-state")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "04b_triton-kernel-chunk-state", "locked": false, "schema_version": 3, "solution": true, "task": false}
@triton.jit
def chunk_state(
    x, B, log_a, added, N, chunks,
    D_STATE: tl.constexpr, D: tl.constexpr, L: tl.constexpr, BK: tl.constexpr, BV: tl.constexpr,
):
    """added[head, chunk] = the state after the chunk, starting from zero."""
    ### BEGIN SOLUTION
    head = tl.program_id(0)
    chunk = tl.program_id(1)
    i = tl.arange(0, L)
    t = chunk * L + i
    k = tl.arange(0, BK)
    v = tl.arange(0, BV)
    row = head * N + t
    later = tl.load(log_a + row + 1, mask=(i + 1 < L) & (t + 1 < N), other=0.0)
    decay = tl.exp(tl.cumsum(later, 0, reverse=True))
    in_B = (t < N)[:, None] & (k < D_STATE)[None, :]
    in_x = (t < N)[:, None] & (v < D)[None, :]
    keys = tl.load(B + row[:, None] * D_STATE + k[None, :], mask=in_B, other=0.0)
    values = tl.load(x + row[:, None] * D + v[None, :], mask=in_x, other=0.0)
    S = tl.dot(tl.trans(keys * decay[:, None]), values, input_precision="ieee")
    at = (head * chunks + chunk) * D_STATE * D + k[:, None] * D + v[None, :]
    tl.store(added + at, S, mask=(k < D_STATE)[:, None] & (v < D)[None, :])
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "04b_triton-kernel-chunk-state-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("04b_triton-kernel-chunk-state", chunk_state)

# %% [markdown]
# ## Where next
#
# `progress()` in a new cell shows what you have passed. The course goes on with
# [04c · Vision](../notebooks/04c_vision.ipynb): images as sequences.
