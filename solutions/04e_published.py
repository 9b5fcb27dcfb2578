# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises for 04e · A published model, by your own code
#
# Each time you open this notebook, run the code cell below this text first. Then fill in the cell under each card, run
# it, then run the check below it. The check tries random inputs, half of them new each time, and names the mistake when
# it recognizes it. Everything you need is in
# [04e · A published model, by your own code](../notebooks/04e_published.ipynb).

# %%
import numpy as np

from lecture17.course import check, hint, progress

# %% [markdown]
# ## How long a head remembers
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `04e_published-half-life` | ★★☆ | 10 min | 4 | you can read off from a trained model what it remembers |
#
# A model has read $N$ tokens, and `log_a`, $(N, heads)$, holds its log decays: token $t$ first multiplies the state of
# head $h$ by $e^{\log a_{th}}$, then writes. Return
#
# - `half_life`, $(heads,)$: after how many tokens half of a head's state is left, if each of them decayed it by the mean
#   of its log decays;
# - `kept`, $(heads,)$: the share of what token 0 wrote that is left in the state after the last token.
#
# Stuck? Type `hint("04e_published-half-life")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "04e_published-half-life", "locked": false, "schema_version": 3, "solution": true, "task": false}
def memory_of_heads(log_a):
    """The half-life in tokens (heads,), and what is kept of the first token (heads,)."""
    ### BEGIN SOLUTION
    half_life = np.log(2) / -log_a.mean(axis=0)
    kept = np.exp(log_a[1:].sum(axis=0))
    return half_life, kept
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "04e_published-half-life-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("04e_published-half-life", memory_of_heads)

# %% [markdown]
# ## Rows in another order
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `04e_published-rope-pairs` | ★★☆ | 15 min | 4 | you can bring published attention weights into a block that pairs other rows |
#
# Published hybrids have attention layers that rotate the first `rope_dim` numbers of each query and key (RoPE). Their
# code rotates number $i$ together with number $i + \mathrm{rope\_dim}/2$. The block of this course rotates neighbors,
# $(0, 1)$, $(2, 3)$, …, as in the paper. If the rows of $W_q$ and $W_k$ change places alike, all scores stay the same.
#
# `W` is $(\mathrm{heads} \cdot \mathrm{head\_dim}, d)$, the rows of head 0 first. Return its rows in the new order: in
# each head, old row $i$ goes to place $2i$ and old row $i + \mathrm{rope\_dim}/2$ to place $2i + 1$, for
# $i < \mathrm{rope\_dim}/2$. The rows from `rope_dim` on are not rotated and stay. Stuck? Type
# `hint("04e_published-rope-pairs")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "04e_published-rope-pairs", "locked": false, "schema_version": 3, "solution": true, "task": false}
def rows_in_pairs(W, heads, rope_dim):
    """The rows of W (heads · head_dim, d), with those that are rotated together side by side."""
    ### BEGIN SOLUTION
    head_dim = len(W) // heads
    by_head = W.reshape(heads, head_dim, W.shape[1])
    pairs = np.arange(rope_dim).reshape(2, rope_dim // 2).T.ravel()  # 0, r/2, 1, r/2 + 1, …
    order = np.concatenate([pairs, np.arange(rope_dim, head_dim)])
    return by_head[:, order].reshape(W.shape)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "04e_published-rope-pairs-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("04e_published-rope-pairs", rows_in_pairs)

# %% [markdown]
# ## Where next
#
# `progress()` in a new cell shows what you have passed. The course goes on with
# [05a · Cost](../notebooks/05a_cost.ipynb), which measures time, FLOPs and decoding on your machine.
