# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercise for 05b · Long range
#
# Each time you open this notebook, run the code cell below this text first. Then fill in the cell under the card, run
# it, then run the check below it. The check tries random inputs, half of them new each time, and names the mistake when
# it recognizes it. Everything you need is in [05b · Long range](../notebooks/05b_long_range.ipynb).

# %%
import numpy as np

from lecture17.course import check, hint, progress

# %% [markdown]
# ## The bound of copying
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `05b_long_range-copying-bound` | ★★☆ | 10 min | 3 | you can say how long a text a model with states may be able to copy |
#
# A model reads a text of tokens from an alphabet of `alphabet` tokens, then copies it. All that it keeps of the text are
# the states of its `layers` layers with `heads` heads each: matrices of $d_k \times d_v$ numbers of `bits` bits. Return
#
# - `longest`: the largest $N$ for which every text of $N$ tokens may be copied,
# - `log2_share`: the logarithm, to the base 2, of the largest share of all texts of `N` tokens that it may copy: 0 where
#   that is all of them.
#
# Stuck? Type `hint("05b_long_range-copying-bound")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "05b_long_range-copying-bound", "locked": false, "schema_version": 3, "solution": true, "task": false}
def copying_bound(layers, heads, d_k, d_v, bits, alphabet, N):
    """The longest text that may be copied, and log2 of the share of texts of N tokens that may be."""
    ### BEGIN SOLUTION
    kept, token = layers * heads * d_k * d_v * bits, np.log2(alphabet)
    return int(kept / token), min(0.0, kept - N * token)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "05b_long_range-copying-bound-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check("05b_long_range-copying-bound", copying_bound)

# %% [markdown]
# ## Where next
#
# `progress()` in a new cell shows what you have passed. The course goes on with
# [05c · Language](../notebooks/05c_language.ipynb): mixers that learn to write Python.
