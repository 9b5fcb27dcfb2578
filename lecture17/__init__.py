"""lecture17: state-space duality and its relatives, proved, coded, drawn, measured and graded.

Importing the package loads nothing heavy. Ask for the room you want:

    from lecture17.reference import ssd        # NumPy: what the mathematics says
    from lecture17.ops import ssd              # PyTorch: the same functions, batched and fast
    from lecture17 import figures              # pictures
    from lecture17.course import check, hint   # the exercises
"""

__version__ = "0.1.0"
