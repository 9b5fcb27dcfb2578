"""What makes the chunkwise forms quick on a CPU. To learn the algorithms, read the `listing` in each file of `ops/`.

A listing takes one step after another for all chunks of the sequence at once. The arithmetic is right, and it is matrix
products, but most of the time goes elsewhere: every intermediate is as long as the sequence, so it leaves the cache and
comes back, and autograd keeps it for the backward pass. Here the same steps are taken differently, by four ideas.

**Blocks** (`blocks.py`). A few chunks go through all steps, then the next few. A block is so small that its
intermediates, of about a mebibyte each, stay in the cache. For the backward pass the forward pass keeps only the state
in front of each block (`scalar.py`: of each chunk). The backward pass goes through the blocks from the last to the
first and computes everything else again.

**Memory that is kept** (`memory.py`). Fresh memory comes from the system page by page, which takes longer than the
arithmetic that fills it. So each pass allocates the intermediates of a block once, with all the views that the matrix
products need, and every block of that shape writes over them. Results reuse the memory of former results.

**Decays divided out** (`scalar.py`, `delta.py`, `gla.py`). The decay from token j to token i is e^{c_i - c_j}, where c
is the sum of the log decays so far. So e^{c_i} can go into the queries (or y) and e^{-c_j} into the keys (or values),
and what is left between them is a plain matrix product under a triangular mask. That is exact as long as e^{-c} is far
from overflow. Each block looks at its smallest c first. Where decays are too strong, one decay per head is split into
whole and fractional powers of two, which are exact (`scalar.py`); for the others the listing computes the block.

**Gradients by hand**. The backward pass of a block is written out where autograd would make more passes over memory, or
would lose digits: the gradient by a small log decay is a sum of small terms, never a difference of large sums.

`ops._chunks.by_chunks` picks between a listing and the class here that does the same:

    scalar.Scalar                       one decay per head: ssd, retention, linear_attention, mamba3
    delta.Delta                         tokens that remove what they find: delta_rule.DeltaRule, rwkv7.RWKV7
    gla.GLA                             one decay per key
    selective_scan.SelectiveScan        one decay per channel and state

A new mixer needs a listing, and may do without a class; with `blocks.Block` itself it takes the listing block by block.
"""
