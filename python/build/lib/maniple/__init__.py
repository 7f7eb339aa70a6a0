"""Maniple: millions of small tasks on the cores of many machines, every result kept.

The package knows nothing yet but its version; ``maniple.child`` is what a node runs to call functions.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
