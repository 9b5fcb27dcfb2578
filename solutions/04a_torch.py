# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises for 04a · PyTorch
#
# Each time you open this notebook, run the code cell below this text first. Then fill in the cell under each card, run
# it, then run the check below it. Checks try random inputs, half of them new each time, and name the mistake when they
# recognize it. No exercise needs an earlier one. Everything you need is in
# [04a · PyTorch](../notebooks/04a_torch.ipynb). You get tensors and return tensors; checks compare them in float64 with
# the reference, head by head.

# %%
import torch

from lecture17.course import check, hint, progress

# %% [markdown]
# ## All heads at once
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `04a_torch-batched-ssd` | ★★☆ | 20 min | 4 | you can turn a formula for one head into batched, trainable PyTorch |
#
# Return $y = (L \circ C B^\top)\, x$ for every head of every sequence, with $L_{ij} = e^{\log a_{j+1} + \dots + \log a_i}$ for
# $i \ge j$ and 0 above. Shapes: `x` $(batch, N, heads, d)$, `log_a` $(batch, N, heads)$, `B` and `C` $(batch, N, groups, d_{state})$;
# head $h$ uses group $h \,//\, (heads \,//\, groups)$. Use no Python loop over sequences or heads. Some decays are exactly 0
# (`log_a = -inf`), and some so strong that $1 / L_{ij}$ overflows. Outputs *and gradients* must be right there too.
# Stuck? Type `hint("04a_torch-batched-ssd")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "04a_torch-batched-ssd", "locked": false, "schema_version": 3, "solution": true, "task": false}
def batched_ssd(x, log_a, B, C):
    """y (batch, N, heads, d)."""
    ### BEGIN SOLUTION
    per_group = x.shape[2] // B.shape[2]
    B, C = (M.repeat_interleave(per_group, dim=2) for M in (B, C))  # (b, N, h, d_state)
    x, log_a, B, C = (tensor.transpose(1, 2) for tensor in (x, log_a, B, C))  # (b, h, N, …)
    low = torch.ones(x.shape[2], x.shape[2], dtype=torch.bool).tril()
    sums = torch.where(low.tril(-1), log_a[..., :, None], 0).cumsum(-2)  # each segment by itself
    L = torch.where(low, sums, -torch.inf).exp()  # (b, h, N, N)
    y = (L * (C @ B.mT)) @ x
    return y.transpose(1, 2)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "04a_torch-batched-ssd-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("04a_torch-batched-ssd", batched_ssd)

# %% [markdown]
# ## One token at a time
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `04a_torch-decode-cache` | ★★☆ | 15 min | 4 | you can decode with a cache whose size does not grow |
#
# The core of a Mamba-2 block is a short convolution and then SSD. Write it for **one token**. The cache is a tuple
# `(window, state)`: the last $width - 1$ tokens *before* the convolution, $(batch, width - 1, heads, d)$, and
# $S$, $(batch, heads, d_{state}, d)$.
#
# 1. **Convolve:** $x_t = \sum_i weight_i \circ u_{t - width + 1 + i}$. `weight` is $(width, heads, d)$, and its last row
#    multiplies the token itself, as in `nn.Conv1d`.
# 2. **Update:** $S_t = e^{\log a_t} S_{t-1} + B_t x_t^\top$.
# 3. **Read:** $y_t = C_t S_t$.
#
# `u_t` is $(batch, heads, d)$, `log_a_t` $(batch, heads)$, `B_t` and `C_t` $(batch, heads, d_{state})$. Return `y_t` and the new
# cache. Leave the old cache as it was: whoever kept it may decode again from there.
# Stuck? Type `hint("04a_torch-decode-cache")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "04a_torch-decode-cache", "locked": false, "schema_version": 3, "solution": true, "task": false}
def decode_step(u_t, log_a_t, B_t, C_t, weight, cache):
    """The output y_t (batch, heads, d) and the cache (window, state) after the token."""
    ### BEGIN SOLUTION
    window, S = cache
    tokens = torch.cat([window, u_t[:, None]], dim=1)  # (b, width, h, d)
    x_t = (weight * tokens).sum(dim=1)
    a_t = log_a_t.exp()[..., None, None]
    S = a_t * S + B_t[..., :, None] * x_t[..., None, :]  # (b, h, d_state, d), a new tensor
    y_t = (C_t[..., None, :] @ S)[..., 0, :]
    return y_t, (tokens[:, 1:], S)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "04a_torch-decode-cache-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("04a_torch-decode-cache", decode_step)

# %% [markdown]
# ## Where next
#
# `progress()` in a new cell shows what you have passed. The course goes on with
# [04b · Triton](../notebooks/04b_triton.ipynb): kernels, from the first load.
