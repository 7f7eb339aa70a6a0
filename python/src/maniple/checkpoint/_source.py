"""The bytes of one file of the format: its header, its frames, their blobs.

It knows where things lie and whether their checksums are right. It does not know what a row is, nor that a checkpoint
may have a journal. The file is read with `pread` alone: never changed, never mapped, so a writer may cut it meanwhile.

Invariants
- No byte is given out before its CRC was verified.
- Nothing is allocated on the word of a length before it was compared with what is left of the file.
"""

from __future__ import annotations

import os
import struct
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgpack
import numpy

from ..errors import ManipleError
from ._sums import STRIDE, Sums, crc32

MAGIC = b"\x89MNP\r\n\x1a\n"
MARKER = b"MNPF"
START = struct.Struct("<8sHHIII")
FIXED = struct.Struct("<4sIQQQII")
BLOB = struct.Struct("<QI")
ENTRY = numpy.dtype([("length", "<u8"), ("crc", "<u4")])
PADDING = numpy.uint64(2**64 - 8)
OFFSET = struct.Struct("<Q")
HEAD_LIMIT = 16 << 20
CLOSE_LIMIT = 1 << 16
SHORT = 4 * STRIDE
"""A head that takes no longer to read than to be told by `Sums`."""
STRETCH = 1 << 20
AHEAD = 64 << 20
"""Bytes that the disk is asked for before they are read: blobs of one column are scattered over the file."""


class CheckpointError(ManipleError, ValueError):
    """The file is not a checkpoint, is damaged or was made by a newer version, or does not have what was asked for."""


class Damage(NamedTuple):
    """A range of bytes of a file that is not as it was written."""

    path: str
    start: int
    end: int

    def __str__(self) -> str:
        """The range as it is named in errors."""
        return f"bytes {self.start}..{self.end} of {self.path}"


class Broken(CheckpointError):
    """A frame is not as it was written. `torn`: by its checksum, so a crash may have done it."""

    def __init__(self, damage: Damage, *, torn: bool = False) -> None:
        super().__init__(
            f"{damage} are damaged; Checkpoint(path, strict=False) reads what is not, and "
            f"'maniple checkpoint repair {damage.path} NEW' saves it"
        )
        self.damage, self.torn = damage, torn


def padded(length: int) -> int:
    """The length with its padding."""
    return (length + 7) & ~7


class Frame:
    """A frame whose head is sound; the body is not looked at."""

    __slots__ = ("_ends", "at", "body", "durable", "end", "head", "kind", "sequence", "source")

    def __init__(self, source: Source, at: int, fixed: tuple[Any, ...], head: dict[str, Any]) -> None:
        _, length, body_len, self.sequence, self.durable, _, _ = fixed
        self.source, self.at, self.head = source, at, head
        self.body: int = at + FIXED.size + padded(length)
        self.end: int = self.body + body_len
        self.kind: str = head.get("kind", "")
        self._ends: numpy.ndarray[Any, Any] | None = None

    @property
    def n(self) -> int:
        """How many rows it has."""
        n = self.head.get("n")
        return n if type(n) is int and 0 < n < 1 << 32 else 0

    @property
    def has_rows(self) -> bool:
        """Whether it has rows, or may have: it is of a kind that only a newer version knows."""
        may_be_passed = self.kind != "values" and self.kind != "failures" and self.head.get("optional") is True
        return self.kind not in ("index", "close") and not may_be_passed

    @property
    def blobs(self) -> int:
        """How many blobs it has."""
        table = self.head.get("blobs")
        if not isinstance(table, bytes) or len(table) % BLOB.size:
            raise self.broken()
        return len(table) // BLOB.size

    def blob_at(self, place: int) -> tuple[int, int, int]:
        """Where a blob lies in the file, its length without padding, and its checksum."""
        if self._ends is None:
            lengths = numpy.frombuffer(self.head["blobs"], ENTRY)["length"] if self.blobs else numpy.zeros(1, "<u8")
            self._ends = ((lengths + 7) & PADDING).cumsum()
            if self._ends[-1] != self.end - self.body:
                raise self.broken()
        length, crc = BLOB.unpack_from(self.head["blobs"], place * BLOB.size)
        return self._within(self.body + int(self._ends[place]) - padded(length), length, crc)

    def number_blob_at(self, first: int, place: int) -> tuple[int, int, int]:
        """The same for one of numbers, when all from `first` to it are of numbers, and so of one length."""
        table = self.head["blobs"]
        before = sum(padded(BLOB.unpack_from(table, other * BLOB.size)[0]) for other in range(first))
        length, crc = BLOB.unpack_from(table, place * BLOB.size)
        return self._within(self.body + before + (place - first) * length, length, crc)

    def _within(self, at: int, length: int, crc: int) -> tuple[int, int, int]:
        """The same, unless it leads out of the frame: sums of hostile lengths wrap around."""
        if not self.body <= at <= self.end - padded(length):
            raise self.broken()
        return at, length, crc

    def blob(self, place: int) -> bytes:
        """A blob whose checksum is right; raises Broken."""
        at, length, crc = self.blob_at(place)
        data = self.source.read(at, padded(length))
        if len(data) != padded(length) or crc32(data) != crc:
            raise Broken(Damage(self.source.path, at, at + padded(length)), torn=True)
        return data[:length] if len(data) > length else data

    def broken(self) -> Broken:
        """That its contents break the rules of the format, though its checksums are right."""
        return Broken(Damage(self.source.path, self.at, self.end))

    def newer(self) -> CheckpointError:
        """That it has something of a later minor version."""
        return CheckpointError(
            f"bytes {self.at}..{self.end} of {self.source.path} were written by a newer version of maniple"
        )


