# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 05a · Cost: time and memory, measured on your machine
#
# *20 minutes · ★★☆*
#
# After this you can …
# - measure how the time of a sequence mixer grows with the length, and read the exponent off a log-log plot,
# - say from which length on a linear-time mixer beats attention on your own machine, and why not earlier,
# - say what one decoding step costs and keeps, and which entries of a complexity table this explains.
#
# **Letters** as everywhere ([table](03a_semiseparable.ipynb#notation)): $N$ tokens, $d$ features, $r$ state entries for
# each feature. All measurements: one head (in decoding eight), keys and values of 64 numbers, float32, forward pass.

# %%
import numpy as np

from lecture17 import experiments, figures
from lecture17.costs import carried, flops
from lecture17.course import predict, progress
from lecture17.experiments import measure
from lecture17.mixers import FORMS

# %% [markdown]
# ## 1 · Three forms, counted
#
# The mixers of this course have up to three forms, which give the same numbers (part [03b](03b_duality.ipynb)). Their
# FLOPs, for one head with $d_k = d_v = 64$ and chunks of $c = 64$ tokens, grow like
#
# $$\text{parallel} \sim N^2, \qquad \text{recurrent} \sim N, \qquad \text{chunkwise} \sim N (c + d_k) .$$
#
# **A power law is a straight line on logarithmic axes, and its slope is the exponent.** Doubling $N$ multiplies
# $N^p$ by $2^p$, so two lengths are enough to compute the slope.

# %%
for form in FORMS:
    short, long = (flops("ssd", form, N, 64, 64) for N in (4096, 8192))
    slope = np.log2(long / short)
    print(f"ssd, {form:9}: {long / 1e6:9,.0f} million FLOPs at 8192, slope {slope:.2f}")
    assert round(slope) == (2 if form == "parallel" else 1)
chunkwise, loop = (flops("ssd", form, 8192, 64, 64) for form in ("chunkwise", "recurrent"))
print(f"the chunkwise form has {chunkwise / loop:.1f} times the FLOPs of the recurrent one")
assert chunkwise > loop

# %% [markdown]
# ## 2 · Three forms, measured
#
# With chunks of 64 tokens the chunkwise form takes *more* FLOPs than the recurrent form, and both grow like $N$. (With
# chunks of 3 to 12 tokens it would take fewer: [correction 7](02_intuition.ipynb#correction-7).) A FLOP is not a
# second, though: the recurrent form works in $N$ small steps, one after another; the chunkwise form puts its work into
# matrix products over $N / 64$ chunks, and matrix products are what processors are built for.
#
# **Predict.** Sketch time against $N$ for the three forms on logarithmic axes. What are the slopes? Which is lower,
# recurrent or chunkwise? Where does the parallel form of a state-space model cross softmax attention?
#
# (The picture shows the results of a full run, which come with the course. As it stands, the next cell measures short
# sequences only, prints what came of it, and changes nothing else. With `full = True` it measures all of them on your
# machine, which takes a few minutes, and the pictures show yours. A line of the parallel form ends where its matrix
# would no longer fit into 128 MiB. The picture shows four mixers; the table below it has all of them.)

# %% tags=["nbval-ignore-output"]
full = experiments.FULL  # True to measure everything on your machine
lengths = {
    "parallel": [256, 512, 1024, 2048, 4096] if full else [128, 256, 512],
    "recurrent": [256, 1024, 4096, 16384, 65536] if full else [64, 128, 256],
    "chunkwise": [256, 1024, 4096, 16384, 65536] if full else [128, 512, 2048],
}
measured = measure.sweep(lengths)
where = experiments.provenance(full, [], threads="as many threads as cores")
for form in FORMS:
    s = measured["ssd", form]
    print(f"here: ssd, {form:9} {1e3 * s.seconds[-1]:8.2f} ms at {s.N[-1]:,.0f} tokens")

# %% tags=["nbval-ignore-output"]
study = experiments.stored("05a_cost_forms", measure.plain(measured), full, where)
costs = measure.restored(study)
print(study.provenance)
attention = costs["softmax", "parallel"]
lines = {form: {"softmax": (attention.N, attention.seconds)} for form in lengths}
for form in lengths:
    for mixer in ("ssd", "gla", "rwkv7"):
        series = costs[mixer, form]
        lines[form][mixer] = (series.N, series.seconds)
powers = {"parallel": 2, "recurrent": 1, "chunkwise": 1}
title = "Seconds against length, on logarithmic axes"
figures.time_against_length(lines, powers, title=title)

# %% [markdown]
# **Learned:** as counted, the parallel forms grow roughly like $N^2$ and the other two roughly like $N$. Counting does
# not say how high the lines are, and the measured slopes are rough. At short lengths the lines flatten, because most of
# the time goes into calling functions; even the longest lengths give most chunkwise forms slopes of 0.9 to 1.0. Most
# parallel forms are steeper than 2, because their matrix outgrows the cache; those of GLA and KDA, at the few lengths
# that fit here, are well below. None of the three parallel forms in the picture is faster than attention at any length.
# Slopes are fitted to the three longest lengths only.
#
# The cell after the table compares the slopes with the counted ones. The margins are generous, because a laptop that is
# busy with other things bends its lines. Mixers with a decay for each channel (selective scan, RWKV-4) use no matrix
# products and have only short parallel forms; the table shows them, but nothing is asserted about them.

