"""Pictures: functions that take data and return a `Picture`, which a notebook shows and a screen reader reads."""

from .matrices import matrix_state_output

__all__ = ["matrix_state_output"]
