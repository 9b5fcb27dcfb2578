"""x"""

from torch import Tensor


def takes(x: Tensor) -> bool:
    """Whether `ops.cpu` computes the chunkwise form of x: on a CPU; on every other device the readable form does."""
    return x.device.type == "cpu"
