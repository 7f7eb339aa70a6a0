"""CRC-32, and that of any long run of bytes without reading a byte again for each run that it is part of.

A file of false frame heads within each other would have a reader look at 16 MiB for every 40 bytes. So sums of all
that follows on a base are remembered, one every `STRIDE` bytes; that of a run is what two of them differ by.

Invariant: as runs begin further and further on, each byte is summed once, and two strides for each run.
"""

from __future__ import annotations

import os
from functools import cache

try:
    from isal.isal_zlib import crc32  # ten times as fast, so that a column costs less than one of Parquet, unverified
except ImportError:
    from zlib import crc32

__all__ = ["STRIDE", "Sums", "crc32"]

STRIDE = 4 << 10
REACH = 16 << 20
"""Runs begin no further from the base, which bounds what is remembered."""
MODULUS = 0xEDB88320
"""The polynomial of the CRC, as all here with its highest power in the lowest bit."""
ONE = 1 << 31
BYTE = ONE >> 8
"""What a byte more behind them multiplies those before by."""


class Sums:
    """Sums of an open file."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._base, self._known = 0, [0]

    def of(self, start: int, end: int, before: int) -> int:
        """The CRC of what has the CRC `before`, and of the bytes there behind it."""
        if not self._base <= start < self._base + min(REACH, len(self._known) * STRIDE):
            self._base, self._known = start, [0]
        strides, rest = divmod(end - start, STRIDE)
        differ = _product(self._up_to(start) ^ before, _power(BYTE, rest))
        return _product(differ, _power(_power(BYTE, STRIDE), strides)) ^ self._up_to(end)

    def _up_to(self, end: int) -> int:
        """The CRC from the base up to there."""
        place, rest = divmod(end - self._base, STRIDE)
        while len(self._known) <= place:
            self._known.append(self._longer(len(self._known) - 1, STRIDE))
        return self._longer(place, rest)

    def _longer(self, place: int, length: int) -> int:
        """A remembered CRC with so many bytes more."""
        return crc32(os.pread(self._file, length, self._base + place * STRIDE), self._known[place])


def _product(one: int, other: int) -> int:
    product = 0
    while one:
        if one & ONE:
            product ^= other
        one = one << 1 & (ONE << 1) - 1
        other = other >> 1 ^ (MODULUS if other & 1 else 0)
    return product


@cache
def _power(base: int, count: int) -> int:
    if count == 0:
        return ONE
    half = _power(base, count // 2)
    square = _product(half, half)
    return _product(square, base) if count % 2 else square
