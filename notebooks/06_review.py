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
# - state the three ideas of the course, and give the mask, the state and the rank of each mixer,
# - look up every term, every correction and every source,
# - say what you know and what you do not, and what to do about it in the next seven days.
#
# The letters are in the [notation table](03a_semiseparable.ipynb#notation).

# %%
import numpy as np
from IPython.display import Markdown

from lecture17 import costs, figures, mixers, unification, widgets
from lecture17.course import predict, progress
from lecture17.course.board import ProgressBoard
from lecture17.reference import attention, semiseparable

# %% [markdown]
# ## 1 · Three ideas
#
# **One map, two readings.** A causal mixer is $y = M x$. With one decay per token, $M = L \circ (C B^\top)$: read by
# rows, it is masked attention without softmax; computed token by token, it is a state-space model
# ([03b](03b_duality.ipynb)).
#
# **What passes from past to future has low rank.** Every block of $M$ strictly below the diagonal has rank at most $r$,
# the number of state entries for each feature. So cut $M$ into chunks: attention inside the chunks, a state between
# them ([03a](03a_semiseparable.ipynb), [03b](03b_duality.ipynb)). With softmax the rank has no such bound, and no state
# of fixed size can carry what passes.
#
# **The transition is the architecture.** $S_t = A_t S_{t-1} + k_t v_t^\top$, $y_t = q_t^\top S_t$. Decays fade, the
# delta rule replaces, $-1$ flips, rotations turn (both parts of [03c](03c_family.ipynb)); each is a learner of one loss
# ([03e](03e_family_since.ipynb)). The size of $S$ limits what can be copied ([03d](03d_expressivity.ipynb)).
#
# ## 2 · The family, computed
#
# The first two columns are for one random sequence of 64 tokens with $r = 4$: does the recurrence equal the matrix, and
# what is the largest rank of a block strictly below the diagonal? The others are for one head with keys and values of
# 64 numbers: the numbers carried after 65,536 tokens and after 1,024, the FLOPs of one token, how much of a flip is
# kept ([03d](03d_expressivity.ipynb)), and whether the order of tokens matters to the transitions. The last four come
# from the same function as the table at the end of [03c's second part](03c_memory.ipynb).

# %%
rng = np.random.default_rng(17)
N, r, d = 64, 4, 3
Q, K = rng.normal(size=(2, N, r))
V, unit = rng.normal(size=(N, d)), K / np.linalg.norm(K, axis=1, keepdims=True)
log_a, log_alpha = -rng.uniform(0, 0.2, N), -rng.uniform(0, 0.2, (N, r))
rates, beta = rng.uniform(size=(N, r)), rng.uniform(size=N)
family = {
    "retention": (Q, K, V, 0.95),
    "ssd": (V, log_a, K, Q),
    "gla": (Q, K, V, log_alpha),
    "delta_rule": (Q, unit, V, beta, log_a),
    "kda": (Q, unit, V, log_alpha, beta),
    "rwkv7": (Q, log_alpha, K, V, unit, rates),
}
titles = ("RetNet", "Mamba-2", "GLA", "gated DeltaNet, β < 2", "KDA", "RWKV-7")
members = dict(zip(family, titles, strict=True))


def rank_below(M: np.ndarray) -> int:
    """The largest numerical rank of a block strictly below the diagonal."""
    blocks = (semiseparable.block_singular_values(M, split) for split in range(1, N))
    return max(int((s > 1e-10 * np.linalg.norm(M, 2)).sum()) for s in blocks)


# %%
heads = "recurrence − matrix", "rank below", "carried, 65,536", "1,024", "FLOPs", "parity", "order"
lines = ["| mixer | " + " | ".join(heads) + " |", "| --- " * 8 + "|"]
ranks = {}
for name, arguments in family.items():
    mixer = mixers.get(name).module("reference")
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
# Which two lines of descent are older than S4?

# %%
predict("06_review-year")

