"""A checkpoint with its journal: which frames count, by the sections *Reading* and *The journal* of the format.

It looks at heads, and at bodies where no later frame witnesses that they were durable. It changes nothing.

Invariants
- What was acknowledged before `look` began is found, whatever a writer does meanwhile.
- Without `strict` each frame that counts was read and verified wholly; with it damage is raised.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from ._parts import keys_of, rest_of
from ._source import Broken, CheckpointError, Damage, Frame, Source
from ._values import Decoder

ATTEMPTS = 8
"""Looks at a pair that changes while it is opened."""


@dataclass
class Seen:
    """What counts of one file, in its order."""

    frames: list[Frame] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    unfinished: int = 0
    closed: bool = False
    failed: int | None = None


@dataclass
class Pair:
    """What counts of a checkpoint and its journal."""

    header: dict[str, Any]
    sources: list[Source]
    frames: list[Frame]
    damage: list[Damage]
    unfinished: int
    closed: bool
    failed: int | None
    """How many keys failed and have no value, if the file tells."""


def look(path: str, decoder: Decoder, *, strict: bool) -> Pair:
    """Open both files and judge them; raises CheckpointError, OSError."""
    for _ in range(ATTEMPTS):
        journal, wrong = _journal(f"{path}.wal")
        main = Source(path)
        if journal and not wrong and journal.header.get("of") != main.header.get("id"):
            wrong = f"{journal.path} is the journal of another checkpoint"
        if not journal or not wrong or _is_there(journal):
            break
    damage = []
    if wrong:
        if strict:
            raise CheckpointError(f"{wrong}; Checkpoint(path, strict=False) reads {path} alone")
        damage.append(Damage(f"{path}.wal", 0, os.path.getsize(f"{path}.wal")))
    return _judged(main, None if wrong else journal, decoder, damage, strict)


def _journal(path: str) -> tuple[Source | None, str | None]:
    """The journal, or why there is a file that is none."""
    try:
        journal = Source(path)
    except FileNotFoundError:
        return None, None
    except CheckpointError as error:
        return None, str(error)
    sound = "of" in journal.header and isinstance(journal.header.get("end"), int)
    return journal, None if sound else f"{path} is not a journal"


def _is_there(journal: Source) -> bool:
    """Whether the file is still the one of that name: a checkpoint may be replaced while its files are opened."""
    try:
        return os.path.samestat(os.stat(journal.path), os.fstat(journal.file))
    except FileNotFoundError:
        return False


def _judged(main: Source, journal: Source | None, decoder: Decoder, damage: list[Damage], strict: bool) -> Pair:
    end = journal.header["end"] if journal else 0
    if end > main.size:
        damage.append(Damage(main.path, main.size, end))
        if strict:
            raise CheckpointError(f"{main.path} was cut short: it had {end} bytes when its journal was begun")
    seen = _whole(main) if strict else None
    if seen is None:
        seen = _walked(main, decoder, strict, end)
    pair = Pair(main.header, [main], seen.frames, damage + seen.damage, seen.unfinished, seen.closed, seen.failed)
    # Corruption behind `end` was durable, so a fold was: the frame that told of it is lost.
    if journal is None or any(piece.start >= end for piece in seen.damage):
        return pair
    if any(frame.at >= end and frame.head.get("folds") == journal.header.get("id") for frame in seen.frames):
        return pair
    more = _walked(journal, decoder, strict, 0)
    pair.sources.append(journal)
    pair.frames = [frame for frame in seen.frames if frame.at < end] + more.frames
    pair.damage += more.damage
    pair.unfinished, pair.closed, pair.failed = more.unfinished, False, None
    return pair


def _whole(source: Source) -> Seen | None:
    """The frames by the index, if the file was closed in order; a few reads for any size."""
    closing = source.closing()
    frames = source.listed(closing) if closing else None
    if closing is None or frames is None:
        return None
    return Seen(frames, closed=True, failed=closing.head["total"].get("failed"))


def _walked(source: Source, decoder: Decoder, strict: bool, durable: int) -> Seen:
    """The frames by a walk from head to head; so much of the file is known to have been durable."""
    items = list(source.items())
    witnessed = max((item.durable for item in items if isinstance(item, Frame)), default=source.begin)
    witnessed, seen = max(witnessed, durable), Seen()
    for item in items:
        begin = item.at if isinstance(item, Frame) else item.start
        try:
            if isinstance(item, Damage):
                raise Broken(item, torn=item.start < item.end)
            # What lies behind a journal's end decides whether that counts, so it is verified in any case.
            tells = 0 < durable <= item.at
            _check(item, decoder, wholly=not strict or tells or item.end > witnessed)
        except Broken as broken:
            if broken.torn and begin >= witnessed and not seen.damage:
                seen.unfinished = source.size - begin
                break
            seen.damage.append(broken.damage)
            seen.closed = False
            if strict:
                raise
        else:
            seen.closed = item.kind == "close"
            if seen.closed:
                total = item.head.get("total")
                seen.failed = total.get("failed") if isinstance(total, dict) else None
            if item.kind in ("values", "failures"):
                seen.frames.append(item)
    if not seen.closed:
        seen.failed = None
    return seen


def _check(frame: Frame, decoder: Decoder, *, wholly: bool) -> None:
    """Whether a frame keeps the rules; raises Broken, or CheckpointError for one of a newer version."""
    if frame.kind in ("values", "failures"):
        for part in keys_of(frame, decoder), rest_of(frame, decoder):
            if wholly:
                part.check()
    elif frame.kind not in ("index", "close") and frame.head.get("optional") is not True:
        raise frame.newer() if frame.kind else frame.broken()
    elif wholly:
        for place in range(frame.blobs):
            frame.blob(place)
