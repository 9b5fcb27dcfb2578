"""Triton as an interpreter, for a notebook on any machine. Introduced in 04b_triton.

    from lecture17.triton_lab.interpreter import tl, triton

must come before Triton is loaded in any other way, because loading it settles whether `@triton.jit` interprets or
compiles. Raises ImportError, with the fix, if Triton is not installed.
"""

import importlib
import os
import sys

from .processes import MISSING

if "triton" not in sys.modules:
    os.environ["TRITON_INTERPRET"] = "1"
try:
    triton = importlib.import_module("triton")
    tl = importlib.import_module("triton.language")
except ImportError:
    raise ImportError(MISSING) from None
if not triton.knobs.runtime.interpret:
    print("Triton is already loaded as a compiler: to run kernels here, restart the notebook and begin at this cell.")
