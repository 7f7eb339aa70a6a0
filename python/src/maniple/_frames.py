"""Values as what a caller asks for: a list, an array, or a frame with columns of keys and of values.

The types and names of columns are those that ``maniple.Checkpoint`` has for the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from .errors import TableError

Frame = Literal["pandas", "polars", "arrow"]
FRAMES = get_args(Frame)


def check_output(output: str, known: Sequence[str]) -> None:
    """See to it that there is such an output, and the package that makes it, before anything is computed."""
    if output not in known:
        raise ValueError(f"output={output!r} is none of {', '.join(known)}")
    if output in FRAMES:
        from .checkpoint._tables import library

        library("pyarrow" if output == "arrow" else output)


def array(values: list[Any]) -> Any:
    """Numbers as a vector, rows of as many numbers as a matrix: float64 or int64; anything else as objects.

    Integers are among floats only where each of them stays what it is.
    """
    import numpy

    from .checkpoint._columns import as_array, joined, settled

    kinds = set(map(type, values))
    if kinds <= {int, float}:
        return joined([as_array(settled(values))]) if values else numpy.empty(0)
    rows = [_row(value) for value in values] if not kinds & {str, bytes} else [None]
    widths = {None if row is None else len(row) for row in rows}
    if len(widths) > 1 or None in widths:
        from .checkpoint._columns import objects

        return objects(values)
    (width,) = widths
    flat = joined([as_array(settled([item for row in rows for item in row or ()]))])
    return flat.reshape(len(rows), width or 0)


def _row(value: Any) -> list[Any] | None:
    """The elements of a row, if it is one."""
    from .checkpoint._parts import fields_of

    elements, _ = fields_of(value)
    return None if len(elements) == 1 and elements[0] is value else elements


def columns_of(
    keys: list[Any], values: list[Any], key_columns: Sequence[str], columns: Sequence[str]
) -> dict[str, list[Any]]:
    """Columns of keys and of values by their names: those that are given, that dicts or Series have, or the usual."""
    from .checkpoint._parts import fields_of
    from .checkpoint._pieces import usual_names

    told: dict[str, list[Any]] = {}
    for side, rows, given in (("tasks", keys, key_columns), ("values", values, columns)):
        first, own = fields_of(rows[0]) if rows else ([None] * len(given), [])
        names = list(given) or own or usual_names(first, rows[0] if rows else None, is_key=side == "tasks")
        if side == "values":
            names = [f"{name}_value" if name in told else name for name in names]
        if len(set(names)) < len(names):
            raise TableError(f"two columns have the same name among {', '.join(map(str, names))}")
        parts: list[list[Any]] = [[] for _ in names]
        for at, row in enumerate(rows):
            elements, labels = fields_of(row)
            if labels and own and labels != own:
                elements = [dict(zip(labels, elements)).get(name, parts) for name in own]
            if len(elements) != len(names) or any(element is parts for element in elements):
                raise TableError(
                    f"{side} make no table: the one of {keys[at]!r} has {len(elements)} columns, {len(names)} are "
                    f"wanted ({', '.join(map(str, names[:8]))}); ask for output='list'"
                )
            for part, element in zip(parts, elements):
                part.append(element)
        told.update(zip(names, parts))
    return told


def frame(columns: dict[str, list[Any]], output: Frame) -> Any:
    """A table of pandas, polars or pyarrow; an error names the column that it has no type for."""
    from .checkpoint import CheckpointError, _tables
    from .checkpoint._columns import as_array, joined, settled

    make = {"pandas": _tables.to_pandas, "polars": _tables.to_polars, "arrow": _tables.to_arrow}[output]
    arrays = {name: joined([as_array(settled(column))]) for name, column in columns.items()}
    try:
        return make(arrays)
    except CheckpointError as error:
        why = str(error).split("; column() and")[0]
        raise TableError(f"{why}; ask for output='pandas' or 'list', which keep what was returned") from error
