# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises for 03e · The family since
#
# Each time you open this notebook, run the code cell below this text first. Then fill in the cell under each card, run
# it, then run the check below it. Checks try random inputs, half of them new each time, and name the mistake when they
# know it. No exercise needs an earlier one. All of them are explained in
# [03e · The family since](../notebooks/03e_family_since.ipynb), in the sections in which they are named. Tokens are
# rows, and a state $S$ is always keys × values.

# %%
import numpy as np

from lecture17.course import check, hint, progress

# %% [markdown]
# ## One token of Kimi Delta Attention
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `03e_family_since-kda-step` | ★☆☆ | 10 min | 3 | you can decode with KDA, and say in which order it forgets and learns |
#
# One head, one token. First the state decays, row $c$ by its own $\alpha_c$. Then take one gradient step of size
# $\beta$ on $\tfrac12 |v - S^\top k|^2$. Read last:
#
# $$\bar S = \mathrm{diag}(\alpha)\, S, \qquad S \leftarrow \bar S + \beta\, k\, (v - \bar S^\top k)^\top, \qquad
#   y = S^\top q .$$
#
# `q`, `k` and `log_alpha` are $(d_k,)$, `v` is $(d_v,)$, `beta` is a number from 0 to 2, `S` the state before the token,
# $(d_k, d_v)$. Some $\alpha_c$ are 0, that is, $\log \alpha_c = -\infty$. Return `y` and the new state. Stuck? Type
# `hint("03e_family_since-kda-step")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "03e_family_since-kda-step", "locked": false, "schema_version": 3, "solution": true, "task": false}
def kda_step(q, k, v, log_alpha, beta, S):
    """The output y (d_v,) and the state (d_k, d_v) after the token."""
    ### BEGIN SOLUTION
    kept = np.exp(log_alpha)[:, None] * S
    error = v - k @ kept
    S = kept + beta * np.outer(k, error)
    return q @ S, S
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "03e_family_since-kda-step-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check("03e_family_since-kda-step", kda_step)

# %% [markdown]
# ## DeltaProduct as a delta rule on a longer sequence
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `03e_family_since-delta-product` | ★★☆ | 15 min | 4 | you can run DeltaProduct with any kernel of the delta rule |
#
# In DeltaProduct, each token first decays the state by $a_t$, then takes $n_h$ steps of the delta rule, in the order of
# their axis, and then reads. Write the arguments of the **gated delta rule** that does the same, with one row for each
# *step*. Row by row it computes
#
# $$S \leftarrow a\, (I - \beta\, k k^\top)\, S + \beta\, k v^\top, \qquad y = S^\top q .$$
#
# `Q` is $(N, d_k)$, `K` is $(N, n_h, d_k)$, `V` is $(N, n_h, d_v)$, `beta` is $(N, n_h)$, and `a` is $(N,)$ with
# $0 \le a_t \le 1$. Return `Q`, `K`, `V`, `beta` and `a` of the longer sequence: $N\, n_h$ rows each, in the order in
# which the steps are taken. Where a row is not read, let its query be zeros. Stuck? Type
# `hint("03e_family_since-delta-product")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "03e_family_since-delta-product", "locked": false, "schema_version": 3, "solution": true, "task": false}
def delta_product_as_delta_rule(Q, K, V, beta, a):
    """Q, K (N n_h, d_k), V (N n_h, d_v), beta and a (N n_h,) of a gated delta rule."""
    ### BEGIN SOLUTION
    N, n_h, d_k = K.shape
    queries, decays = np.zeros((N, n_h, d_k)), np.ones((N, n_h))
    queries[:, -1] = Q
    decays[:, 0] = a
    flat = [x.reshape(N * n_h, x.shape[2]) for x in (queries, K, V)]
    return *flat, beta.ravel(), decays.ravel()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "03e_family_since-delta-product-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("03e_family_since-delta-product", delta_product_as_delta_rule)

