"""Shows what a checkpoint of the example holds: the newest rows as a table, and one factor as days x stocks.

Run as `python show.py factors.checkpoint`. The file may still be growing.
"""

from __future__ import annotations

import math
import sys

from alphas import NAMES
from maniple import Checkpoint

ROWS = 6
"""Rows that are shown of each table."""
STOCKS = ["AAPL", "AMZN", "GE", "MSFT", "PYPL", "XOM"]
"""Columns of the second table."""
Rows = dict[tuple[str, str], list[float]]


def newest(rows: Rows) -> list[list[str]]:
    """The first rows of the last day, all factors."""
    last = max(date for date, _ in rows)
    keys = sorted(key for key in rows if key[0] == last)[:ROWS]
    return [["date", "code", *NAMES], *([*key, *map(number, rows[key])] for key in keys)]


def matrix(rows: Rows, name: str) -> list[list[str]]:
    """The last days of one factor, a column per stock; blank where there is no outcome."""
    column = NAMES.index(name)
    days = sorted({date for date, _ in rows})[-ROWS:]
    cells = [[number(rows[day, code][column]) if (day, code) in rows else "" for code in STOCKS] for day in days]
    return [[name, *STOCKS], *([day, *line] for day, line in zip(days, cells))]


def number(value: float) -> str:
    """A factor in six significant digits."""
    return "NaN" if math.isnan(value) else f"{value:.6g}"


def show(table: list[list[str]]) -> None:
    """Prints a table, its columns aligned."""
    widths = [max(map(len, column)) for column in zip(*table)]
    for line in table:
        print("  " + "  ".join(cell.rjust(width) for cell, width in zip(line, widths)).rstrip())


def main() -> None:
    """Reads the checkpoint and prints both tables."""
    rows: Rows = dict(Checkpoint(sys.argv[1]).items())
    print(f"{len(rows):,} rows of {len(NAMES)} factors; the newest first:")
    show(newest(rows))
    print("mom20 of the last days:")
    show(matrix(rows, "mom20"))


if __name__ == "__main__":
    main()
