"""What makes the chunkwise forms fast on a CPU. To learn the algorithms, read the `listing` in each file of `ops/`.

A listing applies one step after another to all chunks of the sequence. The arithmetic is right, and it is all matrix
products, but most of the time goes elsewhere: every intermediate is as long as the sequence, so it leaves the cache and
comes back, and autograd keeps it for the backward pass. Here four ideas arrange the same steps differently.

**Blocks** (`blocks.py`). A few chunks go through all steps, then the next few. A block is so small that its
intermediates, about a mebibyte each, stay in the cache. The forward pass keeps only the state before each block
(`scalar.py`: each chunk). The backward pass goes through the blocks from last to first and recomputes everything else.

**Reused memory** (`memory.py`). Fresh memory comes from the system page by page, which takes longer than the arithmetic
that fills it. So each pass allocates the intermediates of a block once, with all the views that the matrix products
need, and every block of that shape overwrites them. Results reuse freed buffers.

**Decays divided out** (`scalar.py`, `delta.py`, `gla.py`). The decay from token j to token i is e^{c_i - c_j}, where c
is the sum of the log decays so far. So e^{c_i} can go into the queries (or y) and e^{-c_j} into the keys (or values),
and what is left between them is a plain matrix product under a triangular mask. That is accurate as long as e^{-c} is
far from overflow. Each block checks its smallest c first. Where decays are too strong, one decay per head is split into
whole and fractional powers of two (`scalar.py`), and KDA takes sub-chunks of 8 tokens (`kda.py`); beyond that, and in
the other classes, the listing computes the block.

**Gradients by hand**. The backward pass of a block is written out where autograd would make more passes over memory, or
would lose digits (in `scalar.py` the gradient of a log decay is a sum, never a difference of larger sums).

`ops._chunks.by_chunks` picks between a listing and the class here that does the same:

    scalar.Scalar                       one decay per head: ssd, retention, linear_attention, mamba3
    delta.Delta                         tokens that remove what they find: delta_rule.DeltaRule, kda.KDA,
                                        delta_product.DeltaProduct, rwkv7.RWKV7
    gla.GLA                             one decay per key
    selective_scan.SelectiveScan        one decay per channel and state

A new mixer needs a listing but no class: `blocks.Block` itself applies the listing block by block.
"""