# %%
papers = {
    "state-space models": "S4 2111.00396, S5 2208.04933, H3 2212.14052, Mamba 2312.00752, "
    "Mamba-2 2405.21060, Mamba-3 2603.15569",
    "linear attention\nand decays": "linear attention 2006.16236, RetNet 2307.08621, "
    "GLA 2312.06635, xLSTM 2405.04517, log-linear attention 2506.04761",
    "delta rules\nand learners": "DeltaNet 2102.11174, DeltaNet in parallel 2406.06484, "
    "TTT 2407.04620, gated DeltaNet 2412.06464, Titans 2501.00663, DeltaProduct 2502.10297, "
    "Mesa 2506.05233",
    "RWKV": "RWKV-4 2305.13048, RWKV-5 and 6 2404.05892, RWKV-7 2503.14456",
    "hybrids with\nattention": "Griffin 2402.19427, StripedHyena 2403.17844, Jamba 2403.19887, "
    "Zamba 2405.16712, Hymba 2411.13676, MiniMax-01 2501.08313, Nemotron-H 2504.03624, "
    "Falcon-H1 2507.22448, Kimi Linear 2510.26692, Nemotron 3 Nano 2512.20848, "
    "Olmo Hybrid 2604.03444",
}
history = {
    line: [tuple(paper.rsplit(" ", 1)) for paper in text.split(", ")]
    for line, text in papers.items()
}
years = [identifier[:2] for line in history.values() for _, identifier in line]
figures.timeline(history, title="Architectures by the month of their first paper")

# %%
assert (years.count("24"), len(years)) == (11, 32)

