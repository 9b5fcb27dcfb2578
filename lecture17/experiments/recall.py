"""Associative recall: facts of the form key → value, asked for later. Introduced in 05b_long_range."""

from dataclasses import dataclass

import numpy as np

from .tasks import IGNORE, Batch, Seed

_EXPONENT = -0.99  # of the gaps between the facts and the questions


@dataclass(frozen=True)
class Recall:
    """Multi-query associative recall (MQAR): `pairs` facts k v k v …, then each key once more, whose value is asked.

    A sequence has `time` tokens: the facts, then questions among blanks. Keys and values come from disjoint halves of
    the vocabulary, each without replacement. Question i stands at a gap g after the facts with probability
    proportional to g^-0.99, so that most are asked soon and some late. Only questions have labels. `draw` takes the
    number of pairs as its length, so that trainings can begin with few and tests can vary it.
    Source: Arora et al., arXiv 2312.04927, Section 3 and Appendix E.
    """

    n_keys: int = 64
    time: int = 64

    @property
    def n_tokens(self) -> int:
        return 2 * self.n_keys + 1  # keys, values, and the blank

    @property
    def n_classes(self) -> int:
        return self.n_tokens

    def draw(self, batch: int, length: int, seed: Seed) -> Batch:
        gaps = self.time - 2 * length
        if not 1 <= length <= min(gaps, self.n_keys):
            most = min(self.time // 3, self.n_keys)
            raise ValueError(f"length is {length} pairs: expected 1 to {most} for {self.n_keys} keys, time {self.time}")
        rng = np.random.default_rng(seed)

        def without_replacement(weights: np.ndarray) -> np.ndarray:
            """`length` places in each row, drawn one after the other by weight (as the largest of Gumbel variables)."""
            keys = np.log(weights) + rng.gumbel(size=(batch, len(weights)))
            return keys.argsort(1)[:, ::-1][:, :length]

        keys = without_replacement(np.ones(self.n_keys))
        values = self.n_keys + without_replacement(np.ones(self.n_keys))
        at = 2 * length + without_replacement(np.arange(1, gaps + 1) ** _EXPONENT)
        tokens = np.full((batch, self.time), 2 * self.n_keys)
        tokens[:, 0 : 2 * length : 2], tokens[:, 1 : 2 * length : 2] = keys, values
        labels = np.full_like(tokens, IGNORE)
        np.put_along_axis(tokens, at, keys, 1)
        np.put_along_axis(labels, at, values, 1)
        return Batch(tokens, labels)
