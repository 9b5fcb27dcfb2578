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
# *30 minutes · ★★☆*
#
# After this you can …
# - measure how the time of a sequence mixer grows with the length, and read the exponent off a log-log plot,
# - say from which length on a linear-time mixer beats attention on your own machine, and why not earlier,
# - say what one decoding step costs and keeps, and which entries of a complexity table this explains.
#
# **Letters** as everywhere ([table](03a_semiseparable.ipynb#notation)): $N$ tokens, $d$ features, $r$ state entries for
# each feature. All measurements: one head (from Section 5 on eight), keys and values of 64 numbers, float32, forward
# pass, one thread. The units kB, MB and GB are powers of ten: 1 kB is 1,000 bytes.

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
# (The pictures show the results of a full run, which come with the course. As it stands, the next cell measures short
# sequences only, prints what came of it, and changes nothing else. With `full = True` it measures all of them on your
# machine, which takes a few minutes, and the pictures show yours. Everything runs on one thread, and what is counted
# are the seconds of that thread. A line of the parallel form ends where its matrix would no longer fit into 134 MB.
# The picture shows four mixers; the table below it has all of them.)

# %% tags=["nbval-ignore-output"]
full = experiments.FULL  # True to measure everything on your machine
lengths = {
    "parallel": [1, 64, 256, 512, 1024, 2048, 4096] if full else [1, 128, 256],
    "recurrent": [64, 256, 1024, 4096] if full else [64, 128, 256],
    "chunkwise": [1, 64, 256, 1024, 4096, 16384, 65536] if full else [1, 128, 512],
}
measured = measure.sweep(lengths)
where = experiments.provenance(full, [], threads="one thread")
for form in FORMS:
    s = measured["ssd", form]
    print(f"here: ssd, {form:9} {1e3 * s.seconds[-1]:8.2f} ms at {s.N[-1]:,.0f} tokens")

# %% tags=["nbval-ignore-output"]
study = experiments.stored("05a_cost_forms", measure.plain(measured), full, where)
costs = measure.restored(study)
print(study.provenance)
attention = costs["softmax", "parallel"]
lines = {form: {} for form in lengths}
for form in lengths:
    for mixer in ("softmax", "ssd", "gla", "rwkv7"):
        series = attention if mixer == "softmax" else costs[mixer, form]
        lines[form][mixer] = (series.N[series.N > 1], series.seconds[series.N > 1])
powers = {"parallel": 2, "recurrent": 1, "chunkwise": 1}
took = {form: 1e3 * costs["ssd", form].at(4096) for form in lengths}
said = ", ".join(f"{took[form]:.0f} ms ({form})" for form in sorted(took, key=took.get))
title = f"At 4,096 tokens SSD takes {said}; attention takes {1e3 * attention.at(4096):.0f} ms"
figures.time_against_length(lines, powers, title=title)

# %% [markdown]
# The table has the slopes, fitted to the three longest lengths of each line.

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
    assert chunks.at(4096) < loop.at(4096), mixer
    at_4096 = [s.counted[list(s.N).index(4096)] for s in (chunks, loop)]
    assert at_4096[0] > at_4096[1], mixer
    parallel = costs[mixer, "parallel"]
    assert all(parallel.at(N) > attention.at(N) for N in parallel.N), mixer

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# The recurrent and chunkwise forms grow roughly like $N$, as counted, and those parallel forms whose lines reach 2,048
# tokens or more grow like $N^2$ or more steeply. The next section asks where the other slopes come from. Counting does
# not say how high the lines are: with more FLOPs, the chunkwise forms take less time than the recurrent ones. At no
# length is one of the parallel forms that are made of matrix products faster than attention.
#
# </details>
#
# ## 3 · Where the slope is not the counted one
#
# **Short sequences: calls.** Some time passes even if there is nothing to do, because each operation is a call from
# Python into the library. How much is it? A single token has next to no arithmetic, so its time is nearly all calls.

# %%
predict("05a_cost-calls")

# %% tags=["nbval-ignore-output"]
print(f"{'':14}{'share of one token in':>24} {'slope between':>22}")
print(f"{'chunkwise':14}{'256 and 65,536 tokens':>24} {'256 and 1,024 tokens':>22}")
calls = {}
for mixer in [*with_products, "gla", "kda"]:
    s = costs[mixer, "chunkwise"]
    calls[mixer] = s.at(1) / s.at(256), s.at(1) / s.at(65536)
    steep = np.log2(s.at(1024) / s.at(256)) / 2
    assert steep < 0.8, mixer
    print(f"{mixer:17}{calls[mixer][0]:9.0%} and {calls[mixer][1]:.1%} {steep:22.2f}")

