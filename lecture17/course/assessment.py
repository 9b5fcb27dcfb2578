"""The self-assessment: eight things to be able to do, ticked by the learner and kept on this machine."""

from .paths import read_kept, write_kept

# Kept by these names, so that an item may be reworded or moved.
ITEMS = {
    "prove": "I can prove the duality theorem in both directions, and say what it excludes.",
    "rank": "I can say which blocks of a mixer's matrix have low rank, and how low.",
    "chunks": "I can write the chunkwise algorithm from the blocks of the matrix, for any length.",
    "family": "I can write the recurrences of RetNet, Mamba-2, GLA, the delta rule and RWKV-7 from memory.",
    "floats": "I can find an underflowing decay in a piece of code, and fix it.",
    "express": "From a mixer's eigenvalues and the size of its state, I can say what it cannot track or copy.",
    "measure": "I can measure two mixers fairly: same steps or same time, several seeds, a baseline.",
    "choose": "I can choose an architecture for a task, and give my reasons in numbers.",
}


def ticked() -> list[int]:
    """The numbers of the items that the learner has ticked, on this machine, ever."""
    kept = read_kept("self-assessment.json", "can", list)
    return [i for i, name in enumerate(ITEMS) if name in kept]


def keep(numbers: list[int]) -> None:
    """Keep which items are ticked."""
    write_kept("self-assessment.json", "can", [name for i, name in enumerate(ITEMS) if i in numbers])


def words(numbers: list[int]) -> str:
    """How many of the items are ticked, in words."""
    return f"Self-assessment: {len(numbers)} of {len(ITEMS)}."