# %% tags=["nbval-ignore-output"]
print(f"{'mixer':17}" + "".join(f"{form:>22}" for form in lengths))
for mixer in sorted({mixer for mixer, _ in costs}):
    cells = [costs.get((mixer, form)) for form in lengths]
    words = [f"{s.slope():.2f} ({s.counted_slope():.2f})" if s else "" for s in cells]
    print((f"{mixer:17}" + "".join(f"{word:>22}" for word in words)).rstrip())
print("in brackets: the slope of the FLOPs")

# %%
with_products = ["ssd", "retention", "linear_attention", "delta_rule", "rwkv7", "mamba3"]
slopes = {form: np.median([costs[m, form].slope() for m in with_products]) for form in lengths}
for form, counted in {"parallel": 2, "recurrent": 1, "chunkwise": 1}.items():
    assert round(np.median([costs[m, form].counted_slope() for m in with_products])) == counted
assert slopes["chunkwise"] < 1.4
assert slopes["recurrent"] < 1.4
assert slopes["parallel"] > max(1.5, slopes["chunkwise"] + 0.4)
assert attention.slope() > 1.6
assert slopes["chunkwise"] > 0.7
for mixer in with_products:  # more FLOPs in less time: matrix products
    chunks, loop = (costs[mixer, form] for form in ("chunkwise", "recurrent"))
    assert chunks.seconds[chunks.N == 4096] < loop.seconds[loop.N == 4096], mixer

# %% [markdown]
# ## 3 · The crossover with attention
#
# Softmax attention is one well-tuned call; a chunkwise mixer makes many calls for each group of chunks. So attention
# wins on short sequences, and it loses at every length beyond some point, because $N^2$ outgrows $N$. **The point
# depends on the machine and on the code, not on the mathematics**: with other hardware or other kernels it lies
# elsewhere. (In the published comparison, on an A100 GPU with fused kernels, SSD is level with FlashAttention-2 near 2K
# and six times faster at 16K; arXiv 2405.21060, Section 1. This course did not measure that.) The second cell below
# asserts the crossing for the three mixers that need nothing but plain matrix products. For the others it is *fragile*,
# so it is printed and not asserted: in one run, on a machine busy with other programs, RWKV-7 had not crossed at
# 65,536.

# %% tags=["nbval-ignore-output"]
longest = int(costs["ssd", "chunkwise"].N[-1])
for mixer in [*with_products, "gla", "selective_scan"]:
    series = costs[mixer, "chunkwise"]
    from_here = measure.crossover(series, attention)
    found = "not yet" if np.isnan(from_here) else f"faster from about {from_here:,.0f} tokens on"
    times = attention.seconds[longest == attention.N][0] / series.seconds[-1]
    print(f"{mixer:17} {found:40} × {times:.1f} at {longest:,}")
print("× how many times faster than attention")

# %%
for mixer in ("ssd", "retention", "linear_attention"):
    series = costs[mixer, "chunkwise"]
    assert measure.crossover(series, attention) < 65536, mixer
    assert attention.seconds[-1] / series.seconds[-1] > 2, mixer

# %% [markdown]
# <a id="expected-times"></a>
#
# > **The lecture also** gives "expected" times according to which RetNet's recurrent form is faster than attention at
# > 1,024 tokens, and says that Mamba-2 is 2 to 8 times faster.
# >
# > **In truth** the recurrent form is slower over a whole sequence: it takes one step per token, one after another,
# > and uses no matrix products. It is made for decoding. And "2 to 8 times" compares Mamba-2's core layer with *Mamba's
# > own fused scan* on a GPU (arXiv 2405.21060, abstract), not a model with a Transformer. The Mamba-1 of this page has
# > no fused kernel, so the ratio printed below is a different one.

# %% tags=["nbval-ignore-output"]
loop, at = costs["retention", "recurrent"], 1024
slower = loop.seconds[list(loop.N).index(at)] / attention.seconds[list(attention.N).index(at)]
print(f"{at:,} tokens: RetNet's recurrent form takes {slower:.0f} times as long as attention")
scan, ssd = (costs[mixer, "chunkwise"].seconds[-1] for mixer in ("selective_scan", "ssd"))
print(f"{longest:,} tokens: Mamba-1's scan, not fused, takes {scan / ssd:.0f} times as long as SSD")
assert slower > 2

# %% [markdown]
# ## 4 · Decoding: one token at a time
#
# Writing text is a different task: each token is one step, and the step needs what the earlier tokens have left
# behind. Attention keeps all keys and values, $N (d_k + d_v)$ numbers per head, and reads all of them at every step. A
# recurrent mixer keeps $d_k d_v$ numbers, no matter how many tokens came before.
#
# The next picture shows latency and memory against the context, for attention and for mixers with a state. (Eight
# heads, each with a cache in one block of memory. The states of `ssd`, `gla` and `rwkv7` have the same size, so their
# lines of memory coincide. Again the picture shows a full run.)

