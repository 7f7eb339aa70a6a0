"""Whether what was measured is flat: the first quarter against the last one, of what was not killed meanwhile."""

from __future__ import annotations

import csv
import statistics
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

WARM = 600.0
"""Seconds at the beginning that are not looked at; a twelfth of the time if that is less."""
KIB = 4096
"""By so many KiB and a tenth may memory and disk be larger in the last quarter."""
COUNT = 4
"""By so many may descriptors, threads and processes be more."""
MANY = ("pools", "all")
"""Roles that are many processes: how many depends on what runs, so only at rest are they held to this."""
MEASURES = ("anonymous_kib", "descriptors", "threads", "processes", "disk_kib")


@dataclass
class Figure:
    """One measure of one role."""

    role: str
    measure: str
    begin: float
    end: float
    first: float
    last: float
    peak: float
    at_rest: tuple[float, float] | None
    """At the end of the first round of that time and of the last one."""

    @property
    def is_flat(self) -> bool:
        """Whether it has not grown beyond what is allowed."""
        pairs = [] if self.role in MANY else [(self.first, self.last)]
        pairs += [self.at_rest] if self.at_rest else []
        if self.measure.endswith("kib"):
            return all(last <= first * 1.1 + KIB for first, last in pairs)
        return all(last <= first + COUNT for first, last in pairs)

    def row(self) -> str:
        """The figure as a line of a table."""
        numbers = [self.first, self.last, *(self.at_rest or ()), self.peak]
        shown = [f"{number / 1024:.1f} MiB" if self.measure.endswith("kib") else f"{number:.0f}" for number in numbers]
        shown[2:2] = [] if self.at_rest else ["", ""]
        name = self.measure.replace("_kib", "").replace("anonymous", "private memory")
        return f"| {self.role} | {name} | {' | '.join(shown)} | {'flat' if self.is_flat else 'GROWS'} |"


def table(measured: list[Figure]) -> str:
    """The figures as a table."""
    head = "| | | first quarter | last quarter | first rest | last rest | peak | |\n|---|---|---|---|---|---|---|---|"
    return "\n".join([head, *(figure.row() for figure in measured)])


def longest_life(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows of the process of a role that lived longest; all of a role that is many processes."""
    lives: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        lives[row["pid"]].append(row)
    return max(lives.values(), key=len)


def figures(path: Path, seconds: float) -> list[Figure]:
    """What the samples say."""
    roles: dict[str, list[dict[str, str]]] = defaultdict(list)
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            roles[row["role"]].append(row)
    found = []
    for role, rows in roles.items():
        if role not in MANY:
            rows = longest_life(rows)
        begin = float(rows[0]["seconds"]) + min(WARM, seconds / 12)
        rows = [row for row in rows if row["seconds"] and begin <= float(row["seconds"]) <= seconds]
        if len(rows) < 8:
            continue
        quarter = len(rows) // 4
        for measure in MEASURES:
            values = [float(row[measure]) for row in rows if row[measure]]
            if not values or (measure == "processes" and role not in MANY):
                continue
            rests: dict[str, float] = {
                row["round"]: float(row[measure]) for row in rows if row["at_rest"] == "1" and row[measure]
            }
            resting = list(rests.values())
            found.append(
                Figure(
                    role,
                    measure,
                    float(rows[0]["seconds"]),
                    float(rows[-1]["seconds"]),
                    statistics.median(values[:quarter]),
                    statistics.median(values[-quarter:]),
                    max(values),
                    (resting[0], resting[-1]) if len(resting) >= 2 else None,
                )
            )
    return found
