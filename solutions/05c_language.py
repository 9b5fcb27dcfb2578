# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Exercise for 05c · Language
#
# Each time you open this notebook, run the code cell below this text first. Then fill in the cell under the card, run
# it, then run the check below it. The check tries random inputs, half of them new each time, and names the mistake when
# it recognizes it. Everything you need is in [05c · Language](../notebooks/05c_language.ipynb).

# %%
import numpy as np

from lecture17.course import check, hint, progress

# %% [markdown]
# ## Is it better, or is it luck?
#
# | exercise | difficulty | time | points | what it is for |
# | --- | --- | --- | --- | --- |
# | `05c_language-paired-interval` | ★★☆ | 10 min | 4 | you can give the interval of a comparison, and say whether it shows anything |
#
# Two models were tested on the same $n$ texts: losses `first` and `second`, both $(n,)$. Texts differ much more from one
# another than the models do, so compare the models text by text. With $\delta_i = \text{second}_i - \text{first}_i$, mean
# $\bar\delta$ and standard deviation $s = \sqrt{\sum_i (\delta_i - \bar\delta)^2 / (n - 1)}$, the interval is
#
# $$\bar\delta \pm t\, s / \sqrt{n},$$
#
# where `t` is Student's factor for this $n$. (The notebook draws seeds and windows again instead. With one seed and
# independent texts this formula is enough.) Return $\bar\delta$, the lower and the upper end, and a verdict: 1 if the
# second model is shown to have the larger loss, -1 if the first one is, and 0 if the interval holds 0. Stuck? Type `hint("05c_language-paired-interval")` in a new cell.


# %% nbgrader={"grade": false, "grade_id": "05c_language-paired-interval", "locked": false, "schema_version": 3, "solution": true, "task": false}
def paired_interval(first, second, t):
    """Mean of second − first, both ends of its interval, and the verdict: 1, -1 or 0."""
    ### BEGIN SOLUTION
    differences = second - first
    mean, half = differences.mean(), t * differences.std(ddof=1) / np.sqrt(len(differences))
    return mean, mean - half, mean + half, int(np.sign(mean)) if abs(mean) > half else 0
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "05c_language-paired-interval-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check("05c_language-paired-interval", paired_interval)

# %% [markdown]
# ## Where next
#
# `progress()` in a new cell shows what you have passed. The course goes on with
# [05d · Digits](../notebooks/05d_images.ipynb): four routes, or just four mixers?
