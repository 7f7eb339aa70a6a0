"""The samples as an SVG: a panel for each measure, over the minutes, with the faults below."""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path

WIDTH, HEIGHT, LEFT, TOP, GAP = 820, 110, 70, 30, 34
BUCKET = 10.0
"""Seconds that are drawn as one point, the largest of them."""
COLOURS = {
    "coordinator": "#c0392b",
    "worker 0 engine": "#1f6fb2",
    "worker 0 keeper": "#2e8b57",
    "worker 1 engine": "#b0b7bd",
    "worker 2 engine": "#7d868c",
    "pools": "#b8860b",
    "all": "#222222",
}
WORKERS = ("worker 1 engine", "worker 2 engine", "worker 0 keeper", "worker 0 engine")
PANELS = (
    ("coordinator: private memory, MiB", "anonymous_kib", 1024, ("coordinator",)),
    ("workers: private memory, MiB", "anonymous_kib", 1024, WORKERS),
    ("private memory of everything, MiB", "anonymous_kib", 1024, ("pools", "all")),
    ("descriptors", "descriptors", 1, ("worker 0 keeper", "worker 0 engine", "coordinator")),
    ("descriptors of everything", "descriptors", 1, ("all",)),
    ("processes", "processes", 1, ("pools", "all")),
    ("state directory, KiB", "disk_kib", 1, ("coordinator",)),
)
"""Title, column, unit, roles."""
Series = dict[str, list[tuple[float, float]]]


def series(rows: list[dict[str, str]], column: str, unit: int, roles: tuple[str, ...]) -> Series:
    """The points of each role."""
    points: dict[str, dict[float, float]] = defaultdict(dict)
    for row in rows:
        if row["role"] in roles and row[column] and row["processes"] != "0":
            at = float(row["seconds"]) // BUCKET * BUCKET
            value = float(row[column]) / unit
            points[row["role"]][at] = max(value, points[row["role"]].get(at, 0.0))
    return {role: sorted(points[role].items()) for role in roles}


def panel(title: str, lines: Series, top: float, longest: float) -> list[str]:
    """One panel."""
    most = max((value for points in lines.values() for _, value in points), default=1.0) * 1.08 or 1.0
    bottom = top + HEIGHT
    drawn = [
        f'<text x="{LEFT}" y="{top - 6}" font-weight="bold">{title}</text>',
        f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#ccc"/>',
    ]
    for share in (0.0, 0.5, 1.0):
        digits = 1 if most < 10 else 0
        drawn.append(
            f'<text x="{LEFT - 6}" y="{bottom - share * HEIGHT + 4}" text-anchor="end">{share * most:.{digits}f}</text>'
        )
    end = LEFT + WIDTH
    for role in reversed(lines):
        drawn.append(f'<text x="{end}" y="{top - 6}" text-anchor="end" fill="{COLOURS[role]}">{role}</text>')
        end -= 7 * len(role) + 12
    for role, points in lines.items():
        path = " ".join(
            f"{LEFT + at / longest * WIDTH:.1f},{bottom - value / most * HEIGHT:.1f}" for at, value in points
        )
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[role]}"/>')
    return drawn


def plot(folder: Path) -> str:
    """The samples and faults of a folder as an SVG."""
    with open(folder / "samples.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    with open(folder / "faults.csv", newline="") as file:
        faults = [(float(row["seconds"]), row["fault"]) for row in csv.DictReader(file)]
    longest = max(float(rows[-1]["seconds"]), 1.0)
    height = TOP + len(PANELS) * (HEIGHT + GAP)
    size = f"{LEFT + WIDTH + 20} {height + 34}"
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for at, fault in faults:
        x = LEFT + at / longest * WIDTH
        is_death = fault == "kill the coordinator"
        above, colour = (TOP, "#e8a49c") if is_death else (height - GAP + 4, "#555")
        drawn.append(f'<line x1="{x:.1f}" y1="{above}" x2="{x:.1f}" y2="{height - GAP + 12}" stroke="{colour}"/>')
    for number, (title, column, unit, roles) in enumerate(PANELS):
        drawn += panel(title, series(rows, column, unit, roles), TOP + number * (HEIGHT + GAP), longest)
    step = next(minutes for minutes in (1, 2, 5, 10, 30, 60, 240) if longest / 60 <= 13 * minutes or minutes == 240)
    for minute in range(0, int(longest / 60) + 1, step):
        x = LEFT + minute * 60 / longest * WIDTH
        drawn.append(f'<text x="{x:.1f}" y="{height - GAP + 26}" text-anchor="middle">{minute}</text>')
    legend = "minutes; ticks: faults; long lines: the coordinator was killed and started anew"
    drawn.append(f'<text x="{LEFT}" y="{height + 20}">{legend}</text>')
    return "\n".join([*drawn, "</svg>", ""])


if __name__ == "__main__":
    print(plot(Path(sys.argv[1])), end="")