# %% [markdown]
# Each point is at the month in the paper's arXiv identifier; where points are close together, the names are shifted
# downwards. (StripedHyena was released in 2023 without a paper; 2403.17844 describes striped hybrids and how they were
# found.)
#
# **Reading order**, starting with the papers that explain most and assume least:
# 1. linear attention as a recurrence, [2006.16236](https://arxiv.org/abs/2006.16236);
# 2. selective SSMs, [2312.00752](https://arxiv.org/abs/2312.00752), Sections 2 and 3;
# 3. the duality, [2405.21060](https://arxiv.org/abs/2405.21060), Sections 3 to 6;
# 4. gates, [2312.06635](https://arxiv.org/abs/2312.06635), and the delta rule in parallel,
#    [2406.06484](https://arxiv.org/abs/2406.06484);
# 5. RWKV-7, [2503.14456](https://arxiv.org/abs/2503.14456), Mamba-3, [2603.15569](https://arxiv.org/abs/2603.15569),
#    and one loss for all, [2501.12352](https://arxiv.org/abs/2501.12352);
# 6. the limits: [2402.01032](https://arxiv.org/abs/2402.01032) (copying),
#    [2404.08819](https://arxiv.org/abs/2404.08819) (state tracking), [2411.12537](https://arxiv.org/abs/2411.12537)
#    (eigenvalues);
# 7. a hybrid, [2403.19887](https://arxiv.org/abs/2403.19887), and 72 models compared,
#    [2507.06457](https://arxiv.org/abs/2507.06457).
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
#   P --> A["masked attention"]
#   A <-->|duality| R
#   R --> K["blocks of rank at most r"]
#   K --> C
# ```
#
# ```mermaid
# flowchart LR
#   accTitle: What follows for models
#   accDescr: What the transition does to the state, and why softmax keeps a cache; the text below says it in words.
#   T["transition of a state"] --> F["fades: Mamba, GLA"]
#   T --> D["replaces: delta rule, KDA"]
#   T --> E["turns: parity, counting"]
#   X["softmax: ranks grow, a cache"] --> H["hybrids"]
#   F --> H
#   D --> H
# ```
#
# In words: one causal matrix is computed in three ways. If it can be computed recurrently, then its blocks below the
# diagonal have low rank, which the chunkwise form uses. Masked attention without softmax is the same map; softmax
# attention is not, and keeps a cache. The transition decides what the state can do; hybrids combine states and caches
# in one stack.
#
# <a id="glossary"></a>
#
# ## 5 · Glossary
#
# - <a id="associative-scan"></a>**associative scan**: all states of $S_t = A_t S_{t-1} + U_t$ at once: two steps
#   combine into one, $(A'A,\; A'U + U')$, associatively, so $N$ tokens take $O(\log N)$ parallel rounds.
# - <a id="block-rank"></a>**block rank**: largest rank of a block on or below the diagonal: the state entries for each
#   feature that the smallest SSS form needs.
# - <a id="causal-mask"></a>**causal mask**: lets token $i$ read only tokens $j \le i$: zeros above the diagonal, or
#   with softmax $-\infty$ in the exponent.
# - <a id="chunk"></a>**chunk**: a run of consecutive tokens computed at once; only states pass from chunk to chunk.
# - <a id="decay"></a>**decay**: the factor in [0, 1] by which a token shrinks the state: one per head, per key
#   dimension or per state entry.
# - <a id="delta"></a>**Δ**: step size of a discretized SSM; Mamba computes it from the token: a small one keeps the
#   state, a large one forgets and writes.
# - <a id="delta-rule"></a>**delta rule**: remove what a key recalls, then write: one step of gradient descent on the
#   recall error.
# - <a id="delta-product"></a>**DeltaProduct**: several steps of the delta rule per token, each with a key of its own:
#   two of them can turn the state.
# - <a id="eigenvalue"></a>**eigenvalue**: a factor $\lambda$ with $A x = \lambda x$: in (0, 1) the transition $A$ makes
#   the direction $x$ fade, 0 erases it, a negative one flips it, complex pairs turn a plane.
# - <a id="eps-rank"></a>**ε-rank**: number of singular values above ε times the largest; what a computer can measure.
# - <a id="exact-rank"></a>**exact rank**: number of nonzero singular values; it can be full where the ε-rank is small.
# - <a id="feature-map"></a>**feature map**: $\phi$, $\psi$ that write a score as a product $\phi(q) \cdot \psi(k)$; the
#   score $e^{q \cdot k}$ has no finite one.
# - <a id="fox"></a>**FoX**: forgetting Transformer: softmax attention whose scores decay by a gate, as a state does.
# - <a id="gate"></a>**gate**: here: a decay computed from the token.
# - <a id="generalized-delta-rule"></a>**generalized delta rule**: RWKV-7's transition
#   $\mathrm{diag}(w) - (a \circ \hat\kappa)\, \hat\kappa^\top$: it chooses decay, removal and writing separately.
# - <a id="generators"></a>**generators**: $u, v$ with $M_{ij} = u_i \cdot v_j$ for $i \ge j$; with a zero decay, $r$
#   numbers each may not be enough.
# - <a id="gla"></a>**GLA**: gated linear attention: linear attention with a gate for each key dimension.
# - <a id="hybrid"></a>**hybrid**: a stack with layers of both kinds, some with a fixed state and some with a cache.
# - <a id="kda"></a>**KDA**: Kimi Delta Attention: the delta rule after a decay with a rate for each key dimension, so
#   that one topic can be forgotten and another kept.
# - <a id="cache"></a>**KV cache**: all keys and values so far; the memory of softmax attention.
# - <a id="linear-attention"></a>**linear attention**: attention with scores $q \cdot k$ (or $\phi(q) \cdot \phi(k)$)
#   instead of a softmax: $S_t = S_{t-1} + k_t v_t^\top$.
# - <a id="log-linear"></a>**log-linear attention**: a state for each of $O(\log N)$ buckets of the past, small ones for
#   the recent past and large ones for the remote past.
# - <a id="mask"></a>**mask L**: $L_{ij} = a_i \cdots a_{j+1}$: what is left at token $i$ of what token $j$ wrote.
# - <a id="mesa"></a>**Mesa**: answers from the ridge regression of all values so far on their keys, solved exactly at
#   every token.
# - <a id="mlstm"></a>**mLSTM**: the matrix memory of xLSTM: linear attention with exponential input gates and a
#   normalizer, kept in range by a running maximum.
# - <a id="mqar"></a>**MQAR**: multi-query associative recall: facts, key → value, then several questions for the values
#   of keys.
# - <a id="path"></a>**PaTH**: softmax attention with the transitions of the delta rule between query and key.
# - <a id="receptance"></a>**receptance**: RWKV's name for $r$: the query from RWKV-5 on, in RWKV-4 a sigmoid gate on
#   the output.
# - <a id="retention"></a>**retention**: RetNet's mixer: linear attention with one fixed decay per head and a rotation
#   by position.
# - <a id="segsum"></a>**segsum**: the sums of log decays over all segments, computed without subtracting large numbers.
# - <a id="selective"></a>**selective**: with transitions, $B$ or $C$ that depend on the token.
# - <a id="semiseparable"></a>**semiseparable**: $r$-semiseparable: lower triangular, with blocks on or below the
#   diagonal of rank at most $r$.
# - <a id="ssd"></a>**SSD**: state-space duality, and its chunkwise algorithm in four steps.
# - <a id="ssm"></a>**SSM**: state-space model: a linear recurrence $S_t = A_t S_{t-1} + B_t x_t^\top$ with the readout
#   $y_t = C_t^\top S_t$.
# - <a id="state"></a>**state**: what is carried from token to token, keys × values: $r$ numbers for each of $d$
#   features.
# - <a id="state-tracking"></a>**state tracking**: following something that each token changes, such as parity, a
#   counter or a permutation, over any length.
# - <a id="strict-rank"></a>**strict rank**: largest rank of a block strictly below the diagonal: how much must be
#   passed on for each feature.
# - <a id="test-time-regression"></a>**test-time regression**: reading a state as what a learner has fitted to the pairs
#   of key and value that it has seen.
# - <a id="time-mixing"></a>**time mixing**: RWKV's name for the part of a block that mixes tokens, as attention does;
#   its *channel mixing* is the MLP.
# - <a id="transition"></a>**transition**: $A_t$: what a token does to the state before it writes.
# - <a id="vision-mamba"></a>**Vision Mamba**: Mamba on image patches: Vim reads one sequence in both directions, VMamba
#   reads along four routes.
# - <a id="wkv"></a>**WKV**: RWKV's recurrence: in RWKV-4 a fading weighted mean of values, with weights $e^{k}$ and a
#   bonus for the present token; later versions keep a matrix.
# - <a id="wy"></a>**WY**: form of a product of delta-rule steps, $I - K^\top W$, from one triangular solve; it makes
#   the delta rule chunkwise.
#
# ## 6 · Questions that come up
#
# **The mathematics is too hard for me. What do I really need?** Matrix products, and one fact: a product of an
# $n \times r$ and an $r \times m$ matrix has rank at most $r$. Start with notebooks 00 to 02, where you play with the
# matrices. In 03a to 03d, read the claims and run the cells, which check the numbered lines of the proofs with numbers.
# You can skip the proofs on a first reading: zones 4 and 5 build on the claims, not on their proofs.
#
# **Is Mamba-2 a Transformer, then?** No. Its core is masked attention *without* softmax, and softmax is what makes the
# ranks grow. (Mamba-1 has a mask for each state entry, so it is not even a single masked attention.)
#
# **Why do state-space models run faster if they take as many FLOPs?** On long texts they take fewer, because their cost
# is linear. Among state-space models, those that work in matrix products win, whatever the count says.
#
# **Does a larger state solve parity?** No. What it takes is an eigenvalue that is negative or complex. **And copying?**
# Yes, up to its size ([03d](03d_expressivity.ipynb)).
#
# **Which chunk size?** Between 64 and 256, depending on memory and matrix units. By FLOPs alone the best is about six.
#
# **How do I decode with such a model?** Keep the state and the last few inputs of the convolution: a cache of fixed
# size ([04a](04a_torch.ipynb)). **And on many machines?** Only states are sent ([04d](04d_many_machines.ipynb)).
#
# **Does it work on images?** Yes: an image is read as a sequence, usually along several routes
# ([04c](04c_vision.ipynb)). More routes bring more parameters, and only a control can tell which of the two brought the
# gain ([05d](05d_images.ipynb)).
#
# **How many attention layers does a hybrid need, and where?** Start with one in four to one in eight, spread evenly
# through the stack, and measure recall before you use fewer. In 72 models with up to 1.3 billion parameters, language
# modeling hardly depends on the share of attention, while recall improves with it; the authors recommend three to six
# linear layers per attention layer ([2507.06457](https://arxiv.org/abs/2507.06457)). Jamba found no visible difference
# between one in four and one in eight, and took one in eight ([2403.19887](https://arxiv.org/abs/2403.19887)). Kimi
# Linear found one in four better than one in two, one in eight and one in sixteen
# ([2510.26692](https://arxiv.org/abs/2510.26692)). With attention in 7% of all layers, MLPs included, an 8B hybrid beat
# the Transformer on all twelve standard tasks of the comparison ([2406.07887](https://arxiv.org/abs/2406.07887)). These
# are results for given sizes and data, not a law. The layouts of fifteen published hybrids are in
# [03e](03e_family_since.ipynb#hybrids).
#
# **Which one is best?** That depends on the task, the size and the machine: rule out by memory and recall, then measure
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
# | 5 | [03d](03d_expressivity.ipynb), [03e](03e_family_since.ipynb) | permutations by hand, KDA's step, Mesa | 3 |
# | 6 | [04a](04a_torch.ipynb) to [04e](04e_published.ipynb) | caches, a kernel, images, a published model | 4 |
# | 7 | [05a](05a_cost.ipynb) to [05e](05e_choose.ipynb), 06 | a slope, an interval, a short list, this quiz | 3½ |
#
# ## 8 · Ten questions
#
# Every answer is explained, right or wrong. Run the cell again to start over.

