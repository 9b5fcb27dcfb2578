# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05e · Choose: which mixer for which task
#
# *15 minutes · ★☆☆*
#
# After this you can …
# - rule out mixers that need too much memory for a task, or recall too little,
# - say when FLOPs mislead, and decide by times measured on your own machine instead,
# - give a recommendation with its reasons, and say what the reasons leave out.
#
# **How it works.** A few rules make the choice. Each rule is followed by a cell that fails if the rule is false. The
# last step combines them in a chooser, which uses the times measured on your machine. The letters are in the
# [notation table](03a_semiseparable.ipynb#notation).

# %%
import numpy as np
import torch

from lecture17 import bench, costs, experiments, mixers, widgets
from lecture17.course import predict, progress
from lecture17.reference import attention, delta_rule, gla, retention, scan2d, ssd
from lecture17.widgets import chooser

# %% [markdown]
# ## 1 · Rule: is there enough memory?
#
# In decoding, each head carries a state of $r d$ numbers or, for softmax, every key and value so far, $N (r + d)$
# numbers. (With grouped queries, several heads share one cache, which divides its size by their number.) **(1.1)** With
# $r = d$ the cache is larger than the state as soon as $N > r / 2$: with heads of 64, after 32 tokens. **(1.2)** A
# hybrid with one attention layer in eight (Jamba, arXiv 2403.19887) divides the cache by eight and no more: it still
# grows.
#
# In training, by the chooser's count, softmax needs the least: a fused kernel keeps one number per token for the
# backward pass, while a chunkwise kernel that keeps the state before each chunk, as the package does on a CPU, holds
# $r d / c$ numbers per token, that is, 64 with chunks of 64. (The Triton kernels of part [04b](04b_triton.ipynb) keep
# no states and recompute them, which the chooser does not count.)

# %%
r = d = 64  # numbers in a key, in a value
state = costs.carried("ssd", 1, r, d)
larger = [costs.carried("softmax", N, r, d) > state for N in range(65)]
assert larger.index(True) == r // 2 + 1  # (1.1)

for N in (1024, 65536, 1_048_576):
    carried = {
        name: chooser.size(chooser.compute(chooser.Params(N=N)).costs[name].memory)
        for name in ("softmax", "hybrid", "ssd", "wkv4")
    }
    print(f"8 heads, N = {N:9,}:", ", ".join(map(": ".join, carried.items())))

cache = costs.carried("softmax", 65536, r, d)
hybrid = chooser.compute(chooser.Params(N=65536)).costs["hybrid"].memory
assert hybrid == 4 * 8 * (cache / 8 + state * 7 / 8)  # (1.2), 8 heads, 4 bytes a number

# %% [markdown]
# ## 2 · Rule: does it recall what is asked for?
#
# **The gist.** What is kept must depend on the token; Mamba calls this *selective* (arXiv 2312.00752). **(2.1)**
# RetNet's mask depends only on age, and linear attention forgets nothing; a gate of 0 drops the past *because of a
# token*.
#
# **The last value of a key.** **(2.2)** Write two values under one key. A mixer that only adds reads their sum. A decay
# shifts the balance to the later value, but part of the first remains; only a decay of 0 removes it, together with
# everything else that it acts on. Softmax without positions cannot tell which value came later, and reads their mean;
# with positions it can learn to prefer the later one. The delta rule with $\beta = 1$ and a key of length 1 reads the
# second value, whatever came before.
#
# **Any token, exactly.** **(2.3)** To repeat any text of $N$ tokens takes $N \log_2 |\mathcal A|$ bits (arXiv
# 2402.01032; proved in part [03d](03d_expressivity.ipynb)). A state of $s$ numbers in float32 has $32\, s$ bits. This
# is an upper bound: more is impossible. Training reaches less (in the small networks of part
# [03d](03d_expressivity.ipynb) at most about one bit per number).

# %%
one = np.ones((8, 1))
by_age = retention.matrix(one, one, one, 0.9)
assert np.allclose(by_age[1:, 1:], by_age[:-1, :-1])  # the same along every diagonal
log_a = np.zeros(8)
log_a[4] = -np.inf  # token 4 closes the gate
for M in (ssd.matrix(one, log_a, one, one), gla.matrix(one, one, one, log_a[:, None])):
    assert (M[4:, :4] == 0).all()
    assert (M[:4, :4] == np.tri(4)).all()  # (2.1)

# %%
key, values = np.array([[0.6, 0.8]] * 2), np.array([[1.0], [5.0]])
added, _ = ssd.recurrent(values, np.zeros(2), key, key)
replaced, _ = delta_rule.recurrent(key, key, values, np.ones(2))
read = added[1, 0], replaced[1, 0]
print("values 1 and 5 under one key: adding reads {:g}, the delta rule {:g}".format(*read))
assert np.allclose((added[1], replaced[1]), ([6], [5]))  # (2.2)
faded, _ = ssd.recurrent(values, np.log([0.9, 0.9]), key, key)
by_softmax = attention.softmax_matrix(key, key) @ values
print(f"with a decay of 0.9 adding reads {faded[1, 0]:g}, ", end="")
print(f"softmax without positions {by_softmax[1, 0]:g}")
assert np.allclose((faded[1], by_softmax[1]), ([5.9], [3]))

