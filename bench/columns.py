#!/usr/bin/env python3
"""One column of a large checkpoint, against pyarrow and an uncompressed Parquet file with the same data.

README.md beside this file says what is measured and how. Needs what `make lint` installs. The exit code is 0 if every
bar is met. Each of the two files takes 2 KiB a row; they are removed at the end.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import pyarrow
import pyarrow.parquet as parquet

PYTHON = Path(__file__).parent.parent / "python"
sys.path[:0] = [str(PYTHON / "src"), str(PYTHON / "tests")]

from encoder import Encoder, columns  # noqa: E402
from maniple import Checkpoint  # noqa: E402

STOCKS = 5_400
FRAME = 16 << 20
"""Bytes of keys and values in a large frame, as a job writes them."""
GROUP = 64
"""Frames of which Parquet gets one row group: a million rows in the case that is reported, pyarrow's own default."""
BAR = 1.0
"""Wall time, as a share of pyarrow's."""

Times = dict[tuple[str, bool], list[float]]
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


def timed(read: Callable[[str], Any], name: str) -> float:
    """Seconds that it takes; a reader in another process tells them itself."""
    start = time.perf_counter()
    told = read(name)
    return told if isinstance(told, float) else time.perf_counter() - start


def measure(readers: Mapping[str, Callable[[str], Any]], files: Sequence[Path], width: int, rounds: int) -> Times:
    """Seconds of each reader, cold and warm; every round reads another column, and everybody the same one."""
    times: Times = {}
    for turn in range(rounds):
        name = f"c{turn * 37 % width}"
        for is_cold in (True, False):
            for reader, read in readers.items():
                for path in files if is_cold else ():
                    forget(path)
                if not is_cold:
                    read(name)
                times.setdefault((reader, is_cold), []).append(timed(read, name))
    return times


@contextmanager
def rust_pyfunc(python: str, path: Path, rows: int, width: int) -> Iterator[dict[str, Callable[[str], Any]]]:
    """Readers of rust_pyfunc, in a process of its own, on a file of its own."""
    command = [python, str(Path(__file__).with_name("rust_pyfunc_column.py")), str(path), str(rows), str(width)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        asked, answers = process.stdin, process.stdout

        def reader(function: str) -> Callable[[str], float]:
            def read(name: str) -> float:
                print(function, name[1:], file=asked, flush=True)
                return float(answers.readline())

            return read

        if answers.readline() != "ready\n":
            sys.exit(f"{python} could not make a file of rust_pyfunc")
        yield {function: reader(f"query_backup_{function}") for function in ("factor_only_ultra_fast", "single_column")}
        asked.close()


def show(times: Times, bar: float | None) -> bool:
    """Print the table; whether the bar against the first of the others is met."""
    passed = True
    for is_cold in (True, False):
        middle = {reader: statistics.median(held) * 1e3 for (reader, cold), held in times.items() if cold == is_cold}
        mine = middle.pop("maniple")
        ratio = mine / next(iter(middle.values()))
        others = ", ".join(f"{reader} {took:.1f}" for reader, took in middle.items())
        verdict = "" if bar is None else f"  bar {bar:.2f}x  {'PASS' if ratio <= bar else 'FAIL'}"
        print(f"{'cold' if is_cold else 'warm':<6}maniple {mine:.1f} ms, {others}: {ratio:.3f}x{verdict}", flush=True)
        passed &= bar is None or ratio <= bar
    return passed


def main() -> int:
    """Make the files, measure, print."""
    parser = argparse.ArgumentParser(description="one column of a large checkpoint, against others")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--width", type=int, default=262, help="columns of float64")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--folder", help="where the files are made for a while; on a disk")
    parser.add_argument("--rust-pyfunc", metavar="PYTHON", help="an interpreter that has rust_pyfunc: compare with it")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        ours, theirs = make(Path(folder), asked.rows, asked.width)
        print(f"{asked.rows:,} rows x {asked.width} columns of float64, {ours.stat().st_size / 1e9:.2f} GB")
        readers: dict[str, Callable[[str], Any]] = {
            "maniple": lambda name: Checkpoint(ours).column(name),
            "pyarrow read_table": lambda name: parquet.read_table(theirs, columns=[name]).column(0).to_numpy(),
            "ParquetFile": lambda name: parquet.ParquetFile(theirs).read(columns=[name]).column(0).to_numpy(),
        }
        for name in ("c0", f"c{asked.width - 1}"):
            assert numpy.array_equal(readers["maniple"](name), readers["ParquetFile"](name))
        passed = show(measure(readers, [ours, theirs], asked.width, asked.rounds), BAR)
        theirs.unlink()
        if asked.rust_pyfunc:
            backup = Path(folder) / "bench.backup"
            with rust_pyfunc(asked.rust_pyfunc, backup, asked.rows, asked.width) as others:
                print(f"against rust_pyfunc and float32 in its format 4, {backup.stat().st_size / 1e9:.2f} GB")
                both = {"maniple": readers["maniple"], **others}
                show(measure(both, [ours, backup], asked.width, max(1, asked.rounds // 3)), None)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