# %%
widgets.Quiz()

# %% [markdown]
# ## 9 · Where you stand
#
# The board shows what you have passed, how your predictions went and what is next. Below are eight things to tick when
# you can do them **without looking anything up**. The ticks are stored on this machine with your progress, so you will
# find them again tomorrow.

# %% tags=["nbval-ignore-output"]
ProgressBoard()

# %% [markdown]
# ## 10 · If the two are equal, why do hybrids win?
#
# The duality says that attention and a recurrence are one map. Then why should a stack of both beat either of them?
# Because they are equal only *without* softmax, that is, where block ranks are bounded.
#
# **What softmax adds is rank growth, and copying needs it.** To repeat $L$ tokens, row $L + j$ of the matrix must read
# token $j$. The block of these rows is the identity, of rank $L$, so a linear state needs $L$ numbers for each feature;
# and counted in bits, any state of fixed size is too small for some $L$ ([03d](03d_expressivity.ipynb), step 8).
# Softmax can copy with keys of only *two* numbers, as the next cell shows, because its cache grows with the tokens.
#
# **What the recurrence adds** is a cost per token that does not grow, a sense of order without position vectors, and,
# with the right eigenvalues, state tracking, which soft attention learns poorly (03d, step 6).
#
# So each is strong where the other fails, and a stack needs the expensive kind only where ranks must grow. A single
# layer with a cache lifts the bound on copying for the whole stack, because the bound counts everything that the stack
# carries. That hybrids also *learn* to use their few caches is an observation (section 6), not a theorem.