def _unpacked(data: bytes) -> Any:
    """A map of the file, which may have fields of a later version that hold anything; raises ValueError."""
    try:
        return msgpack.unpackb(data, strict_map_key=False)
    except TypeError as error:  # a map within it has a map as key
        raise ValueError from error


def _header(told: Any) -> dict[str, Any]:
    """The map of a header, if it is one; raises ValueError."""
    if type(told) is not dict:
        raise ValueError
    journal = told.get("of"), told.get("end")
    is_sound = (
        all(type(told.get(name)) is str for name in ("identity", "software"))
        and _is_number(told.get("created"))
        and _is_id(told.get("id"))
        and all(_are_texts(names) for names in (told.get("columns"), told.get("key_columns", [])))
        and (journal == (None, None) or (_is_id(journal[0]) and _is_number(journal[1])))
    )
    if not is_sound:
        raise ValueError
    return told


def _is_number(told: Any) -> bool:
    return type(told) is int and told >= 0


def _is_id(told: Any) -> bool:
    return type(told) is bytes and len(told) == 16


def _are_texts(told: Any) -> bool:
    return type(told) is list and all(type(text) is str for text in told)


class Source:
    """An open file whose header is sound."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDONLY)
        self._closer = weakref.finalize(self, os.close, self._file)
        self.size = os.fstat(self._file).st_size
        self._sums = Sums(self._file)
        start = self.read(0, START.size)
        if len(start) < START.size or start[:8] != MAGIC:
            raise CheckpointError(f"{path} is not a checkpoint, or was copied in text mode")
        _, major, minor, length, self.tag, crc = START.unpack(start)
        head = self.read(START.size, padded(min(length, HEAD_LIMIT)))
        if crc32(head, crc32(start[:20])) != crc:
            raise CheckpointError(f"the header of {path} is damaged")
        if major != 1:
            raise CheckpointError(f"{path} has format {major}.{minor}: a newer version of maniple reads it")
        try:
            self.header: dict[str, Any] = _header(_unpacked(head[:length]))
        except ValueError as error:
            raise CheckpointError(f"the header of {path} is damaged") from error
        self.begin = START.size + len(head)

    @property
    def file(self) -> int:
        """The descriptor."""
        if self._file < 0:
            raise CheckpointError(f"{self.path} was closed; open it again with Checkpoint(path)")
        return self._file

    def close(self) -> None:
        """Give the descriptor back."""
        self._closer()
        self._file = -1

    def read(self, offset: int, length: int) -> bytes:
        """The bytes there, fewer at the end of the file."""
        length = max(0, min(length, self.size - offset))
        data = os.pread(self.file, length, offset)
        if len(data) < length:  # one call gives 2 GiB at most, and a writer may have cut the file
            rest = bytearray(data)
            while len(rest) < length and (more := os.pread(self.file, length - len(rest), offset + len(rest))):
                rest += more
            data = bytes(rest)
        return data

    def expect(self, offset: int, length: int) -> None:
        """Let the system read something that is soon asked for, without waiting for it."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self.file, offset, length, os.POSIX_FADV_WILLNEED)

    def items(self) -> Iterator[Frame | Damage]:
        """Each frame whose head is sound, and each range where there is none; an empty range is a gap."""
        at, sequence = self.begin, 0
        while at < self.size:
            frame = self._frame(at, sequence)
            if frame is None:
                frame = self._search(at + 1, sequence)
                yield Damage(self.path, at, frame.at if frame else self.size)
            elif frame.sequence > sequence:
                yield Damage(self.path, at, at)
            if frame is None:
                return
            yield frame
            at, sequence = frame.end, frame.sequence + 1

    def _frame(self, at: int, least: int, copy: bytes | None = None) -> Frame | None:
        """The frame there, if its head is sound; `copy` is what an index has of it."""
        data = self.read(at, 4096) if copy is None else copy
        if len(data) < FIXED.size or data[:4] != MARKER:
            return None
        fixed = FIXED.unpack_from(data)
        _, length, body_len, sequence, _, tag, crc = fixed
        start = FIXED.size + padded(length)
        if length > HEAD_LIMIT or at + start + body_len > self.size or tag != self.tag or sequence < least:
            return None
        if len(data) < start:
            before = crc32(data[:36])
            if copy is not None or (start > SHORT and self._sums.of(at + FIXED.size, at + start, before) != crc):
                return None
            data = self.read(at, start)
        packed = data[FIXED.size : start]
        if crc32(packed, crc32(data[:36])) != crc:
            return None
        try:
            head = _unpacked(packed[:length])
        except ValueError:
            head = None
        return Frame(self, at, fixed, head if type(head) is dict else {})

    def _search(self, at: int, least: int) -> Frame | None:
        while stretch := self.read(at, STRETCH):
            skip = -1
            while (skip := stretch.find(MARKER, skip + 1)) >= 0:
                if frame := self._frame(at + skip, least):
                    return frame
            at += max(1, len(stretch) - 3)
        return None

    def closing(self) -> Frame | None:
        """The close frame that ends at the end of the file."""
        start = max(self.begin, self.size - CLOSE_LIMIT)
        tail, skip = self.read(start, CLOSE_LIMIT), -1
        while (skip := tail.find(MARKER, skip + 1)) >= 0:
            frame = self._frame(start + skip, 0)
            # A close frame that somebody stored as a value tells of another place as durable.
            if frame and frame.kind == "close" and frame.end == self.size and frame.durable == frame.at:
                return frame
        return None

    def listed(self, closing: Frame) -> list[Frame] | None:
        """The frames of values and failures by the index; None if it does not tell them all."""
        total, at = closing.head.get("total"), closing.head.get("index")
        batches: list[list[Frame]] = []
        if at is None and not self._is_rowless(self.begin, 0, closing):
            return None
        limit = closing.at
        while at is not None:
            index = self._frame(at, 0) if isinstance(at, int) and self.begin <= at < limit else None
            if index is None or index.kind != "index" or index.blobs != 1 or index.end > limit:
                return None
            if not batches and not self._is_rowless(index.end, index.sequence + 1, closing):
                return None
            try:
                blob = index.blob(0)
            except Broken:
                return None
            batches.append(self._copies(blob, at))
            limit, at = at, index.head.get("previous")
        frames = [frame for batch in reversed(batches) for frame in batch]
        rows = {"values": 0, "failures": 0}
        for frame in frames:
            rows[frame.kind] = rows.get(frame.kind, 0) + frame.n
        return frames if isinstance(total, dict) and rows == {kind: total.get(kind) for kind in rows} else None

    def _is_rowless(self, at: int, sequence: int, closing: Frame) -> bool:
        """Whether only frames without rows lead from there to the close frame, as they do unless two writers wrote."""
        while at < closing.at:
            frame = self._frame(at, sequence)
            if frame is None or frame.sequence != sequence or frame.has_rows:
                return False
            at, sequence = frame.end, sequence + 1
        return (at, sequence) == (closing.at, closing.sequence)

    def _copies(self, blob: bytes, limit: int) -> list[Frame]:
        """The frames that an index lists, as far as it is sound."""
        frames, at = [], 0
        while at + OFFSET.size + FIXED.size <= len(blob):
            (offset,) = OFFSET.unpack_from(blob, at)
            start = at + OFFSET.size
            length = FIXED.size + padded(FIXED.unpack_from(blob, start)[1])
            frame = self._frame(offset, 0, blob[start : start + length])
            if frame is None or frame.end > limit:
                break
            frames.append(frame)
            at = start + length
        return frames


