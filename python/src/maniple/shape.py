"""What the values of a job have to look like: a row of the width, or of the names, that its checkpoint has already.

A node executes the text of this file between those of ``codec.py`` and ``objects.py``. It does not know where a shape
comes from, nor of tasks; a value that does not fit is never cut or padded, only refused, in one line.
"""

import sys
from itertools import chain
from typing import Any

if "name_of" not in globals():
    from maniple.codec import name_of

NAMES_SHOWN = 5


def is_a(value: Any, module: str, name: str) -> bool:
    """Whether a value is of this type of a library, which is not imported for the question."""
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and isinstance(value, kind)


def quoted(names: list[Any]) -> str:
    """The first few of some names, as a part of a sentence."""
    shown = [f"`{name}`" for name in names[:NAMES_SHOWN]]
    if len(names) > NAMES_SHOWN:
        shown.append(f"{len(names) - NAMES_SHOWN:,} more")
    return " and ".join(([", ".join(shown[:-1])] if shown[1:] else []) + shown[-1:])


class Shape:
    """One of a job's shapes, as the node tells it: ``shared/src/shape.rs``."""

    def __init__(self, told: Any) -> None:
        self.kind, what = next(iter(told.items())) if type(told) is dict else (told, None)
        self.names: list[str] = what if type(what) is list else []
        self.width = what if type(what) is int else len(self.names) or 1
        self.name_set = set(self.names)
        self.is_free = self.kind not in ("Single", "Width", "Names", "Columns")
        self.counts = self.kind in ("Width", "Columns")  # values by their places will do
        self.is_single = self.width == 1 and self.kind in ("Single", "Columns")

    def all_fit(self, values: list[Any]) -> bool:
        """Whether values of plain types fit, of one kind in all; calls nothing that a task may have made."""
        kinds = set(map(type, values))
        if self.is_free or not kinds:
            return True
        if kinds <= {list, tuple}:
            return self.counts and set(map(len, values)) == {self.width}
        if kinds == {getattr(sys.modules.get("numpy"), "ndarray", None)}:
            return self.counts and {value.shape for value in values} == {(self.width,)}
        if kinds == {dict} and set(map(type, chain.from_iterable(values))) == {str}:
            return all(value.keys() == self.name_set for value in values)
        return self.is_single and kinds <= {int, float, str, bool}

    def misfit(self, value: Any) -> str:
        """Why a value does not fit; nothing if it does."""
        if self.is_free:
            return ""
        is_series = is_a(value, "pandas", "Series")
        if is_series or isinstance(value, dict):
            return self.misnamed(value.index.tolist() if is_series else list(value), name_of(type(value)))
        is_array = is_a(value, "numpy", "ndarray")
        if isinstance(value, (list, tuple)) or (is_array and value.ndim == 1):
            if self.counts and len(value) == self.width:
                return ""
            unnamed = "" if self.counts or not self.names else " without names"
            return self.refusal(f"{len(value):,} value{'s' * (len(value) != 1)}{unnamed}")
        if is_array and value.ndim > 1:
            return self.refusal(f"an array of shape {'x'.join(map(str, value.shape))}")
        if self.is_single:
            return ""
        return self.refusal("None" if value is None else f"a value of type {name_of(type(value))}")

    def misnamed(self, names: list[Any], kind: str) -> str:
        if not self.names:
            return self.refusal(f"a value of type {kind}")
        found = set(names)
        missing = [name for name in self.names if name not in found]
        unknown = [name for name in names if name not in self.name_set]
        parts = [f"no {quoted(missing)}"] if missing else []
        if unknown:
            parts.append(f"an unknown {quoted(unknown)}")
        if not parts and len(names) > len(found):
            parts.append(f"`{next(name for name in names if names.count(name) > 1)}` more than once")
        return self.refusal(" and ".join(parts)) if parts else ""

    def refusal(self, what: str) -> str:
        names = (
            f" ({', '.join(self.names[:NAMES_SHOWN])}{', ..' * (self.width > NAMES_SHOWN)})" if self.names else " each"
        )
        hint = "" if self.kind == "Columns" else "; --any-shape keeps it all the same"
        return f"returned {what}, but the rows of this checkpoint have {self.width:,}{names}{hint}"
