#!/usr/bin/env python3
"""Peak memory of `maniple checkpoint export`, of a large checkpoint against one of a tenth.

README.md beside this file says what is measured and how. Needs what `make lint` installs. The exit code is 0 if every
bar is met. The checkpoints take 2 KiB a row, the largest export 5 KiB; they are removed at the end.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from columns import frames  # makes the next one importable
from encoder import Encoder, columns
from memory import peak_of

ROOT = Path(__file__).parent.parent
FORMATS = ("parquet", "arrow", "csv", "jsonl")
BAR = 1.25
"""Peak resident size with ten times the rows, as a share."""


def make(path: Path, rows: int, width: int) -> None:
    """A checkpoint, as a job writes it."""
    names = [f"c{place}" for place in range(width)]
    with Encoder(path, columns=names, key_columns=["date", "code"]) as file:
        for dates, codes, held in frames(rows, width):
            file.values(columns("list", [dates, codes]), columns("list", held), len(codes))
            file.synced()
        file.close()


def export(maniple: Path, form: str, source: Path, out: Path) -> tuple[int, float, int]:
    """Bytes of the peak, seconds, bytes of what was written."""
    command = [str(maniple), "checkpoint", "export", "--format", form, str(source), str(out)]
    start = time.perf_counter()
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, text=True) as started:
        peak = peak_of(started, lambda program: [program])
    took = time.perf_counter() - start
    if started.returncode:
        sys.exit(f"{' '.join(command)} ended with exit code {started.returncode}")
    size = out.stat().st_size
    out.unlink()
    return peak, took, size


def main() -> int:
    """Make the files, measure, print."""
    parser = argparse.ArgumentParser(description="peak memory of the export of a large checkpoint")
    parser.add_argument("--rows", type=int, default=600_000)
    parser.add_argument("--width", type=int, default=262, help="columns of float64")
    parser.add_argument("--folder", help="where the files are made for a while; on a disk")
    parser.add_argument("--maniple", type=Path, default=ROOT / "target/release/maniple")
    asked = parser.parse_args()
    passed = True
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        large, small = Path(folder) / "large", Path(folder) / "small"
        make(large, asked.rows, asked.width)
        make(small, asked.rows // 10, asked.width)
        sizes = [path.stat().st_size / 1e9 for path in (large, small)]
        print(f"{asked.rows:,} rows x {asked.width} columns of float64: {sizes[0]:.2f} GB and {sizes[1]:.2f} GB")
        for form in FORMATS:
            peak, took, written = export(asked.maniple, form, large, Path(folder) / "out")
            less, _, _ = export(asked.maniple, form, small, Path(folder) / "out")
            ratio = peak / less
            verdict = "PASS" if ratio <= BAR else "FAIL"
            print(
                f"{form:<8}{peak / 1e6:.0f} MB, of a tenth {less / 1e6:.0f} MB: {ratio:.2f}x  "
                f"bar {BAR:.2f}x  {verdict}   ({took:.1f} s, {written / 1e9:.2f} GB written)",
                flush=True,
            )
            passed &= ratio <= BAR
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