Job = tuple[Frame, memoryview, int, int, int]
"""A frame, where a blob of it belongs, and where it lies: offset, length, checksum."""


class Filler:
    """Reads blobs to where they belong, and verifies them; raises Broken.

    What is not in the memory of the system is asked for before the first of it is read.
    """

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.size = 0
        self.is_cold = False

    def add(self, job: Job) -> None:
        """Read this one, before `finish` is done."""
        frame, room, at, length, _ = job
        if not self.jobs:
            self.is_cold = _at_once(frame.source.file, room[:1], at) == 0
        if self.is_cold:
            frame.source.expect(at, length)
        self.jobs.append(job)
        self.size += length
        if self.size > AHEAD:
            self.finish()

    def finish(self) -> None:
        """Read what was added."""
        for place, (frame, room, at, length, crc) in enumerate(self.jobs):
            file = frame.source.file
            got = 0 if self.is_cold else _at_once(file, room, at)
            if got < length and not self.is_cold:
                self.is_cold = True
                for other, _, start, size, _ in self.jobs[place:]:
                    other.source.expect(start, size)
            while got < length and (more := os.preadv(file, [room[got:]], at + got)):
                got += more
            if got != length or crc32(room) != crc:
                raise Broken(Damage(frame.source.path, at, at + padded(length)), torn=True)
        self.jobs, self.size = [], 0


def _at_once(file: int, room: memoryview, at: int) -> int:
    """Read as much as takes no wait for the disk."""
    try:
        return os.preadv(file, [room], at, getattr(os, "RWF_NOWAIT", 0))
    except OSError:
        return 0