# %%
L = N // 2
copying = np.eye(2 * L, k=-L)  # token L + j repeats token j
assert rank_below(copying) == L
angle = 2 * np.pi * np.arange(L) / L
around = np.stack([np.cos(angle), np.sin(angle)], axis=1)  # a key of two numbers for each place
nothing = np.zeros((L, 2))
keys, queries = np.concatenate([around, nothing]), np.concatenate([nothing, 4000 * around])
by_softmax = attention.softmax_matrix(queries, keys)
assert np.abs(by_softmax - copying)[L:].max() < 1e-10
assert rank_below(by_softmax) >= L > ranks["ssd"] == r
print(f"copying {L} tokens: rank {L}; softmax does it with keys of {keys.shape[1]} numbers,")
print(f"and a cache of {costs.carried('softmax', 2 * L, 2, d)} numbers; a state of {r} rows cannot")

# %% [markdown]
# ## 11 · To discuss
#
# A state of fixed size must forget; a cache forgets nothing but must search. People do both. **Is "attention or
# recurrence" a question about architecture, or about what a memory is for?** Argue with a task on which one of them
# must fail, and with the smallest hybrid that does not. Which measurement would change your mind?
#
# ## 12 · The corrections
#
# These are the places where the lecture is wrong. If a number is a link, it leads to the place where this course
# teaches the correction. The table is read from [docs/corrections.md](../docs/corrections.md), so there is only one
# copy of it.

# %%
with open("../docs/corrections.md", encoding="utf-8") as page:
    table = [line.replace("](../notebooks/", "](") for line in page if line[:1] == "|"]
assert len(table) > 20
Markdown("".join(table))

# %% [markdown]
# ## Recap
#
# - One map, three forms, equal up to rounding.
# - The state bounds the rank of what passes; softmax has no such bound.
# - The transition decides what can be tracked, and the size of the state decides what can be copied.
# - Hybrids win because each kind of layer can do what the other cannot.
# - Choose by memory, recall and the clock, in this order.
#
# **Where next:** the next lecture, hybrids: which layers should be attention, how many, and whether they may share
# weights, as Zamba's do ([2405.16712](https://arxiv.org/abs/2405.16712)). You now know what each kind of layer is for.

# %% tags=["nbval-ignore-output"]
progress("06_review")
