# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 06 · Review: the course on one page
#
# *30 minutes · ★☆☆*
#
# After this you can …
# - state the three ideas of the course, and give for each mixer its mask, its state and its rank,
# - find every term, every correction and every source again,
# - say what you know, what you do not, and what to do about it in the next seven days.
#
# The letters are in the [notation table](03a_semiseparable.ipynb#notation).

# %%
import numpy as np
from IPython.display import Markdown

from lecture17 import costs, figures, unification, widgets
from lecture17.course import predict, progress
from lecture17.course.board import ProgressBoard
from lecture17.reference import attention, delta_rule, gla, retention, rwkv7, semiseparable, ssd

# %% [markdown]
# ## 1 · Three ideas
#
# **One map, two readings.** A causal mixer is $y = M x$. With one decay a token, $M = L \circ (C B^\top)$: by rows it
# is masked attention without softmax, token by token a state-space model ([03b](03b_duality.ipynb)).
#
# **What passes from past to future has low rank.** Every block of $M$ below the diagonal has rank at most $r$, the
# state entries for each feature. So cut $M$ into chunks: quadratic inside, a state between them
# ([03a](03a_semiseparable.ipynb), [03b](03b_duality.ipynb)). Softmax has no such rank, hence no such state.
#
# **The transition is the architecture.** $S_t = A_t S_{t-1} + k_t v_t^\top$, $y_t = q_t^\top S_t$. Decays fade, the
# delta rule replaces, $-1$ flips, rotations turn ([03c](03c_family.ipynb) and its [second part](03c_memory.ipynb)); the
# size of $S$ says what can be copied ([03d](03d_expressivity.ipynb)).
#
# ## 2 · The family, computed
#
# For each mixer on one random sequence of 64 tokens, $r = 4$: whether the recurrence is the matrix, and the largest
# rank of a block below the diagonal. For one head of 64, the numbers carried after 65,536 tokens; and, by the function
# that the table with every formula uses too, the last of [03c](03c_memory.ipynb): the numbers after 1,024 tokens, the
# FLOPs of one token, how much of a flip is kept ([03d](03d_expressivity.ipynb)), and whether the order of tokens
# matters.

# %%
rng = np.random.default_rng(17)
N, r, d = 64, 4, 3
Q, K = rng.normal(size=(2, N, r))
V, unit = rng.normal(size=(N, d)), K / np.linalg.norm(K, axis=1, keepdims=True)
log_a, log_alpha = -rng.uniform(0, 0.2, N), -rng.uniform(0, 0.2, (N, r))
rates, beta = rng.uniform(size=(N, r)), rng.uniform(size=N)
family = {
    "retention": (retention, (Q, K, V, 0.95)),
    "ssd": (ssd, (V, log_a, K, Q)),
    "gla": (gla, (Q, K, V, log_alpha)),
    "delta_rule": (delta_rule, (Q, unit, V, beta, log_a)),
    "rwkv7": (rwkv7, (Q, log_alpha, K, V, unit, rates)),
}
titles = ("RetNet", "Mamba-2", "GLA", "gated DeltaNet, β < 2", "RWKV-7")
members = dict(zip(family, titles, strict=True))


def rank_below(M: np.ndarray) -> int:
    """The largest numerical rank of a block strictly below the diagonal."""
    blocks = (semiseparable.block_singular_values(M, split) for split in range(1, N))
    return max(int((s > 1e-10 * np.linalg.norm(M, 2)).sum()) for s in blocks)


# %%
heads = "recurrence − matrix", "rank below", "carried, 65,536", "1,024", "FLOPs", "parity", "order"
lines = ["| mixer | " + " | ".join(heads) + " |", "| --- " * 8 + "|"]
ranks = {}
for name, (mixer, arguments) in family.items():
    M = mixer.matrix(*arguments)
    error = np.abs(mixer.recurrent(*arguments)[0] - M @ V).max()
    assert error < 1e-10
    assert np.abs(mixer.chunkwise(*arguments)[0] - M @ V).max() < 1e-10
    ranks[name] = rank_below(M)
    kept = f"{costs.carried(name, 65536, 64, 64):,}"
    row = ["below 1e−10", str(ranks[name]), kept, *unification.numbers(members[name]).cells()]
    lines.append(f"| {members[name]} | {' | '.join(row)} |")
ranks["softmax"] = rank_below(attention.softmax_matrix(Q, K))
kept = f"{costs.carried('softmax', 65536, 64, 64):,}"
row = ["no recurrence", str(ranks["softmax"]), kept]
row += unification.numbers("softmax attention").cells()
lines.append(f"| softmax attention | {' | '.join(row)} |")
assert all(rank <= r for name, rank in ranks.items() if name != "softmax")
assert ranks["softmax"] > 2 * r
Markdown("\n".join(lines))

# %% [markdown]
# ## 3 · Where it came from
#
# Which two families are older than S4?