# %%
assert min(at_256 for at_256, _ in calls.values()) > 0.3
assert max(at_end for _, at_end in calls.values()) < 0.05
assert costs["gla", "parallel"].N[-1] == costs["kda", "parallel"].N[-1] == 512
few = costs["gla", "parallel"].N[-3:]  # 64, 256, and 512 tokens
at_these = {}
for mixer in ("ssd", "gla", "kda"):
    seconds = [costs[mixer, "parallel"].at(N) for N in few]
    at_these[mixer] = np.polyfit(np.log(few), np.log(seconds), 1)[0]
for mixer, slope in at_these.items():
    print(f"{mixer:4} parallel form, from {few[0]:.0f} to {few[-1]:.0f} tokens: slope {slope:.2f}")
assert max(at_these.values()) < 1.2
assert costs["ssd", "parallel"].slope() > at_these["ssd"] + 1

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# In all eight, a single token takes more than 30% of the time of 256 tokens, and less than 5% of that of 65,536. So the
# lines are flat on the left, and only the longest lengths show the slope that was counted. (A share above 100% is
# noise: both times are nearly all calls.) This also explains the slopes far below 2 of the parallel forms of GLA, KDA
# and Mamba-1: their decays take so much memory that the lines end at 512 tokens or before. Where those of GLA and KDA
# end, SSD has no larger slope.
#
# </details>

# %% [markdown]
# **Long sequences: new memory.** A parallel form writes several $N \times N$ matrices. Take the simplest operation that
# writes one, the product of two matrices entry by entry, and measure it twice: once with a matrix at hand that the
# result goes into, once with a new matrix for every result, as in the parallel forms.

# %%
predict("05a_cost-pages")

# %% tags=["nbval-ignore-output"]
squares = measure.passes(lengths["parallel"])
study = experiments.stored("05a_cost_passes", measure.plain(squares), full, where)
squares = measure.restored(study)
print(study.provenance)
shown = [256, 512, 1024, 2048, 4096]
held = {
    "SSD, parallel form": costs["ssd", "parallel"],
    "product, new matrix": squares["product", "new"],
    "product, matrix at hand": squares["product", "at-hand"],
}
per_entry = {name: [1e9 * s.at(N) / N**2 for N in shown] for name, s in held.items()}
slower = squares["product", "new"].at(4096) / squares["product", "at-hand"].at(4096)
title = f"At 4,096 tokens a new matrix makes the product take {slower:.1f} times as long"
figures.growth(shown, per_entry, "nanoseconds per entry", title=title)

# %%
new, at_hand = (squares["product", kind] for kind in ("new", "at-hand"))
for N in shown:
    times = new.at(N) / at_hand.at(N)
    print(f"N = {N:5,}: a new matrix takes {times:.1f} times as long as one at hand")
assert all(new.at(N) < 1.5 * at_hand.at(N) for N in shown[:-1])
assert new.at(4096) > 2 * at_hand.at(4096)
assert at_hand.at(2048) / 2048**2 > 2 * at_hand.at(512) / 512**2  # no longer in the cache
ssd = dict(zip(shown, per_entry["SSD, parallel form"], strict=True))
assert abs(np.log(ssd[2048] / ssd[512])) < np.log(ssd[4096] / ssd[2048])
last = {}
for mixer in with_products:
    last[mixer] = np.log2(costs[mixer, "parallel"].at(4096) / costs[mixer, "parallel"].at(2048))
    print(f"{mixer:17} slope between 2,048 and 4,096 tokens: {last[mixer]:.2f}")
assert sum(slope > 2.2 for slope in last.values()) >= 4

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# Up to 2,048 tokens it makes little difference where the result goes. At 4,096 a matrix takes 67 MB, and a new one
# more than doubles the time of the product, though the arithmetic is the same. In this last doubling most parallel
# forms of the cell above are steeper than 2. Is it the processor's cache? An entry of the product does take longer once
# the matrices no longer fit there, but that is between 512 and 2,048 tokens, where SSD's time *per entry* changes less
# than in the last doubling.
#
# </details>

# %% [markdown]
# ## 4 · The crossover with attention
#
# Softmax attention is one well-tuned call; a chunkwise mixer makes many calls for each group of chunks. So attention
# wins on short sequences, and it loses at every length beyond some point, because $N^2$ outgrows $N$. **The point
# depends on the machine and on the code, not on the mathematics**: with other hardware or other kernels it lies
# elsewhere. (In the published comparison, on an A100 GPU with fused kernels, SSD is level with FlashAttention-2 near 2K
# and six times faster at 16K; arXiv 2405.21060, Section 1. This course did not measure that.)

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
for mixer in [*with_products, "gla", "selective_scan"]:
    series = costs[mixer, "chunkwise"]
    assert measure.crossover(series, attention) < 65536, mixer
    assert attention.seconds[-1] / series.seconds[-1] > 2, mixer
    assert attention.at(256) < series.at(256), mixer

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
# ## 5 · Reading a prompt
#
# Before a model writes, it reads: the whole prompt at once, and afterwards it must be ready for the next token.
# Attention leaves a cache, a recurrent mixer a state. (From here on there are eight heads. The line "token by token"
# reads the prompt as in decoding.)

