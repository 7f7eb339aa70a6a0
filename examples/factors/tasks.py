"""Writes the tasks of the example as CSV: the arguments of `alphas.factors`, a row per call.

`python tasks.py` writes one for each bar of the sample, in the order of the file. `python tasks.py --grid` writes every
day with every stock, day by day: those of the first list in another order, and the days on which a stock has no bar
(not listed yet, or not traded), so that each factor fills a whole matrix of days and stocks.
"""

from __future__ import annotations

import csv
import sys

from alphas import PRICES


def main() -> None:
    """Writes the list that the command line asks for to standard output."""
    with PRICES.open(newline="") as file:
        tasks = [(row["date"], row["Name"]) for row in csv.DictReader(file)]
    if "--grid" in sys.argv[1:]:
        codes = sorted({code for _, code in tasks})
        tasks = [(date, code) for date in sorted({date for date, _ in tasks}) for code in codes]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("date", "code"))
    writer.writerows(tasks)


if __name__ == "__main__":
    main()