# %%
predict("06_review-year")

# %%
papers = {
    "state-space models": "S4 2111.00396, S5 2208.04933, H3 2212.14052, Mamba 2312.00752, "
    "Mamba-2 2405.21060, Mamba-3 2603.15569",
    "linear attention\nand decays": "linear attention 2006.16236, RetNet 2307.08621, "
    "GLA 2312.06635",
    "delta rules": "DeltaNet 2102.11174, in parallel 2406.06484, gated DeltaNet 2412.06464",
    "RWKV": "RWKV-4 2305.13048, RWKV-5 and 6 2404.05892, RWKV-7 2503.14456",
    "hybrids with\nattention": "Griffin 2402.19427, StripedHyena 2403.17844, Jamba 2403.19887, "
    "Zamba 2405.16712",
}
history = {
    line: [tuple(paper.rsplit(" ", 1)) for paper in text.split(", ")]
    for line, text in papers.items()
}
years = [identifier[:2] for line in history.values() for _, identifier in line]
figures.timeline(history, title="Architectures by the month of their first paper")

# %%
assert (years.count("24"), len(years)) == (8, 19)

# %% [markdown]
# Points stand at the month in the paper's arXiv identifier. (StripedHyena was released in 2023 without a paper;
# 2403.17844 describes striped hybrids and how they were found.)
#
# **Reading order**, from the one that explains most to the one that needs most:
# 1. linear attention as a recurrence, [2006.16236](https://arxiv.org/abs/2006.16236);
# 2. selective SSMs, [2312.00752](https://arxiv.org/abs/2312.00752), Sections 2 and 3;
# 3. the duality, [2405.21060](https://arxiv.org/abs/2405.21060), Sections 3 to 6;
# 4. gates, [2312.06635](https://arxiv.org/abs/2312.06635), and the delta rule in parallel,
#    [2406.06484](https://arxiv.org/abs/2406.06484);
# 5. RWKV-7, [2503.14456](https://arxiv.org/abs/2503.14456), and Mamba-3,
#    [2603.15569](https://arxiv.org/abs/2603.15569);
# 6. the limits: [2402.01032](https://arxiv.org/abs/2402.01032) (copying),
#    [2404.08819](https://arxiv.org/abs/2404.08819) (state tracking), [2411.12537](https://arxiv.org/abs/2411.12537)
#    (eigenvalues);
# 7. a hybrid, [2403.19887](https://arxiv.org/abs/2403.19887).
#
# ## 4 · The map
#
# ```mermaid
# flowchart TD
#   accTitle: The map of the course
#   accDescr: One causal matrix, three ways to compute it, and what each leads to; the paragraph below says it in words.
#   M["y = M x, M causal"] --> P["parallel: build M"]
#   M --> R["recurrent: carry a state"]
#   M --> C["chunkwise: both"]
#   R --> K["blocks of rank at most r: semiseparable"]
#   K --> C
#   P --> A["masked attention, M = L ∘ C Bᵀ"]
#   A <-->|duality| R
#   A -.->|not with softmax| X["ranks grow with N: a cache"]
#   R --> T["transition A_t"]
#   T --> F["fades: RetNet, Mamba, GLA"]
#   T --> D["replaces: delta rule, RWKV-7"]
#   T --> E["flips, turns: parity, counting"]
#   X --> H["hybrids"]
#   F --> H
#   D --> H
# ```
#
# In words: one causal matrix is computed in three ways. The recurrent way means low block ranks, which the chunkwise
# way uses; masked attention without softmax is the same map, softmax is not and keeps a cache. The transition decides
# what the state can do; hybrids put states and caches into one stack.
#
# <a id="glossary"></a>
#
# ## 5 · Glossary
#
# | term | meaning |
# | --- | --- |
# | <a id="block-rank"></a>block rank | largest rank of a block on or below the diagonal: the size that SSS needs |
# | <a id="chunk"></a>chunk | a run of tokens worked on at once; only states pass between chunks |
# | <a id="decay"></a>decay | the factor in [0, 1] by which a token shrinks the state: one a head, a key, or an entry |
# | <a id="delta-rule"></a>delta rule | remove what a key recalls, then write: one gradient step |
# | <a id="eps-rank"></a>ε-rank | number of singular values above ε times the largest; what a computer can measure |
# | <a id="gate"></a>gate | a decay computed from the token |
# | <a id="generators"></a>generators | $u, v$ with $M_{ij} = u_i \cdot v_j$ ; few suffice only if no decay is zero |
# | <a id="hybrid"></a>hybrid | a stack with layers of both kinds, fixed states and caches |
# | <a id="cache"></a>KV cache | every key and value so far; the memory of softmax attention |
# | <a id="mask"></a>mask L | $L_{ij} = a_i \cdots a_{j+1}$: what is left at token $i$ of what token $j$ wrote |
# | <a id="segsum"></a>segsum | the sums of log decays over all segments, made without subtracting large numbers |
# | <a id="selective"></a>selective | with $A, B$ or $C$ that depend on the token |
# | <a id="semiseparable"></a>semiseparable | triangular, blocks on or below the diagonal of rank at most $r$ |
# | <a id="ssd"></a>SSD | state-space duality, and its four-step chunkwise algorithm |
# | <a id="state"></a>state | what is carried from token to token, keys × values: $r$ numbers for each of $d$ features |
# | <a id="strict-rank"></a>strict rank | largest rank of a block strictly below the diagonal; what must be passed on |
# | <a id="transition"></a>transition | $A_t$, what a token does to the state before it writes |
#
# ## 6 · Questions that come up
#
# **Is Mamba-2 a Transformer, then?** No. Its core is masked attention *without* softmax, and softmax is what makes
# ranks grow. (Mamba-1 has a mask for each state entry, so it is not even one masked attention.)
#
# **Why do state-space models run faster if they take as many FLOPs?** Over long texts they take fewer, since the cost
# is linear. Among themselves, those whose work is matrix products win, whatever the count says.
#
# **Does a larger state solve parity?** No; an eigenvalue that is not real and non-negative does. **And copying?** Yes,
# up to its size ([03d](03d_expressivity.ipynb)).
#
# **Which chunk size?** 64 to 256, as memory and matrix units like it. By FLOPs alone the best is about six.
#
# **How do I decode with one?** Keep the state and the last tokens of the convolution: a cache of fixed size
# ([04a](04a_torch.ipynb)). **And on many machines?** Only states travel ([04d](04d_many_machines.ipynb)).
#
# **Does it work on images?** Yes, read along several routes ([04c](04c_vision.ipynb)). How much of the gain is the
# parameters that routes bring along, only a control can tell ([05d](05d_images.ipynb)).
#
# **Which is best?** For a task, at a size, on a machine: rule out by memory and recall, then measure
# ([05a](05a_cost.ipynb) times, [05c](05c_language.ipynb) language, [05e](05e_choose.ipynb) choice). At equal steps and
# at equal time the order may differ.
#
# ## 7 · Seven days
#
# | day | read | do | hours |
# | --- | --- | --- | --- |
# | 1 | [00](00_quickstart.ipynb), [01](01_tour.ipynb), [02](02_intuition.ipynb) | their exercises | 2½ |
# | 2 | [03a](03a_semiseparable.ipynb) | block ranks, segsum, the overflow | 1½ |
# | 3 | [03b](03b_duality.ipynb) | the theorem on paper, `ssd-chunkwise` in code | 2 |
# | 4 | [03c](03c_family.ipynb), [second part](03c_memory.ipynb) | the gates in log space, RWKV-7's step | 2½ |
# | 5 | [03d](03d_expressivity.ipynb) | parity, counters and permutations by hand | 1½ |
# | 6 | [04a](04a_torch.ipynb) to [04d](04d_many_machines.ipynb) | batches, caches, a kernel, images | 3 |
# | 7 | [05a](05a_cost.ipynb) to [05e](05e_choose.ipynb), 06 | measure, choose, this quiz | 2½ |
#
# ## 8 · Ten questions
#
# Every answer is explained, right or wrong. Nothing is kept.

