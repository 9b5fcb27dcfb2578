# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises for 03b · Duality
#
# Each time you open this notebook, run the code cell below this text first. Then fill in the cell under each card, run
# it, then run the check below it. Checks try random inputs, half of them new each time, and name the mistake when they
# know it. No exercise needs an earlier one. All of it is explained in [03b · Duality](../notebooks/03b_duality.ipynb).
# Tokens are rows, and a state $S$ is always keys × values.

# %%
import numpy as np

from lecture17.course import check, hint, progress
from lecture17.reference.attention import softmax_matrix
from lecture17.reference.semiseparable import segsum

# %% [markdown]
# ## An exponential of a product
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `03b_duality-exp-counterexample` | ★☆☆ | 5 min | 2 | you see at once why softmax attention does not factor |
#
# The lecture writes $e^{q^\top k} = (e^{q})^\top e^{k}$, with the exponential taken entry by entry. Refute it, and find
# out when it does hold:
#
# - return two vectors `q`, `k` of the same length, at least 2, for which the two sides differ;
# - for single numbers the right side is $e^{q_1} e^{k_1}$: return the number `k1` for which the two sides are *equal*
#   with the given `q1` (which is never 1). Stuck? Type `hint("03b_duality-exp-counterexample")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "03b_duality-exp-counterexample", "locked": false, "schema_version": 3, "solution": true, "task": false}
def exp_counterexample(q1):
    """Vectors q, k with exp(q·k) != exp(q)·exp(k), and the number k1 with exp(q1 k1) == exp(q1) exp(k1)."""
    ### BEGIN SOLUTION
    q = k = np.array([1.0, 1.0])  # exp(2) = 7.39, but exp(1)² + exp(1)² = 14.8
    k1 = q1 / (q1 - 1)  # q1 k1 = q1 + k1
    return q, k, k1
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "03b_duality-exp-counterexample-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check("03b_duality-exp-counterexample", exp_counterexample)

# %% [markdown]
# ## A running normalizer
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `03b_duality-running-normaliser` | ★★☆ | 10 min | 3 | you can turn causal linear attention into a recurrence |
#
# Causal linear attention with a normalizer divides each row of $\mathrm{tril}(QK^\top)$ by its sum. Compute it **token by
# token**: carry the state $S_t = \sum_{j\le t} k_j v_j^\top$ and the normalizer $z_t = \sum_{j \le t} k_j$, and return
# the outputs $y_t = q_t S_t / (q_t \cdot z_t)$ together with the last $S$ and $z$. `Q` and `K` hold positive features,
# $(N, d_k)$; `V` is $(N, d_v)$. Stuck? Type `hint("03b_duality-running-normaliser")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "03b_duality-running-normaliser", "locked": false, "schema_version": 3, "solution": true, "task": false}
def normalized_linear_attention(Q, K, V):
    """Outputs y (N, d_v), the state S (d_k, d_v) and the normalizer z (d_k,) after the last token."""
    ### BEGIN SOLUTION
    S, z = np.zeros((K.shape[1], V.shape[1])), np.zeros(K.shape[1])
    y = np.empty_like(V)
    for t in range(len(V)):
        S = S + np.outer(K[t], V[t])
        z = z + K[t]
        y[t] = Q[t] @ S / (Q[t] @ z)
    return y, S, z
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "03b_duality-running-normaliser-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check("03b_duality-running-normaliser", normalized_linear_attention)

# %% [markdown]
# ## The attention view of an SSM
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `03b_duality-ssd-parallel` | ★★☆ | 10 min | 3 | you can write the masked matrix of Mamba-2 without overflow or NaN |
#
# Return $y = (L \circ C B^\top)\, x$ with $L_{ij} = e^{\log a_{j+1} + \dots + \log a_i}$ for $i \ge j$ and 0 above. Some
# decays are exactly 0, that is `log_a = -inf`, and the answer must be right there too. `segsum(log_a)` is imported: it
# returns the sums in the exponent, with $-\infty$ above the diagonal. Stuck? Type `hint("03b_duality-ssd-parallel")` in
# a new cell.


# %% nbgrader={"grade": false, "grade_id": "03b_duality-ssd-parallel", "locked": false, "schema_version": 3, "solution": true, "task": false}
def ssd_parallel(x, log_a, B, C):
    """y = (L ∘ C Bᵀ) x for x (N, d), log_a (N,), B and C (N, d_state)."""
    ### BEGIN SOLUTION
    L = np.exp(segsum(log_a))
    return (L * (C @ B.T)) @ x
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "03b_duality-ssd-parallel-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check("03b_duality-ssd-parallel", ssd_parallel)

