"""What the format allows and what it does not: the index, heads that break the rules, newer ones, compression."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
from encoder import Encoder, Part, columns, pack, plain, write

from maniple import Checkpoint, CheckpointError


def test_columns_of_a_file_that_is_still_written(tmp_path: Path, layout: str) -> None:
    rows = [{(n, "x"): [n + 0.5, n]} for n in range(30)]
    found = Checkpoint(write(tmp_path / "f", *rows, layout=layout, closed=False))
    assert found.column(0).tolist() == [n + 0.5 for n in range(30)] and not found.closed


def test_an_index_in_several_parts(tmp_path: Path) -> None:
    with Encoder(tmp_path / "f") as file:
        for n in range(9):
            file.rows({(n, "x"): [n + 0.5]})
            if n in (2, 3, 7):
                file.close()
            seen = Checkpoint(tmp_path / "f")
            assert seen.column(0).tolist() == [m + 0.5 for m in range(n + 1)] and seen.closed == (n in (2, 3, 7))


def test_an_index_is_not_needed(tmp_path: Path) -> None:
    rows = [{(n, "x"): [n + 0.5]} for n in range(5)]
    path = write(tmp_path / "f", *rows)
    whole = path.read_bytes()
    want = list(Checkpoint(path))
    for at in range(len(whole)):
        spoiled = bytearray(whole)
        spoiled[at] ^= 1 << at % 8
        path.write_bytes(spoiled)
        try:
            assert list(Checkpoint(path)) == want, at
        except CheckpointError:
            found = Checkpoint(path, strict=False) if at >= 200 else None
            assert found is None or (all(row in want for row in found) and found.damage)


def test_a_text_whose_words_are_not_in_order_is_damage(tmp_path: Path) -> None:
    for codes, words in ([0, 1], "ba"), ([0, 2], "ab"), ([0, 1], "aa"):
        with Encoder(tmp_path / "f") as file:
            blobs = [numpy.array(codes, "<u4").tobytes(), b"".join(map(pack, words))]
            file.values(plain([1, 2]), Part("columns", blobs, {"types": "t", "row": "scalar"}), 2)
            file.synced()
            file.frame("note", optional=True)
        with pytest.raises(CheckpointError, match="are damaged"):
            Checkpoint(tmp_path / "f").column(0)


@pytest.mark.parametrize(
    "told",
    [
        {"types": "f", "row": None},
        {"types": "ff", "row": "dict", "names": ["a", "a"]},
        {"types": "ff", "row": "dict", "names": ["a"]},
        {"types": "ff", "row": "scalar"},
        {"types": "fi", "row": "array"},
        {"types": "fft", "row": "list"},
        {"types": "", "row": "list"},
        {"types": 5, "row": "list"},
    ],
)
def test_a_head_that_breaks_the_rules_is_damage(tmp_path: Path, told: dict[str, Any]) -> None:
    with Encoder(tmp_path / "f") as file:
        part = columns("list", [numpy.array([1.0, 2.0]), numpy.array([3.0, 4.0])])
        file.values(plain([1, 2]), Part("columns", part.blobs, {"row": 0} | told), 2)
        file.synced()
        file.frame("note", optional=True)
    with pytest.raises(CheckpointError, match="are damaged"):
        Checkpoint(tmp_path / "f")
    assert len(Checkpoint(tmp_path / "f", strict=False).damage) == 1


@pytest.mark.parametrize("told", [{"types": "u", "row": "list"}, {"types": "f", "row": "tree"}])
def test_columns_of_a_newer_version_are_not_guessed(tmp_path: Path, told: dict[str, Any]) -> None:
    with Encoder(tmp_path / "f") as file:
        file.values(plain([1]), Part("columns", [bytes(8)], told), 1)
    with pytest.raises(CheckpointError, match="newer version"):
        Checkpoint(tmp_path / "f")


def test_compressed_frames_need_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "f", {(1, "x"): [1.0]}, layout="zstd")
    for name in ("zstandard", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(CheckpointError, match="install the package zstandard"):
        Checkpoint(path).column(0)


def test_a_size_that_is_a_lie_is_damage(tmp_path: Path) -> None:
    part = columns("list", [numpy.zeros(3)]).squeezed()
    with Encoder(tmp_path / "f") as file:
        file.values(plain([1, 2]).squeezed(), part, 2)
    with pytest.raises(CheckpointError, match="are damaged"):
        Checkpoint(tmp_path / "f")