numbers = 8 * costs.carried("delta_rule", 1, r, d)  # of a layer of 8 heads
bits_a_token = np.log2(32_768)  # a vocabulary of this size
longest, learned = (int(bits * numbers / bits_a_token) for bits in (32, 1))
print(f"a state of {numbers:,} numbers can copy at most {longest:,} tokens,")
print(f"at one bit per number {learned:,}")
assert longest == 69_905  # (2.3)

# %% [markdown]
# ## 3 · Rule: what does it cost?
#
# These are the FLOPs of the mixing itself, for all heads of a layer; the projections come on top. A masked square is
# counted in full, as in part [03b](03b_duality.ipynb). **(3.1)** By FLOPs, softmax is cheaper than SSD in training up
# to 128 tokens; beyond that it is more expensive, by a factor that grows in proportion to $N$. **(3.2)** By FLOPs
# Mamba-1, with its 16 state entries per channel, beats every other mixer with a gate. But its FLOPs are not matrix
# products ([correction 7](02_intuition.ipynb#correction-7)), so by seconds the order can be different. So measure.

# %%
lengths = np.arange(64, 2049)
softmax = np.array([chooser.layer_flops("softmax", "training", N) for N in lengths])
chunkwise = np.array([chooser.layer_flops("ssd", "training", N) for N in lengths])
crossover = lengths[np.argmax(softmax > chunkwise)]
print(f"by FLOPs, softmax costs more than SSD from {crossover} tokens on")
assert crossover == 129  # (3.1)
assert np.allclose(np.diff(softmax / chunkwise)[1000:] * 128, 1, atol=0.05)  # one more each 128

gated = chooser.able("the gist")
trained = chooser.compute(chooser.Params(N=4096, phase="training")).costs
at_4096 = {mixer: cost.flops for mixer, cost in trained.items()}
assert min(gated, key=at_4096.get) == "selective_scan"  # (3.2)

# %% [markdown]
# The next cells time each mixer in the form in which it is trained (for softmax, PyTorch's own attention; RWKV-4 has no
# chunkwise form and is timed token by token), and one decoding step. Forward pass, one layer with 8 heads of 64,
# float32, batch 1.

# %%
measure, full = experiments.measure, experiments.settings.FULL
trained_at = (512, 2048, 8192) if full else (512, 2048)
stepped_at, budget = ((16, 4096, 16384), 0.1) if full else ((16, 4096), 0.02)


def softmax_step(N: int) -> float:
    """Seconds of one query against a cache of N keys and values."""
    keys, values = torch.randn(2, 1, 8, N, 64)
    query = torch.randn(1, 8, 1, 64)
    attend = torch.nn.functional.scaled_dot_product_attention
    return measure.median_seconds(lambda: attend(query, keys, values), budget)


def forward(mixer: str, N: int) -> float:
    """Seconds of a forward pass over N tokens, as the mixer is trained."""
    call = measure.function(mixer, mixers.MIXERS[mixer].trained_form)
    arguments = measure.inputs(mixer, N)
    with torch.no_grad():
        return measure.median_seconds(lambda: call(*arguments), budget)


# %% tags=["nbval-ignore-output"]
rows = []
for mixer in mixers.MIXERS:
    for N in trained_at:
        if mixer != "wkv4" or N <= 2048:
            rows.append(bench.Row(mixer, mixers.MIXERS[mixer].trained_form, N, forward(mixer, N)))
    for N in stepped_at:
        seconds = softmax_step(N) if mixer == "softmax" else measure.step_seconds(mixer, N, budget)
        rows.append(bench.Row(mixer, "step", N, seconds))

print(f"{'milliseconds':17}" + "".join(f"{f'N = {N:,}':>11}" for N in trained_at), end="")
print("".join(f"{f'step, {N:,}':>13}" for N in stepped_at))
for mixer in mixers.MIXERS:
    times = {(row.form == "step", row.N): 1e3 * row.seconds for row in rows if row.mixer == mixer}
    cells = [f"{times[False, N]:11.3g}" if (False, N) in times else " " * 11 for N in trained_at]
    cells += [f"{times[True, N]:13.3g}" for N in stepped_at]
    print(f"{mixers.MIXERS[mixer].title:17}", *cells, sep="")
run = "full run" if full else "QUICK run, for tests (for the full one set full = True)"
print(f"{run}, {np.datetime64('today')}", bench.machine(), sep="\n")

# %%
def time_of(mixer: str, phase: str, N: int) -> float:
    return chooser.seconds(mixer, phase, N, rows)


longest = trained_at[-1]
if full:  # on a busy machine these can be the other way around in a quick run
    assert time_of("selective_scan", "training", longest) > time_of("ssd", "training", longest)
    assert time_of("softmax", "training", longest) > time_of("ssd", "training", longest)
    assert time_of("softmax", "decoding", 16384) > 10 * time_of("softmax", "decoding", 16)

