# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises for 01 · Tour
#
# Each time you open this notebook, run the code cell below this text first. Then fill in the cell under each card, run
# it, then run the check below it. Checks try random inputs, half of them new each time, and name your mistake when they
# know it. The exercises go from easy to hard, and none depends on an earlier one. Everything you need is explained in
# [01 · Tour](../notebooks/01_tour.ipynb). Tokens are rows, and a state $S$ is always keys × values.

# %%
import numpy as np

from lecture17.course import check, hint, progress

# %% [markdown]
# ## Mamba-2, in one loop
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `01_tour-mamba2-micro` | ★☆☆ | 10 min | 4 | you can write Mamba-2's core as it runs when a model generates text |
#
# Each token has a step $\Delta_t \ge 0$, given as `dt[t]`. It does two things: it sets the decay, and it scales what is
# written. With one number $A < 0$ for all tokens,
#
# $$S_t = e^{\Delta_t A}\, S_{t-1} + \Delta_t\, B_t x_t^\top, \qquad y_t = C_t S_t .$$
#
# Start from the given `state`, $(d_{state}, d)$. Return all outputs, and the state after the last token. Stuck? Type
# `hint("01_tour-mamba2-micro")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "01_tour-mamba2-micro", "locked": false, "schema_version": 3, "solution": true, "task": false}
def mamba2_micro(x, dt, A, B, C, state):
    """Outputs y (N, d) and the last state, for x (N, d), dt (N,), a number A < 0, B and C (N, d_state)."""
    ### BEGIN SOLUTION
    S, y = state, np.empty_like(x)
    for t in range(len(x)):
        S = np.exp(dt[t] * A) * S + np.outer(B[t], dt[t] * x[t])
        y[t] = C[t] @ S
    return y, S
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "01_tour-mamba2-micro-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("01_tour-mamba2-micro", mamba2_micro)

# %% [markdown]
# ## The gate where it belongs
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `01_tour-gla-gate` | ★☆☆ | 10 min | 3 | you know what GLA's gate acts on, and along which axis |
#
# The lecture puts GLA's gate on the input. Put it where it belongs. A layer has computed `z`, $(N, d_k)$, and the gates
# are $\alpha_t = \sigma(z_t)^{1/16}$ with $\sigma(z) = 1 / (1 + e^{-z})$. Gate $c$ of token $t$ decides how much of
# **row** $c$ of the old state is kept:
#
# $$S_t = \mathrm{diag}(\alpha_t)\, S_{t-1} + k_t v_t^\top, \qquad y_t = q_t S_t .$$
#
# Start from a state of zeros. Return all outputs and the last state, $(d_k, d_v)$. Stuck? Type `hint("01_tour-gla-gate")`
# in a new cell.


# %% nbgrader={"grade": false, "grade_id": "01_tour-gla-gate", "locked": false, "schema_version": 3, "solution": true, "task": false}
def gated_linear_attention(Q, K, V, z):
    """Outputs y (N, d_v) and the last state (d_k, d_v), for Q, K and z (N, d_k), V (N, d_v)."""
    ### BEGIN SOLUTION
    alpha = (1 / (1 + np.exp(-z))) ** (1 / 16)
    S, y = np.zeros((K.shape[1], V.shape[1])), np.empty_like(V)
    for t in range(len(V)):
        S = alpha[t][:, None] * S + np.outer(K[t], V[t])
        y[t] = Q[t] @ S
    return y, S
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "01_tour-gla-gate-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check("01_tour-gla-gate", gated_linear_attention)

