"""What the course says to a learner, in a notebook or in a terminal of any kind."""

import sys


def say(text: str) -> None:
    """Print a text: what the terminal cannot show is replaced, and a `print` of the learner's own is not used."""
    if sys.stdout is not None:
        known = getattr(sys.stdout, "encoding", None) or "utf-8"
        sys.stdout.write(text.encode(known, "replace").decode(known) + "\n")