# %% [markdown]
# ## Mesa is ridge regression
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `03e_family_since-mesa-ridge` | ★★★ | 20 min | 4 | you can say what the best linear memory is, and compare others with it |
#
# At token $t$ let $W_t$ be the $(d_k, d_v)$ matrix that minimizes
#
# $$\sum_{j \le t} \omega_{tj}\, |v_j - W^\top k_j|^2 + \sum_c \lambda_c\, |W_c|^2, \qquad
#   \omega_{tj} = \beta_j\, a_{j+1} \cdots a_t ,$$
#
# where $W_c$ is row $c$ of $W$. Return the outputs $y_t = W_t^\top q_t$ of all tokens, $(N, d_v)$. `Q` and `K` are
# $(N, d_k)$, `V` is $(N, d_v)$; `log_a` and `beta` are $(N,)$, with $a_t = e^{\log a_t}$ and $\beta_j \ge 0$; `lam` is
# $(d_k,)$, above 0. You may solve one linear system per token. Stuck? Type `hint("03e_family_since-mesa-ridge")` in a
# new cell.


# %% nbgrader={"grade": false, "grade_id": "03e_family_since-mesa-ridge", "locked": false, "schema_version": 3, "solution": true, "task": false}
def mesa_ridge(Q, K, V, log_a, beta, lam):
    """The outputs y (N, d_v) of the weighted ridge regression of all pairs so far."""
    ### BEGIN SOLUTION
    d_k, d_v = K.shape[1], V.shape[1]
    H, G, y = np.zeros((d_k, d_k)), np.zeros((d_k, d_v)), np.empty_like(V)
    for t in range(len(V)):
        H = np.exp(log_a[t]) * H + beta[t] * np.outer(K[t], K[t])
        G = np.exp(log_a[t]) * G + beta[t] * np.outer(K[t], V[t])
        y[t] = Q[t] @ np.linalg.solve(H + np.diag(lam), G)
    return y
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "03e_family_since-mesa-ridge-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("03e_family_since-mesa-ridge", mesa_ridge)

# %% [markdown]
# ## One token of log-linear attention
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `03e_family_since-fenwick-step` | ★★☆ | 15 min | 3 | you can decode with log-linear attention, and say which state holds which token |
#
# After $t$ tokens, `S[b]` holds the bucket of $2^b$ tokens if bit $b$ of $t$ is 1, and zeros if it is 0. Now one more
# token comes. First all buckets decay by $e^{\log a}$. Then the token reads itself with weight `lam[0]` and bucket $b$ with
# weight `lam[b + 1]`:
#
# $$y = \lambda_0\, (k v^\top)^\top q + \sum_b \lambda_{b+1}\, S_b^\top q .$$
#
# At last it becomes a bucket of one token itself, and **where two buckets of one size meet, they merge into one of twice
# the size**, until no two are alike: after that `S[b]` is as above for $t + 1$.
#
# `q` and `k` are $(d_k,)$, `v` is $(d_v,)$, `log_a` is a number, `lam` is $(\mathrm{bits} + 1,)$, and `S` is
# $(\mathrm{bits}, d_k, d_v)$, with enough bits for $t + 1$. Return `y` and the new `S`. Stuck? Type
# `hint("03e_family_since-fenwick-step")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "03e_family_since-fenwick-step", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fenwick_step(q, k, v, log_a, lam, S, t):
    """The output y (d_v,) of token t, counted from 0, and the buckets (bits, d_k, d_v) after it."""
    ### BEGIN SOLUTION
    S = np.exp(log_a) * S
    new = np.outer(k, v)
    y = lam[0] * q @ new + np.einsum("b,k,bkv->v", lam[1:], q, S)
    bit = 0
    while t >> bit & 1:
        new = new + S[bit]
        S[bit] = 0
        bit += 1
    S[bit] = new
    return y, S
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "03e_family_since-fenwick-step-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check("03e_family_since-fenwick-step", fenwick_step)

# %% [markdown]
# ## Where next
#
# `progress()` in a new cell shows what you have passed. The course goes on with
# [04a · PyTorch](../notebooks/04a_torch.ipynb): batches, gradients and caches.