# %% [markdown]
# ## A mean that does not overflow
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `01_tour-wkv` | ★★☆ | 15 min | 4 | you can keep sums of exponentials from overflowing, as every softmax kernel does |
#
# Compute RWKV-4's weighted mean for each of $d$ channels separately, with keys anywhere between $-1900$ and $1900$:
#
# $$y_t = \frac{\sum_{j<t} e^{(t-1-j) w + k_j}\, v_j + e^{u + k_t} v_t}
#   {\sum_{j<t} e^{(t-1-j) w + k_j} + e^{u + k_t}} .$$
#
# Go through the tokens one by one. Keep the two sums as $e^o p$ and $e^o q$: factor one exponent $o$ out of both, so
# that you never hold a large number. Reading and updating are then sums of two terms each; factor out the larger of the
# two exponents. A decay of $w = -\infty$ (keep only the token before) is legal. Return $y$. Stuck? Type
# `hint("01_tour-wkv")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "01_tour-wkv", "locked": false, "schema_version": 3, "solution": true, "task": false}
def wkv(w, u, k, v):
    """The means y (N, d), for w and u (d,), k and v (N, d)."""
    ### BEGIN SOLUTION
    p, q, o = np.zeros_like(u), np.zeros_like(u), np.full_like(u, -np.inf)
    y = np.empty_like(v)
    for t in range(len(v)):
        m = np.maximum(o, u + k[t])
        past, now = np.exp(o - m), np.exp(u + k[t] - m)
        y[t] = (past * p + now * v[t]) / (past * q + now)

        m = np.maximum(w + o, k[t])
        past, now = np.exp(w + o - m), np.exp(k[t] - m)
        p, q, o = past * p + now * v[t], past * q + now, m
    return y
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "01_tour-wkv-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("01_tour-wkv", wkv)

# %% [markdown]
# ## Retention, three ways
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `01_tour-retention-three-ways` | ★★☆ | 20 min | 5 | you have seen in your own code that three algorithms compute one map |
#
# Compute the outputs of retention in three ways and return all three. They must agree to $10^{-10}$.
#
# 1. **Parallel:** $y = (D \circ Q K^\top)\, V$ with $D_{ij} = \gamma^{\,i-j}$ for $i \ge j$ and 0 above.
# 2. **Recurrent:** $S_t = \gamma S_{t-1} + k_t v_t^\top$ and $y_t = q_t S_t$, from a state of zeros.
# 3. **Chunkwise:** for each chunk of tokens $s$ to $s + c - 1$ (the last chunk may be shorter than `chunk_size`),
#
# $$y_i = \sum_{j=s}^{i} \gamma^{\,i-j} (q_i \cdot k_j)\, v_j + \gamma^{\,i-s+1} q_i S, \qquad
#   S \leftarrow \gamma^c S + \sum_{j=s}^{s+c-1} \gamma^{\,s+c-1-j} k_j v_j^\top .$$
#
# $\gamma$ may be 0 or 1. Stuck? Type `hint("01_tour-retention-three-ways")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "01_tour-retention-three-ways", "locked": false, "schema_version": 3, "solution": true, "task": false}
def retention_three_ways(Q, K, V, gamma, chunk_size):
    """The outputs (N, d_v) in parallel, recurrent and chunkwise form, for Q and K (N, d_k), V (N, d_v)."""
    ### BEGIN SOLUTION
    N = len(V)
    distance = np.abs(np.arange(N)[:, None] - np.arange(N))
    D = np.tril(gamma**distance)
    parallel = (D * (Q @ K.T)) @ V

    S, recurrent = np.zeros((K.shape[1], V.shape[1])), np.empty_like(V)
    for t in range(N):
        S = gamma * S + np.outer(K[t], V[t])
        recurrent[t] = Q[t] @ S

    S, chunkwise = np.zeros((K.shape[1], V.shape[1])), np.empty_like(V)
    for s in range(0, N, chunk_size):
        q, k, v = (rows[s : s + chunk_size] for rows in (Q, K, V))
        c = len(v)
        i = np.arange(c)[:, None]
        chunkwise[s : s + c] = (D[:c, :c] * (q @ k.T)) @ v + gamma ** (i + 1) * (q @ S)
        S = gamma**c * S + (gamma ** (c - 1 - i) * k).T @ v
    return parallel, recurrent, chunkwise
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "01_tour-retention-three-ways-check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
check("01_tour-retention-three-ways", retention_three_ways)

# %% [markdown]
# ## Where next
#
# `progress()` in a new cell shows what you have passed. The course goes on with
# [02 · Intuition](../notebooks/02_intuition.ipynb): one mountain, two sides.
