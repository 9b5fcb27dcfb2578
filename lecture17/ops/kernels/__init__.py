"""Triton kernels behind `backend="triton"`, forward and backward: those of ssd, gla and rwkv7.

Each module holds the kernels of one mixer and one operator, registered with torch.library, so that torch.compile sees
one operator and not what is inside. Triton exists for Linux only. Without a GPU the kernels run in Triton's interpreter
(set TRITON_INTERPRET=1 before Python starts), and compile for chips that are not present (`lecture17.triton_lab`).
"""

from types import ModuleType


def kernels_of(mixer: str) -> ModuleType:
    """The module of a mixer, which loads Triton: by a statement, because torch.compile can trace no other import."""
    if mixer == "ssd":
        from . import ssd

        return ssd
    if mixer == "gla":
        from . import gla

        return gla
    from . import rwkv7

    return rwkv7