# %% [markdown]
# **Learned:** FLOPs are only a count; the clock decides. Mamba-1 has the fewest FLOPs of all mixers with a gate, and
# yet it is not the fastest here. A fused kernel for it would be a different program, and a different measurement.
#
# ## 4 · Rule: does the data have one dimension or two?
#
# A causal mixer reads an image in some order, and the pixel one row up is a whole row of tokens back. **(4.1)** By
# rows, the pixel above is $W$ tokens away, by columns only one; four routes (rows, columns, both reversed; VMamba,
# arXiv 2401.10166) place each of its four neighbors directly before the pixel once, at four times the cost. Softmax
# needs no route: it looks at all pairs, in both directions. By the count above this costs the same as the causal form,
# because a masked square is counted in full; in time it can cost up to twice as much, because causal kernels skip what
# is masked.

# %%
H = W = 32
above, here = 3 * W + 5, 4 * W + 5  # a pixel, and the one below it, counted by rows
distances = [
    abs(int(np.argwhere(route == above)[0, 0] - np.argwhere(route == here)[0, 0]))
    for route in scan2d.routes(H, W)
]
print("the pixel above, in tokens, on the four routes:", distances)
assert distances == [W, 1, W, 1]  # (4.1)
print(f"what a decay of 0.9 leaves of it: {0.9**W:.3f} by rows, {0.9:.1f} by columns")

line, image = (
    chooser.compute(chooser.Params(phase="training", shape=s)).costs for s in ("1-D", "2-D")
)
assert image["ssd"].flops == 4 * line["ssd"].flops
assert image["softmax"].flops == line["softmax"].flops

# %% [markdown]
# ## 5 · The chooser
#
# The chooser applies the rules one after another: leave out what recalls too little, leave out what does not fit, and
# take the fastest of the rest by the times measured above. (Between two measured lengths it follows a straight line on
# a log-log plot; beyond the last one it scales with the FLOPs, so a far extrapolation is a guess.) The sentences under
# the picture give each reason with its numbers.
#
# It starts with decoding at 16,384 tokens, with 10 MB per layer, where the last value of a key must be recalled. Then
# ask for "any token": what is left, and why? Then move the length to its maximum.

# %%
predict("05e_choose-ten-megabytes")

# %% tags=["nbval-ignore-output"]
widgets.ArchitectureChooser(rows)

# %% [markdown]
# Now five tasks, by FLOPs alone, so that the table is the same on every machine.

# %%
predict("05e_choose-five-tasks")

# %%
tasks = {
    "short texts, trained": chooser.Params(64, "100 MB", "training", "any token", "1-D"),
    "chat on a phone": chooser.Params(8192, "1 MB", "decoding", "last value of a key", "1-D"),
    "DNA, a million bases": chooser.Params(2**20, "1 GB", "decoding", "the gist", "1-D"),
    "a long book, quoted": chooser.Params(2**17, "100 MB", "decoding", "any token", "1-D"),
    "photographs, trained": chooser.Params(256, "100 MB", "training", "the gist", "2-D"),
}
chosen = {}
for name, params in tasks.items():
    choice = chooser.compute(params)
    chosen[name] = choice.best if choice.costs[choice.best].fits else None
    print(f"{name:21} {chooser.names().get(chosen[name], 'nothing fits')}")

# %%
assert chosen == {
    "short texts, trained": "softmax",
    "chat on a phone": "delta_rule",
    "DNA, a million bases": "selective_scan",
    "a long book, quoted": "hybrid",
    "photographs, trained": "selective_scan",
}

# %% [markdown]
# Two of the answers are Mamba-1, because of the FLOP count that (3.2) warns about. With the times measured on your
# machine, the chooser above may answer differently.
#
# **What the rules do not say.** They do not say how *well* a mixer will do a task that it is able to do. Two mixers
# that pass all rules can differ in what they learn in the time you have, and no count of FLOPs tells you. Nor does the
# chooser know what must be *tracked* (parity, order: part [03d](03d_expressivity.ipynb)), or how a GPU or a fused
# kernel would change the ratios. Take its answer as a short list, train two models from the list at a small size, at
# equal steps *and* at equal time with several seeds, and let that decide.
#
# ## Recap
#
# - Memory first: with heads of 64, a cache outgrows a state after 32 tokens; in training, attention can keep less.
# - Recall second: gates select, removal replaces, and only a memory that grows can copy everything.
# - Cost last, in seconds on the machine that will do the work; FLOPs rank matrix products and loops wrongly.
# - An image takes four routes, or all pairs.
# - Long texts with exact recall: a hybrid. Its caches still grow, and no engineering removes that bound.
#
# **Where next:** part [06](06_review.ipynb), the review: the whole course on one page, a quiz, and what to read.

# %% tags=["nbval-ignore-output"]
progress("05e_choose")
