"""Whether an answer that is right also works in the way that was asked for."""

from collections.abc import Callable

import numpy as np

from ...costs import Meter, Metered, metered
from ..exercise import Function, Inputs, WrongForm


class _Work(Meter):
    """Counts what is done with arrays, and allows all of it."""

    def __init__(self) -> None:
        super().__init__(2**62, "")
        self.operations = 0

    def charge(self, ufunc: np.ufunc | None, inputs: list[np.ndarray], result: np.ndarray) -> None:
        super().charge(ufunc, inputs, result)
        self.operations += 1


def refuse_token_loops(draw: Callable[[np.random.Generator], Inputs]) -> Function:
    """What raises WrongForm for an answer that does the same work whatever `chunk_size` is, with the same result.

    Work on arrays that come from the inputs is seen, as long as they are not turned into plain ones. Where the rest of
    the work may have been done on plain ones, an answer passes: where only plain ones are returned and less was seen
    than an operation a token, and where the two results differ in their last bits, as sums over other chunks do.
    """

    def refuse(answer: Function) -> None:
        rng = np.random.default_rng(0)
        inputs = max((draw(rng) for _ in range(20)), key=lambda case: case["V" if "V" in case else "x"].size)
        tokens = inputs["V" if "V" in inputs else "x"].shape[-2]
        works, results = [], []
        for chunk_size in (4, 24):
            work = _Work()
            given = {n: metered(a, work) if isinstance(a, np.ndarray) else a for n, a in inputs.items()}
            try:
                returned = answer(*{**given, "chunk_size": chunk_size}.values())
                outputs = list(returned) if isinstance(returned, (tuple, list)) else [returned]
                results.append([np.array(output) for output in outputs])
            except Exception:  # not what these arrays are for
                return
            works.append((work.operations, work.left))
        seen = works[0][0] >= tokens or (works[0][0] > 0 and any(isinstance(output, Metered) for output in outputs))
        if seen and works[0] == works[1] and all(map(np.array_equal, *results)):
            raise WrongForm(
                "the numbers are right, but the work is the same for every chunk_size: loop over chunks, not tokens"
            )

    return refuse