# %% [markdown]
# ## The SSD algorithm in four steps
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `03b_duality-ssd-chunkwise` | ★★★ | 30 min | 7 | you can write Mamba-2's algorithm: quadratic within chunks, linear overall |
#
# Cut the sequence into chunks of `chunk_size` tokens (the last may be shorter) and start from a state of zeros. For each
# chunk:
#
# 1. **diagonal block**: what the tokens of the chunk contribute to each other, by masked attention;
# 2. **chunk state**: what the chunk writes, $\sum_j (\text{decay from } j \text{ to the chunk's end})\; B_j x_j^\top$;
# 3. **state passing**: the old state, shrunk by the decay of the whole chunk, plus what step 2 wrote;
# 4. **output of the incoming state**: token $t$ gets $(\text{decay from the chunk's start to } t)\; C_t S$, where $S$ is
#    the state *before* the chunk.
#
# Return all outputs and the state after the last token, $(d_{state}, d)$. Stuck? Type
# `hint("03b_duality-ssd-chunkwise")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "03b_duality-ssd-chunkwise", "locked": false, "schema_version": 3, "solution": true, "task": false}
def ssd_chunkwise(x, log_a, B, C, chunk_size):
    """Outputs y (N, d) and the state (d_state, d) after the last token."""
    ### BEGIN SOLUTION
    S = np.zeros((B.shape[1], x.shape[1]))
    y = np.empty_like(x)
    for start in range(0, len(x), chunk_size):
        chunk = slice(start, start + chunk_size)
        x_c, log_a_c, B_c, C_c = x[chunk], log_a[chunk], B[chunk], C[chunk]
        L = np.exp(segsum(log_a_c))
        y[chunk] = (L * (C_c @ B_c.T)) @ x_c  # 1 diagonal block
        y[chunk] += np.exp(np.cumsum(log_a_c))[:, None] * (C_c @ S)  # 4 what the incoming state gives
        written = (L[-1][:, None] * B_c).T @ x_c  # 2 chunk state
        S = np.exp(log_a_c.sum()) * S + written  # 3 state passing
    return y, S
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "03b_duality-ssd-chunkwise-check", "locked": true, "points": 7, "schema_version": 3, "solution": false, "task": false}
check("03b_duality-ssd-chunkwise", ssd_chunkwise)

# %% [markdown]
# ## How much softmax attention must remember
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `03b_duality-softmax-rank` | ★★☆ | 10 min | 2 | you can measure that softmax attention has no fixed state |
#
# Everything that the tokens from `split` on learn from earlier tokens passes through the block `P[split:, :split]` of
# the causal softmax matrix $P$ (`softmax_matrix(Q, K)` is imported; it has no hidden scale). Return the block's numerical
# rank as an integer: the number of its singular values larger than $10^{-8}$ times the largest one of the *block* (not of
# the whole matrix, as in 03a). Stuck? Type `hint("03b_duality-softmax-rank")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "03b_duality-softmax-rank", "locked": false, "schema_version": 3, "solution": true, "task": false}
def softmax_block_rank(Q, K, split):
    """How many singular values of P[split:, :split] exceed 1e-8 times the largest."""
    ### BEGIN SOLUTION
    s = np.linalg.svd(softmax_matrix(Q, K)[split:, :split], compute_uv=False)
    return int((s > 1e-8 * s[0]).sum())
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "03b_duality-softmax-rank-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check("03b_duality-softmax-rank", softmax_block_rank)

# %% [markdown]
# ## Random features
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `03b_duality-random-features` | ★★☆ | 10 min | 2 | you can approximate the exponential kernel with a finite state |
#
# Return the positive random features (FAVOR+) of the rows of `X`, $(N, d)$, for given directions $w_1 \dots w_m$, the rows
# of `W`:
#
# $$\phi(x)_i = \frac{1}{\sqrt m}\, e^{\,w_i \cdot x - |x|^2/2} .$$
#
# If the $w_i$ are standard normal, $\phi(q)\cdot\phi(k)$ is $e^{q\cdot k}$ on average. Stuck? Type
# `hint("03b_duality-random-features")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "03b_duality-random-features", "locked": false, "schema_version": 3, "solution": true, "task": false}
def random_features(X, W):
    """The (N, m) features of X (N, d) for directions W (m, d)."""
    ### BEGIN SOLUTION
    return np.exp(X @ W.T - (X**2).sum(axis=1, keepdims=True) / 2) / np.sqrt(len(W))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "03b_duality-random-features-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check("03b_duality-random-features", random_features)

# %% [markdown]
# ## Where next
#
# `progress()` in a new cell shows what you have passed. The course goes on with
# [03c · The family](../notebooks/03c_family.ipynb): the architectures as published.