# %%
predict("05a_cost-level")

# %% tags=["nbval-ignore-output"]
contexts = [256, 1024, 4096, 16384, 65536] if full else [256, 4096]
decoders = ["softmax", "ssd", "gla", "rwkv7", "selective_scan"]
stepped = measure.decoding(decoders, contexts)
for mixer in decoders:
    s = stepped[mixer, "step"]
    print(f"here: {mixer:15} {1e3 * s.seconds[-1]:8.3f} ms a step at {s.N[-1]:,.0f} tokens")

# %% tags=["nbval-ignore-output"]
study = experiments.stored("05a_cost_decoding", measure.plain(stepped), full, where)
print(study.provenance)
steps = {mixer: series for (mixer, _), series in measure.restored(study).items()}
latency = {mixer: (s.N, s.seconds) for mixer, s in steps.items()}
kept = {mixer: (s.N, s.flops) for mixer, s in steps.items()}
title = "One step of decoding, against the context"
figures.decoding_cost(latency, kept, title=title)

# %%
ratio = {
    mixer: carried(mixer, 65536, 64, 64) / carried(mixer, 256, 64, 64)
    for mixer in decoders
}
print("what is kept at 65,536 tokens, in units of what is kept at 256:", ratio)
assert ratio.pop("softmax") == 256
assert set(ratio.values()) == {1}
even = next(N for N in range(1, 100) if carried("softmax", N, 64, 64) >= 64 * 64)
print(f"a KV cache is as large as a 64 × 64 state after {even} tokens")
assert steps["softmax"].seconds[-1] > 8 * steps["softmax"].seconds[0]
for mixer in decoders[1:]:
    assert steps[mixer].seconds[-1] < 4 * steps[mixer].seconds[0], mixer

# %% [markdown]
# ## 5 · The lecture's complexity table, corrected
#
# Two corrections concern it. Both are derived and counted in part [03c](03c_family.ipynb): [correction
# 18](03c_memory.ipynb#correction-18) (RWKV-7 is $O(N d \cdot \text{head size})$, RetNet trains in $O(N)$, a KV cache
# is $O(N)$) and [correction 23](03c_family.ipynb#correction-23) ("250 times fewer operations" drops $d$ on one side).
#
# | mixer | training, best form | one decoding step | kept while decoding |
# | --- | --- | --- | --- |
# | softmax attention | $O(N^2 d)$ | $O(N d)$ | $O(N d)$ |
# | Mamba-1 | $O(N d\, r)$, no matrix products | $O(d\, r)$ | $O(d\, r)$ |
# | Mamba-2, GLA | $O(N d (c + r))$ | $O(d\, r)$ | $O(d\, r)$ |
# | RetNet | the same: chunkwise, *not only* $O(N^2 d)$ | $O(d\, r)$ | $O(d\, r)$ |
# | delta rule, RWKV-7 | the same, plus a triangular solve | $O(d \cdot \text{head size})$ | the same |
#
# ($c$ is the chunk size. For RetNet, GLA, the delta rule and RWKV-7, $r$ is the size of a key. Mamba-3 costs what
# Mamba-2 does.) The next cell puts these columns beside the measurements: if the number of tokens doubles, by how much
# does the work grow?

# %% tags=["nbval-ignore-output"]
names = {"softmax": "softmax attention", "ssd": "Mamba-2", "gla": "GLA", "rwkv7": "RWKV-7"}
head = ["training", "measured", "a step", "measured"]
print(f"{'twice the tokens':20}" + "".join(f"{word:>10}" for word in head) + f"{'kept':>8}")
for mixer, name in (names | {"selective_scan": "Mamba-1"}).items():
    training = costs[mixer, "parallel" if mixer == "softmax" else "chunkwise"]
    expected, measured = 2 ** training.counted_slope(), 2 ** training.slope()
    step, memory = (2 if mixer == "softmax" else 1), np.polyfit(*np.log(kept[mixer]), 1)[0]
    print(f"{name:20}{expected:10.2f}{measured:10.2f}{step:10}", end="")
    print(f"{2 ** steps[mixer].slope():10.2f}{2**memory:8.2f}")

# %% [markdown]
# ## Recap
#
# - On logarithmic axes a power law is a line whose slope is the exponent: 2 for parallel forms, 1 for the others.
# - With chunks of 64 the chunkwise form takes more FLOPs than the recurrent form, and less time: matrix products.
# - From some length on a linear form beats attention. That length depends on machine and code, so measure it.
# - In decoding, a state costs the same at every context; a KV cache grows with the context.
#
# **Where next:** the [exercise](../exercises/05a_cost.ipynb) (4 points), then [part 05b](05b_long_range.ipynb) asks
# how many facts a state of fixed size can remember.

# %% tags=["nbval-ignore-output"]
progress("05a_cost")