# %%
widgets.Quiz()

# %% [markdown]
# ## 9 · Where you stand
#
# What you have passed, how your predictions went, what is next, and eight things to tick when you can do them
# **without looking**. Ticks are kept on this machine, beside your progress, and are here again tomorrow.

# %% tags=["nbval-ignore-output"]
ProgressBoard()

# %% [markdown]
# ## 10 · To discuss
#
# A state of fixed size must forget; a cache forgets nothing and must search. People do both. **Is "attention or
# recurrence" a question about architecture, or about what a memory is for?** Argue with a task for which the one must
# fail, and with the smallest hybrid that does not. Which measurement would change your mind?
#
# ## 11 · The corrections
#
# Where the lecture is wrong. A number that is a link leads to the place where this course teaches the correction. The
# table is read from [docs/corrections.md](../docs/corrections.md), so that there is only one.

# %%
with open("../docs/corrections.md", encoding="utf-8") as page:
    table = [line.replace("](../notebooks/", "](") for line in page if line[:1] == "|"]
assert len(table) > 20
Markdown("".join(table))

# %% [markdown]
# ## Recap
#
# - One map, three forms, equal to rounding.
# - The state bounds the rank of what passes; softmax has no such bound.
# - The transition decides what can be tracked, the size of the state what can be copied.
# - Choose by memory, recall, and the clock, in this order.
#
# **Where next:** the next lecture, hybrids: which layers to make attention, how many, and whether they may share
# weights, as Zamba's do ([2405.16712](https://arxiv.org/abs/2405.16712)). You now know what each kind of layer is for.

# %% tags=["nbval-ignore-output"]
progress("06_review")