# %%
predict("05a_cost-reading")

# %% tags=["nbval-ignore-output"]
prompts = [64, 256, 1024, 4096, 16384] if full else [64, 256]
ways = [("softmax", "parallel"), ("ssd", "chunkwise"), ("rwkv7", "chunkwise"), ("ssd", "recurrent")]
reads = measure.reading(ways, prompts)
for (mixer, form), s in reads.items():
    print(f"here: {mixer:8} {form:10} {1e3 * s.seconds[-1]:8.2f} ms for {s.N[-1]:,.0f} tokens")

# %% tags=["nbval-ignore-output"]
study = experiments.stored("05a_cost_reading", measure.plain(reads), full, where)
print(study.provenance)
reads = measure.restored(study)
names = ["softmax", "ssd", "rwkv7", "ssd, token by token"]
prompt = {name: (s.N, s.seconds) for name, s in zip(names, reads.values(), strict=True)}
begin = measure.crossover(reads["ssd", "chunkwise"], reads["softmax", "parallel"])
since = "at no length" if np.isnan(begin) else f"from about {begin:,.0f} tokens on"
title = f"SSD reads faster than attention {since}"
figures.time_against_length({"eight heads": prompt}, {"eight heads": 1}, title=title)

# %%
read = {name: reads[way] for name, way in zip(names, ways, strict=True)}
together, one_by_one = read["ssd"], read["ssd, token by token"]
for name, s in read.items():
    print(f"{name:20} {s.seconds[-1]:6.2f} s for {s.N[-1]:,.0f} tokens", end="; ")
    print(f"then {s.counted[-1]:12,.0f} bytes are kept")
assert read["softmax"].at(64) < together.at(64)
from_here = [
    measure.crossover(some["ssd", "chunkwise"], some["softmax", "parallel"])
    for some in (costs, reads)
]
print(f"SSD is faster from about {from_here[0]:.0f} tokens on with one head,", end=" ")
print(f"from about {from_here[1]:.0f} with eight")
assert from_here[1] < 0.9 * from_here[0]
for name, faster_at in {"ssd": 1024, "rwkv7": 4096}.items():
    assert read[name].at(faster_at) < read["softmax"].at(faster_at), name
    assert 10 * read[name].at(16384) < read["softmax"].at(16384), name
    assert set(read[name].counted) == {4 * 8 * 64 * 64}
assert one_by_one.at(16384) > 5 * together.at(16384)
assert (read["softmax"].counted == 4 * 8 * 128 * read["softmax"].N).all()

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# Long prompts are where a state saves most: attention's time grows like $N^2$, and at 16,384 tokens SSD and RWKV-7
# read in less than a tenth of it. Attention reads short prompts faster, but not as far as with one head: eight heads
# share the calls. And it has to be a form for whole sequences: token by token, the same mixer takes more than five
# times as long.
#
# </details>

# %% [markdown]
# ## 6 · Decoding: one token at a time
#
# Writing text is a different task: each token is one step, and the step needs what the earlier tokens have left
# behind. Attention keeps all keys and values, $N (d_k + d_v)$ numbers per head, and reads all of them at every step. A
# recurrent mixer keeps $d_k d_v$ numbers, no matter how many tokens came before.
#
# The next picture shows time and memory against the context. To be fair to attention, its cache is one block of memory
# for each head, with room for the new token. In a second line, *grouped queries* (arXiv 2305.13245), its eight heads of
# queries share two heads of keys and values, so it keeps and reads a quarter. And a server decodes for many users at
# once, so there are two batches. (The states of `ssd` and `rwkv7` have the same size, so their lines of memory
# coincide.)

# %%
predict("05a_cost-level")

# %%
predict("05a_cost-batch")

# %% tags=["nbval-ignore-output"]
contexts = [256, 1024, 4096, 16384] if full else [64, 256]
decoders = ["softmax", "softmax:2", "ssd", "rwkv7"]
stepped = measure.decoding(decoders, {1: contexts, 8: contexts})
for (decoder, batch), s in stepped.items():
    print(
        f"here: {decoder:9} {batch} {1e3 * s.seconds[-1]:8.3f} ms a step at {s.N[-1]:,.0f} tokens"
    )

