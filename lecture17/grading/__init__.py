"""Grading of a learner's notebooks. Neither the course nor the mathematics imports this package.

`grade` gives each exercise its verdict and its points, and `report` writes them down. `runner` runs the cells of a
scratch copy with nbval in a process of its own. In that process `sandbox` keeps a learner's code away from files,
network and other processes, and `nbval_plugin` reports each cell. In the kernel, `tampering` makes sure that the checks
run unchanged. `reference_use` finds answers that read the right one from the course.
"""

SOURCE = "lecture17.grading"  # marks what grading sends in a kernel's reply
TOKEN = "<token of this run of this cell>"  # in the text of a check's cell until it is run
STARTUP = 120  # seconds of processor time for Python, the kernel and the course's imports: none of it the learner's
PATIENCE = 5  # times its processor time that a cell may take by the clock, since a machine may be busy
