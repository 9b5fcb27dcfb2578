"""Explorers: controls, a picture that follows them, and what it shows in words."""

from .semiseparable import SemiseparableExplorer

__all__ = ["SemiseparableExplorer"]
