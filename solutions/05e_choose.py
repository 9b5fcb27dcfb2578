# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercises for 05e · Choose
#
# Each time you open this notebook, run the code cell below this text first. Then fill in the cell under each card, run
# it, then run the check below it. The check tries random inputs, half of them new each time, and names the mistake when
# it recognizes it. Everything you need is in [05e · Choose](../notebooks/05e_choose.ipynb).

# %%
import numpy as np

from lecture17.course import check, hint, progress

# %% [markdown]
# ## How many sequences fit?
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `05e_choose-kv-cache` | ★★☆ | 15 min | 5 | you can size a server: caches with groups, windows and a batch |
#
# A model serves `batch` sequences of `N` tokens. `windows[i]` is the window of its layer $i$, in tokens; 0 means that the
# layer sees everything. Each layer has `heads` heads of queries, and caches keys and values of `groups` heads, of `d_head`
# numbers each, in `n_bytes` bytes a number (2 for 16 bits, 1 for 8). Return
#
# - `total`: the bytes of all caches of the batch,
# - `most`: how many sequences of `N` tokens have caches that fit together into `memory` bytes.
#
# Stuck? Type `hint("05e_choose-kv-cache")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "05e_choose-kv-cache", "locked": false, "schema_version": 3, "solution": true, "task": false}
def kv_cache(N, batch, windows, heads, groups, d_head, n_bytes, memory):
    """Bytes of the caches of the batch, and the number of sequences whose caches fit into `memory` bytes."""
    ### BEGIN SOLUTION
    kept = np.where(windows == 0, N, np.minimum(windows, N)).sum()  # tokens, over all layers
    one = kept * 2 * groups * d_head * n_bytes
    return batch * one, memory // one
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "05e_choose-kv-cache-check", "locked": true, "points": 5, "schema_version": 3, "solution": false, "task": false}
check("05e_choose-kv-cache", kv_cache)

# %% [markdown]
# ## The cheapest hybrid that still recalls
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `05e_choose-cheapest-hybrid` | ★★☆ | 15 min | 4 | you can weigh evidence and cost together, and say when nothing will do |
#
# Candidate $i$ of a hybrid has `full[i]` softmax layers among `layers`; the others carry a state. `recall[i]` holds its
# recall in several seeds. To decode one token for each of `batch` sequences of `N` tokens, a step reads
#
# - the weights once, `weights` bytes;
# - for every sequence, in each softmax layer a cache of `per_token` bytes a token;
# - for every sequence, in every other layer a state of `state` bytes, which it also writes back.
#
# Return `best`, the index of the candidate that moves the fewest bytes among those whose recall is at least `needed` in
# *every* seed, -1 if there is none; and `moved`, an array of the bytes of every candidate. Stuck? Type
# `hint("05e_choose-cheapest-hybrid")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "05e_choose-cheapest-hybrid", "locked": false, "schema_version": 3, "solution": true, "task": false}
def cheapest_hybrid(full, recall, needed, layers, weights, batch, N, per_token, state):
    """The cheapest candidate that recalls enough in every seed, -1 if none does; and the bytes of each."""
    ### BEGIN SOLUTION
    moved = weights + batch * (full * N * per_token + 2 * (layers - full) * state)
    able = recall.min(axis=1) >= needed
    best = int(np.argmin(np.where(able, moved, np.inf))) if able.any() else -1
    return best, moved
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "05e_choose-cheapest-hybrid-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("05e_choose-cheapest-hybrid", cheapest_hybrid)

# %% [markdown]
# ## Where next
#
# `progress()` in a new cell shows what you have passed. The course goes on with
# [06 · Review](../notebooks/06_review.ipynb): the whole course on one page.
