"""Read a checkpoint, by `docs/checkpoint-format.md` alone.

It can be read while it is written, and after its writer was killed. The file is never changed, and every checksum is
verified before a byte is believed.

    bytes of a file `_source` -> frames that count `_pair` -> keys and values of a frame `_parts` -> rows `_rows`
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from types import TracebackType
from typing import Any, NoReturn

from ._pair import Pair, look
from ._pieces import Names, Piece
from ._rows import Rows
from ._source import CheckpointError, Damage
from ._values import Decoder, Pickled

__all__ = ["Checkpoint", "CheckpointError", "Damage", "Pickled", "Rows"]


class Checkpoint(Rows):
    """A checkpoint with the outcomes that were durable when it was opened, or when `refresh` was called.

    Parameters
    ----------
    path
        The checkpoint. Its journal, `path` and `.wal`, is found beside it while there is one.
    strict
        Raise where the file is damaged: when it is opened for what is seen then, else when it is read. With False all
        of it is read and verified at once, frames that are damaged are left out, and `damage` tells where they lie.
    unpickle
        Whether values that are Python objects (extension 3 of the format) are unpickled, each when it is read. Results
        of your own on a disk of your own are as trustworthy as any pickle file there; pass False for a file from
        somebody else, and such values come as :class:`Pickled`.

    Raises
    ------
    CheckpointError
        It is not a checkpoint, is damaged, or was made by a newer version.
    OSError
        It cannot be opened.

    Examples
    --------
    >>> with Checkpoint("factors.checkpoint") as checkpoint:  # doctest: +SKIP
    ...     momentum = checkpoint.pivot("date", "code", "mom20")
    """

    def __init__(self, path: str | os.PathLike[str], *, strict: bool = True, unpickle: bool = True) -> None:
        self.path = os.fspath(path)
        self._strict, self._decoder = strict, Decoder(unpickle)
        self._seen: Pair
        self.refresh()

    def refresh(self) -> None:
        """Look at the file again: what was durable before this call is there after it.

        Rows that `where` gave before keep what they had.
        """
        self._seen = look(self.path, self._decoder, strict=self._strict)
        pieces = [Piece(frame, self._decoder) for frame in self._seen.frames]
        self._values = [piece for piece in pieces if piece.frame.kind == "values"]
        self._failures = [piece for piece in pieces if piece.frame.kind == "failures"]
        self._names = Names(self._seen.header, next(iter(self._values or self._failures), None))

    def close(self) -> None:
        """Close the files; nothing can be read from then on, by rows of `where` neither."""
        for source in self._seen.sources:
            source.close()

    def __enter__(self) -> Checkpoint:
        """The checkpoint, which is closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        """What it is, in a line."""
        return f"Checkpoint({self.path!r}): {len(self):,} rows of {self.identity}"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Checkpoint cannot be pickled, since it is an open file: pass its path")

    @property
    def identity(self) -> str:
        """What the values are of: `function MODULE:FUNCTION` or `command ARGV`."""
        return str(self._seen.header.get("identity", ""))

    @property
    def created(self) -> datetime:
        """When the file was begun, in UTC."""
        told = self._seen.header["created"]
        try:
            return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=told)
        except OverflowError as error:
            raise CheckpointError(f"{self.path} says that it was begun {told} ms after 1970: no such date") from error

    @property
    def closed(self) -> bool:
        """Whether its last writer ended in order."""
        return self._seen.closed

    @property
    def unfinished(self) -> int:
        """Bytes at the end that are no frame yet: being written, or left by a crash."""
        return self._seen.unfinished

    @property
    def damage(self) -> list[Damage]:
        """Where the file is not as it was written: (path, start, end). Empty with `strict`, which raises instead."""
        return list(self._seen.damage)

    def failures(self) -> list[tuple[Any, dict[str, Any]]]:
        """See :meth:`Rows.failures`."""
        return [] if self._seen.failed == 0 else super().failures()
