"""A checkpoint with its journal in every state that a writer, or its end, leaves them in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from encoder import Encoder

from maniple import Checkpoint, CheckpointError
from maniple.checkpoint import Damage

JOURNAL = bytes(range(100, 116))
OLD = {(day, "000001"): [day * 1.5, 2.0] for day in range(5)}
NEW = {(day, "000001"): [day * 1.5, 2.0] for day in range(5, 8)}
MORE = {(day, "600000"): [day * 1.5, 2.0] for day in range(3)}


class Files:
    """A checkpoint with OLD, acknowledged, and a journal with NEW, both open for more."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "f.checkpoint"
        self.wal = folder / "f.checkpoint.wal"
        self.main = Encoder(self.path, columns=["a", "b"])
        self.main.rows(OLD)
        self.main.synced()
        self.end = self.main.length
        self.journal = self.begin()

    def begin(self, **header: Any) -> Encoder:
        told: dict[str, Any] = {"of": bytes(range(16)), "end": self.main.length, "id": JOURNAL}
        journal = Encoder(self.wal, **(told | header))
        journal.journal_rows(NEW)
        return journal


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def rows(files: Files, **options: bool) -> dict[Any, Any]:
    with Checkpoint(files.path, **options) as checkpoint:
        found = list(checkpoint)
        assert len(found) == len(checkpoint) == len(dict(found))
        assert list(checkpoint.column("a")) == [value[0] for _, value in found]
        return dict(found)


def test_rows_of_a_journal_stand_at_the_end(files: Files) -> None:
    assert list(rows(files).items()) == list((OLD | NEW).items())
    files.journal.journal_rows(MORE)
    assert rows(files) == OLD | NEW | MORE
    assert not Checkpoint(files.path).closed


def test_a_folded_journal_has_no_meaning(files: Files) -> None:
    files.main.rows(NEW | MORE, folds=JOURNAL)
    assert rows(files) == OLD | NEW | MORE
    files.main.synced()
    files.main.close()
    assert rows(files) == OLD | NEW | MORE
    assert Checkpoint(files.path).closed


def test_a_fold_that_was_not_finished_does_not_count(files: Files) -> None:
    files.main.rows(NEW)
    assert rows(files) == OLD | NEW
    last = files.main.rows(MORE, folds=JOURNAL)
    whole = files.path.read_bytes()
    for length in range(files.end, len(whole)):
        files.path.write_bytes(whole[:length])
        assert rows(files) == OLD | NEW, length
    torn = bytearray(whole)
    torn[last - 8] ^= 1
    files.path.write_bytes(torn)
    assert rows(files) == OLD | NEW


def test_a_journal_that_is_being_written_ends_with_its_last_whole_frame(files: Files) -> None:
    shorter = files.journal.length
    files.journal.journal_rows(MORE)
    whole = files.wal.read_bytes()
    for length in range(shorter, len(whole)):
        files.wal.write_bytes(whole[:length])
        assert rows(files) == OLD | NEW, length
        assert Checkpoint(files.path).unfinished == length - shorter


def test_damage_of_a_journal_is_told_by_its_name(files: Files) -> None:
    begin = files.journal.length - 16
    files.journal.synced()
    files.journal.journal_rows(MORE)
    whole = bytearray(files.wal.read_bytes())
    whole[begin] ^= 1
    files.wal.write_bytes(whole)
    with pytest.raises(CheckpointError, match=r"f\.checkpoint\.wal are damaged"):
        rows(files)
    assert rows(files, strict=False) == OLD | MORE
    assert [damage.path for damage in Checkpoint(files.path, strict=False).damage] == [str(files.wal)]


def test_damage_behind_the_end_is_corruption_if_it_was_durable(files: Files) -> None:
    at = files.main.rows(NEW, folds=JOURNAL)
    files.main.synced()
    files.main.rows(MORE)
    whole = bytearray(files.path.read_bytes())
    whole[at + 50] ^= 1
    files.path.write_bytes(whole)
    with pytest.raises(CheckpointError, match="are damaged"):
        rows(files)
    assert rows(files, strict=False) == OLD | MORE


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda files: files.begin(of=bytes(16)), "journal of another checkpoint"),
        (lambda files: files.wal.write_bytes(b"date,code\r\n" * 9), "is not a checkpoint"),
        (lambda files: files.wal.write_bytes(files.wal.read_bytes()[:40]), "header of .*wal is damaged"),
        (lambda files: shutil.copy(files.path, files.wal), "journal of another|is not a journal"),
    ],
)
def test_a_foreign_journal_is_refused(files: Files, spoil: Callable[[Files], Any], message: str) -> None:
    spoil(files)
    with pytest.raises(CheckpointError, match=message):
        rows(files)
    assert rows(files, strict=False) == OLD
    assert Checkpoint(files.path, strict=False).damage == [Damage(str(files.wal), 0, files.wal.stat().st_size)]


def test_a_checkpoint_that_was_cut_short_is_refused(files: Files) -> None:
    files.path.write_bytes(files.path.read_bytes()[:-8])
    with pytest.raises(CheckpointError, match=f"cut short: it had {files.end} bytes"):
        rows(files)
    assert rows(files, strict=False) == NEW


def test_refresh_sees_what_was_written_since(files: Files) -> None:
    with Checkpoint(files.path) as checkpoint:
        before = checkpoint.where(code="000001")
        files.main.rows(NEW | MORE, folds=JOURNAL)
        files.main.synced()
        files.wal.unlink()
        assert dict(checkpoint.items()) == OLD | NEW == dict(before.items())
        checkpoint.refresh()
        assert dict(checkpoint.items()) == OLD | NEW | MORE
        assert dict(before.items()) == OLD | NEW


def test_a_journal_without_a_checkpoint_is_none(files: Files) -> None:
    files.path.unlink()
    with pytest.raises(FileNotFoundError):
        Checkpoint(files.path)
