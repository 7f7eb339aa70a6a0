"""The other side of `columns.py --rust-pyfunc`: runs in an interpreter that has rust_pyfunc and numpy.

`rust_pyfunc_column.py FILE ROWS WIDTH` makes FILE, a backup in rust_pyfunc's format 4 (by its own converter), from the
same random numbers; then, for each line `READER COLUMN` on standard input, it reads that column and answers how many
seconds it took. Facts about format 3: 64 bytes of header, then records of date, code, time, float32 values, checksum.
"""

from __future__ import annotations

import importlib
import struct
import sys
import time
from pathlib import Path
from typing import Any

import numpy

STOCKS = 5_400
STEP = 8_000


def make(path: Path, rows: int, width: int, library: Any) -> None:
    """The backup; its checksums, which no reader of it looks at, are left out."""
    record = numpy.dtype([("date", "<i8"), ("code", "S16"), ("time", "<i8"), ("values", "<f4", width), ("sum", "<u4")])
    older = path.with_suffix(".v3")
    with open(older, "wb") as file:
        file.write(struct.pack("<8sIQIII", b"RPBACKUP", 3, rows, record.itemsize, width, 16).ljust(64, b"\0"))
        random = numpy.random.default_rng(1)
        for first in range(0, rows, STEP):
            places = numpy.arange(first, min(rows, first + STEP))
            records = numpy.zeros(len(places), record)
            records["date"] = 20200000 + places // STOCKS
            records["code"] = numpy.char.zfill((places % STOCKS + 1).astype("S6"), 6)
            records["values"] = random.standard_normal((len(places), width))
            records.tofile(file)
    library.convert_backup_v3_to_v4(str(older), str(path))
    older.unlink()


def main() -> None:
    """Make the file, then answer."""
    library = importlib.import_module("rust_pyfunc")
    path, rows, width = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    answers = sys.stdout
    sys.stdout = sys.stderr
    make(path, rows, width, library)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        reader, column = line.split()
        start = time.perf_counter()
        read = getattr(library, reader)(str(path), int(column))
        took = time.perf_counter() - start
        assert len(read["factor"] if isinstance(read, dict) else read) == rows
        print(took, file=answers, flush=True)


if __name__ == "__main__":
    main()
