"""Explorers: controls, a picture that follows them, and what it shows in words."""

from .chunks import ChunkExplorer
from .memory import MemoryExplorer
from .scan import ScanExplorer
from .semiseparable import SemiseparableExplorer
from .two_views import TwoViews

__all__ = ["ChunkExplorer", "MemoryExplorer", "ScanExplorer", "SemiseparableExplorer", "TwoViews"]
