# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises for 03c · The family
#
# Each time you open this notebook, run the code cell below this text first. Then fill in the cell under each card, run
# it, then run the check below it. Checks try random inputs, half of them new each time, and name the mistake when they
# know it. No exercise needs an earlier one. The first two are explained in
# [03c · The family](../notebooks/03c_family.ipynb), the last two in its [second part](../notebooks/03c_memory.ipynb).
# Tokens are rows, and a state $S$ is always keys × values.

# %%
import numpy as np

from lecture17.course import check, hint, progress
from lecture17.reference.semiseparable import segsum

# %% [markdown]
# ## Retention in chunks, each head with its own decay
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `03c_family-retention-chunkwise` | ★★☆ | 15 min | 3 | you can train RetNet in linear time, and continue from any state |
#
# All heads at once: `Q`, `K` are $(heads, N, d_k)$, `V` is $(heads, N, d_v)$, `gamma` holds one $\gamma$ per head (0 and
# 1 are legal) and `state` the states *before* the first token, $(heads, d_k, d_v)$. Cut the tokens into chunks of
# `chunk_size`; the last may be shorter. For a chunk of $c$ tokens, counted from 0 inside it,
#
# $$\begin{aligned}
# y_t &= \sum_{j \le t} \gamma^{t-j} (q_t \cdot k_j)\, v_j + \gamma^{t+1}\, q_t S, \\
# S &\leftarrow \gamma^c S + \sum_t \gamma^{c-1-t}\, k_t v_t^\top .
# \end{aligned}$$
#
# Loop over chunks only, not over tokens or heads. Return all outputs and the states after the last token. Stuck? Type
# `hint("03c_family-retention-chunkwise")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "03c_family-retention-chunkwise", "locked": false, "schema_version": 3, "solution": true, "task": false}
def retention_chunkwise(Q, K, V, gamma, chunk_size, state):
    """Outputs y (heads, N, d_v) and the states (heads, d_k, d_v) after the last token."""
    ### BEGIN SOLUTION
    g, S, y = gamma[:, None, None], state, np.empty_like(V)
    for start in range(0, V.shape[1], chunk_size):
        chunk = slice(start, start + chunk_size)
        q, k, v = Q[:, chunk], K[:, chunk], V[:, chunk]
        t = np.arange(v.shape[1])
        D = np.tril(g ** np.abs(t[:, None] - t))
        y[:, chunk] = (D * (q @ k.mT)) @ v + g ** (t + 1)[:, None] * (q @ S)
        S = g ** len(t) * S + (g ** t[::-1, None] * k).mT @ v
    return y, S
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "03c_family-retention-chunkwise-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check("03c_family-retention-chunkwise", retention_chunkwise)

# %% [markdown]
# ## A gate for each key dimension, in log space
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `03c_family-gla-chunkwise` | ★★★ | 25 min | 5 | you can write GLA's algorithm so that no gate, however small, breaks it |
#
# $S_t = \mathrm{diag}(\alpha_t)\, S_{t-1} + k_t v_t^\top$ and $y_t = q_t S_t$, from a state of zeros, in chunks of
# `chunk_size` tokens (the last may be shorter). `log_alpha` is $(N, d_k)$. Inside a chunk
#
# $$M_{ij} = \sum_c q_{ic}\, k_{jc}\; e^{\log \alpha_{j+1,c} + \dots + \log \alpha_{ic}} \quad (i \ge j) .$$
#
# Some gates are $10^{-30}$ and some are exactly 0, that is $\log \alpha = -\infty$: divide nothing, and subtract no two
# cumulative sums. `segsum(log_a)` is imported: for a vector of logs it returns the sums of all segments, with $-\infty$
# above the diagonal. Return all outputs and the state after the last token. Stuck? Type
# `hint("03c_family-gla-chunkwise")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "03c_family-gla-chunkwise", "locked": false, "schema_version": 3, "solution": true, "task": false}
def gla_chunkwise(Q, K, V, log_alpha, chunk_size):
    """Outputs y (N, d_v) and the state (d_k, d_v) after the last token."""
    ### BEGIN SOLUTION
    S, y = np.zeros((K.shape[1], V.shape[1])), np.empty_like(V)
    for start in range(0, len(V), chunk_size):
        chunk = slice(start, start + chunk_size)
        q, k, v, logs = Q[chunk], K[chunk], V[chunk], log_alpha[chunk]
        L = np.exp([segsum(column) for column in logs.T])  # (d_k, c, c)
        M = (L * q.T[:, :, None] * k.T[:, None, :]).sum(axis=0)
        y[chunk] = M @ v + (q * np.exp(np.cumsum(logs, axis=0))) @ S
        to_end = L[:, -1].T  # (c, d_k)
        S = np.exp(logs.sum(axis=0))[:, None] * S + (k * to_end).T @ v
    return y, S
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "03c_family-gla-chunkwise-check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
check("03c_family-gla-chunkwise", gla_chunkwise)

