"""Explorers: controls, a picture that follows them, and what it shows in words."""

from .chooser import ArchitectureChooser
from .chunks import ChunkExplorer
from .memory import MemoryExplorer
from .quiz import Quiz
from .scan import ScanExplorer
from .semiseparable import SemiseparableExplorer
from .two_views import TwoViews

__all__ = [
    "ArchitectureChooser",
    "ChunkExplorer",
    "MemoryExplorer",
    "Quiz",
    "ScanExplorer",
    "SemiseparableExplorer",
    "TwoViews",
]
