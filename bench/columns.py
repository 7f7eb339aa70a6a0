#!/usr/bin/env python3
"""One column of a large checkpoint, against pyarrow and an uncompressed Parquet file with the same data.

README.md beside this file says what is measured and how. Needs what `make lint` installs. The exit code is 0 if every
bar is met. The files take 2 KiB a row each, and are removed at the end.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pyarrow
import pyarrow.parquet as parquet
from encoder import Encoder, columns

from maniple import Checkpoint

STOCKS = 5_400
FRAME = 16 << 20
"""Bytes of keys and values in a large frame, as a job writes them."""
GROUP = 64
"""Frames of which Parquet gets one row group: a million rows in the case that is reported, pyarrow's own default."""
BAR = 1.0
"""Wall time, as a share of pyarrow's."""

Frame = tuple[Any, list[str], list[Any]]


def frames(rows: int, width: int) -> Iterator[Frame]:
    """Dates, codes and columns of the values, a frame at a time; always the same."""
    random = numpy.random.default_rng(1)
    codes = [f"{code:06d}" for code in range(1, STOCKS + 1)]
    step = FRAME // (8 * (width + 2))
    for first in range(0, rows, step):
        places = numpy.arange(first, min(rows, first + step))
        held = list(random.standard_normal((width, len(places))))
        yield 20200000 + places // STOCKS, [codes[place] for place in places % STOCKS], held


def make(folder: Path, rows: int, width: int) -> tuple[Path, Path]:
    """Both files, on the disk."""
    ours, theirs = folder / "bench.checkpoint", folder / "bench.parquet"
    names = [f"c{place}" for place in range(width)]
    types = [pyarrow.int64(), pyarrow.string(), *[pyarrow.float64()] * width]
    schema = pyarrow.schema(list(zip(["date", "code", *names], types)))
    with Encoder(ours, columns=names, key_columns=["date", "code"]) as file:
        writer = parquet.ParquetWriter(theirs, schema, compression="none", use_dictionary=False)
        group: list[Any] = []
        for dates, codes, held in frames(rows, width):
            file.values(columns("list", [dates, codes]), columns("list", held), len(codes))
            file.synced()
            group.append(pyarrow.table([dates, codes, *held], schema=schema))
            if len(group) == GROUP:
                writer.write_table(pyarrow.concat_tables(group))
                group.clear()
        if group:
            writer.write_table(pyarrow.concat_tables(group))
        writer.close()
        file.close()
    return ours, theirs


def forget(path: Path) -> None:
    """Take a file out of the page cache."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


def timed(read: Callable[[], Any]) -> tuple[float, bool]:
    """Seconds that it takes, and whether the disk was read."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_inblock, time.perf_counter()
    read()
    took = time.perf_counter() - start
    return took, resource.getrusage(resource.RUSAGE_SELF).ru_inblock > before


def measure(ours: Path, theirs: Path, width: int, rounds: int) -> dict[tuple[str, bool], list[float]]:
    """Seconds of each reader, cold and warm; every round reads another column, and everybody the same one."""
    times: dict[tuple[str, bool], list[float]] = {}
    for turn in range(rounds):
        name = f"c{turn * 37 % width}"
        readers: dict[str, Callable[[], Any]] = {
            "maniple": lambda name=name: Checkpoint(ours).column(name),
            "read_table": lambda name=name: parquet.read_table(theirs, columns=[name]).column(0).to_numpy(),
            "ParquetFile": lambda name=name: parquet.ParquetFile(theirs).read(columns=[name]).column(0).to_numpy(),
        }
        assert all(numpy.array_equal(readers["maniple"](), read()) for read in readers.values())
        for is_cold in (True, False):
            for reader, read in readers.items():
                if is_cold:
                    forget(ours)
                    forget(theirs)
                else:
                    read()
                took, is_read = timed(read)
                if is_cold and not is_read:
                    sys.exit("nothing was read from a disk: choose a --folder on one")
                times.setdefault((reader, is_cold), []).append(took)
    return times


def main() -> int:
    """Make the files, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--width", type=int, default=262, help="columns of float64")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--folder", help="where the files are made for a while")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        ours, theirs = make(Path(folder), asked.rows, asked.width)
        print(f"{asked.rows:,} rows x {asked.width} columns, {ours.stat().st_size / 1e9:.2f} GB; one column, ms")
        times = measure(ours, theirs, asked.width, asked.rounds)
    middle = {what: statistics.median(held) * 1e3 for what, held in times.items()}
    passed = True
    for is_cold in (True, False):
        mine, table, file = (middle[reader, is_cold] for reader in ("maniple", "read_table", "ParquetFile"))
        ratio = mine / min(table, file)
        passed &= ratio <= BAR
        figures = f"maniple {mine:.1f}  pyarrow read_table {table:.1f}, ParquetFile {file:.1f}"
        print(
            f"{'cold' if is_cold else 'warm':<6}{figures:<58}{ratio:.2f}x  bar {BAR:.2f}x  {'PASS' if ratio <= BAR else 'FAIL'}"
        )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