# %% [markdown]
# ## The delta rule is learning
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `03c_family-delta-online-sgd` | ★★☆ | 10 min | 3 | you see why DeltaNet replaces where linear attention adds |
#
# The state should recall $v_t$ when asked with $k_t$. From a state of zeros take, at each token, **one** step of gradient
# descent, of size $\beta_t$, on
#
# $$\ell_t(S) = \tfrac12\, |v_t - S^\top k_t|^2 .$$
#
# Return the losses $\ell_t(S_{t-1})$ *before* each step, $(N,)$, and the state after the last. `K` is $(N, d_k)$, with
# keys of length 1, `V` is $(N, d_v)$, `beta` is $(N,)$. Derive the gradient; do not measure it. Stuck? Type
# `hint("03c_family-delta-online-sgd")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "03c_family-delta-online-sgd", "locked": false, "schema_version": 3, "solution": true, "task": false}
def delta_online_sgd(K, V, beta):
    """The losses (N,) before each step and the state (d_k, d_v) after the last."""
    ### BEGIN SOLUTION
    S, losses = np.zeros((K.shape[1], V.shape[1])), np.empty(len(V))
    for t in range(len(V)):
        error = V[t] - K[t] @ S
        losses[t] = error @ error / 2
        S = S + beta[t] * np.outer(K[t], error)
    return losses, S
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "03c_family-delta-online-sgd-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check("03c_family-delta-online-sgd", delta_online_sgd)

# %% [markdown]
# ## One token of RWKV-7
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `03c_family-rwkv7-step` | ★★★ | 20 min | 5 | you can decode with RWKV-7, from the outputs of its projections to the new state |
#
# One head, one token. The projections give the receptance `r`, the decay logits `d`, the rates `a` in $(0, 1)$ and the
# key `k`, all $(d_k,)$, and the value `v`, $(d_v,)$. Two more vectors are learned: `k_k` and `k_a`. Compute
#
# $$w = e^{-e^{-1/2} \sigma(d)}, \quad \hat\kappa = \frac{k \circ k_k}{|k \circ k_k|}, \quad
#   \tilde k = k \circ (1 + (a - 1) \circ k_a),$$
#
# and then, from the state `S` $(d_k, d_v)$ before the token,
#
# $$S \leftarrow \mathrm{diag}(w)\, S - (a \circ \hat\kappa)\,(\hat\kappa^\top S) + \tilde k\, v^\top, \quad y = r^\top S .$$
#
# Return `y` and the new state. Stuck? Type `hint("03c_family-rwkv7-step")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "03c_family-rwkv7-step", "locked": false, "schema_version": 3, "solution": true, "task": false}
def rwkv7_step(r, d, a, k, v, k_k, k_a, S):
    """The output y (d_v,) and the state (d_k, d_v) after this token."""
    ### BEGIN SOLUTION
    w = np.exp(-np.exp(-0.5) / (1 + np.exp(-d)))
    kappa = k * k_k
    kappa = kappa / np.linalg.norm(kappa)
    k_write = k * (1 + (a - 1) * k_a)
    S = w[:, None] * S - np.outer(a * kappa, kappa @ S) + np.outer(k_write, v)
    return r @ S, S
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "03c_family-rwkv7-step-check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
check("03c_family-rwkv7-step", rwkv7_step)

# %% [markdown]
# ## Where next
#
# `progress()` in a new cell shows what you have passed. The course goes on with
# [03c · The family, second part](../notebooks/03c_memory.ipynb): memories that correct themselves. If you have read it,
# go on with [03d · Expressivity](../notebooks/03d_expressivity.ipynb): what a state can compute.