# %% tags=["nbval-ignore-output"]
study = experiments.stored("05a_cost_decoding", measure.plain(stepped), full, where)
print(study.provenance)
steps = measure.restored(study)
names = dict(zip(decoders, ["softmax", "softmax, 2 KV heads", "ssd", "rwkv7"], strict=True))
latency = {
    f"batch {b}": {
        names[m]: (steps[m, f"batch-{b}"].N, steps[m, f"batch-{b}"].seconds) for m in names
    }
    for b in (1, 8)
}
kept = {names[m]: (steps[m, "batch-1"].N, steps[m, "batch-1"].counted) for m in names}
said = []
for m, name in (("softmax", "attention"), ("ssd", "SSD")):
    s = steps[m, "batch-1"]
    longer, larger = s.seconds[-1] / s.seconds[0], s.counted[-1] / s.counted[0]
    said += [f"{name}'s step takes {longer:.3g} times as long, with {larger:.3g} times the bytes"]
title = f"One sequence, from {s.N[0]:,} to {s.N[-1]:,} tokens: " + ";\n".join(said)
figures.decoding_cost(latency, kept, title=title)

# %%
even = next(N for N in range(1, 100) if carried("softmax", N, 64, 64) >= 64 * 64)
print(f"a KV cache is as large as a 64 × 64 state after {even} tokens")
for (decoder, batch), s in steps.items():  # measured from the tensors, and by the formula
    mixer, _, kv_heads = decoder.partition(":")
    heads = int(kv_heads or 8) * int(batch.removeprefix("batch-"))
    assert all(s.counted == [4 * heads * carried(mixer, N, 64, 64) for N in s.N]), decoder
    assert s.at(16384) > 8 * s.at(256) if mixer == "softmax" else s.at(16384) < 4 * s.at(256)
one, eight = ({m: steps[m, f"batch-{b}"].at(16384) for m in decoders} for b in (1, 8))
for m in decoders:
    times = eight[m] / one[m]
    print(f"{m:10} eight sequences take {times:4.1f} times as long as one at 16,384 tokens")
assert 6 < eight["softmax"] / one["softmax"] < 10
assert max(eight[m] / one[m] for m in ("ssd", "rwkv7")) < 4
assert eight["softmax"] > 20 * max(eight["ssd"], eight["rwkv7"])
assert max(t["softmax:2"] / t["softmax"] for t in (one, eight)) < 2 / 3
assert steps["softmax", "batch-1"].at(256) < steps["ssd", "batch-1"].at(256)

# %% [markdown]
# <details><summary><b>Learned</b> (open it when you have seen the picture)</summary>
#
# A step with a state does the same work at every context. (Here its time stays within a factor of four, on a machine
# that other programs used, too.) That of attention grows with its cache, and so do the bytes: 131 kB against 67 MB
# after 16,384 tokens, for one layer of one sequence. With one sequence and a short context attention is faster, because
# its step is one call and not several. Two heads of keys and values instead of eight keep a quarter of the bytes and,
# at 16,384 tokens, take less than two thirds of the time; the arithmetic is the same, so they need not take a quarter.
# There, eight sequences take attention about eight times as long, since each has a cache of its own to read. With a
# state they take less than four times as long, because the calls are made once for all.
#
# </details>

# %% [markdown]
# ## 7 · The lecture's complexity table, corrected
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
# Mamba-2 does, up to a constant factor.) The next cell puts these columns beside the measurements: if the number of
# tokens doubles, by how much does the work grow? (If a step of attention takes more than twice as long, the keys and
# values have probably outgrown the processor's own cache.)

# %% tags=["nbval-ignore-output"]
names = {"softmax": "softmax attention", "ssd": "Mamba-2", "rwkv7": "RWKV-7"}
head = ["training", "measured", "a step", "measured"]
print(f"{'twice the tokens':20}" + "".join(f"{word:>10}" for word in head) + f"{'kept':>8}")
for mixer, name in names.items():
    training = costs[mixer, "parallel" if mixer == "softmax" else "chunkwise"]
    step, work = steps[mixer, "batch-1"], 2 if mixer == "softmax" else 1
    print(f"{name:20}{2 ** training.counted_slope():10.2f}{2 ** training.slope():10.2f}", end="")
    print(f"{work:10}{2 ** step.slope():10.2f}{2 ** step.counted_slope():8.2f}")

# %% [markdown]
# ## Recap
#
# - On logarithmic axes a power law is a line whose slope is the exponent: 2 for parallel forms, 1 for the others.
# - With chunks of 64 the chunkwise form takes more FLOPs than the recurrent form, and less time: matrix products.
# - Short sequences take the time of the calls, and large new matrices that of new memory: no formula counts either.
# - From some length on a linear form beats attention, also in reading a prompt. It depends on machine and code.
# - In decoding, a state costs the same at every context, and a KV cache grows with it. Each sequence of a batch has
#   its own.
#
# **Where next:** the [exercise](../exercises/05a_cost.ipynb) (4 points), then [part 05b](05b_long_range.ipynb) asks
# how many facts a state of fixed size can remember.

# %% tags=["nbval-ignore-output"]
progress("05a_cost")
