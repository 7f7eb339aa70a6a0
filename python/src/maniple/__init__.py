"""Maniple: millions of small tasks on the cores of many machines, every result kept.

``Checkpoint`` reads results (`docs/python.md`); it is imported when it is first asked for, since processes that only
run tasks have no use for it. ``maniple.child`` is what a node runs to call functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpoint import Checkpoint as Checkpoint
    from .checkpoint import CheckpointError as CheckpointError
    from .checkpoint import Pickled as Pickled

__version__ = "0.1.0"

__all__ = ["Checkpoint", "CheckpointError", "Pickled", "__version__"]


def __getattr__(name: str) -> Any:
    if name not in ("Checkpoint", "CheckpointError", "Pickled"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import checkpoint

    return getattr(checkpoint, name)
