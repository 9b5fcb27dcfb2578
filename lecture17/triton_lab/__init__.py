"""A laboratory for Triton kernels: run them, watch them and compile them, without a GPU.

    from lecture17.triton_lab.interpreter import tl, triton      Triton, as an interpreter
    triton_lab.interpret(kernel, grid, *args)                    run a kernel while every address is watched
    row, text = triton_lab.compiled(kernel, *args, sm=90)        what a GPU would be given for it

Introduced in 04b_triton.
"""

from .processes import Refused, compiled, interpret, report

__all__ = ["Refused", "compiled", "interpret", "report"]
