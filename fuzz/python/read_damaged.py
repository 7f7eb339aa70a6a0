"""Reads checkpoints that nobody wrote, in Python and with `maniple`: `make fuzz` runs it, CONTRIBUTING.md tells how.

The files are the golden ones with something broken and the checksums made right. Of each must hold: it is read or
refused with `CheckpointError`, in bounded memory and time; what is read with `strict` is read the same without; and
Python reads wholly what `maniple checkpoint verify` calls whole.
"""

from __future__ import annotations

import argparse
import copy
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from damage import File, broken
from maniple import Checkpoint, CheckpointError

GOLDEN = Path(__file__).parents[2] / "tests/golden/checkpoint"
MEMORY = 3 << 30
"""Bytes of address space: libraries take the better part of one GiB, a blob that is unpacked up to one."""
SECONDS = 30


def main() -> int:
    """See the module."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options.add_argument("--case", type=int, help="only this case of the seed")
    options.add_argument("--maniple", type=Path, help="the program whose verdict is compared")
    options.add_argument("--keep", type=Path, default=Path("finding.checkpoint"), help="where a finding is written")
    options.add_argument("--go-on", action="store_true", help="count findings, rather than end with the first")
    asked = options.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _too_long)
    warnings.simplefilter("ignore")
    began, case, verdicts = time.monotonic(), asked.case or 0, {True: 0, False: 0}
    findings: dict[str, list[int]] = {}
    seeds = _seeds()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "damaged.checkpoint")
        while time.monotonic() - began < asked.seconds:
            is_indexed = _write(path, seeds, random.Random(f"{asked.seed} {case}"))
            try:
                signal.alarm(SECONDS)
                verdicts[_judge(path, asked.maniple, is_indexed)] += 1
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                signal.alarm(0)
                place = traceback.extract_tb(error.__traceback__)[-1]
                same = f"{type(error).__name__}: {str(error)[:80]} at {place.filename}:{place.lineno}"
                findings.setdefault(same, []).append(case)
                if not asked.go_on:
                    traceback.print_exc()
                    _keep(path, asked.keep)
                    print(f"{asked.keep}: --seed {asked.seed} --case {case}", file=sys.stderr)
                    return 1
            signal.alarm(0)
            case += 1
            if asked.case is not None:
                break
    for same, cases in findings.items():
        print(f"{len(cases)} x {same}: cases {cases[:4]}", file=sys.stderr)
    print(
        f"seed {asked.seed}: {case} files, {verdicts[True]} whole, {verdicts[False]} refused, {len(findings)} findings"
    )
    return 1 if findings else 0


def _seeds() -> list[tuple[File, File | None]]:
    """The undamaged golden files, each with its journal if it has one."""
    seeds = []
    for path in sorted(GOLDEN.glob("*/*.checkpoint")):
        try:
            journal = Path(f"{path}.wal")
            seeds.append(
                (File.parse(path.read_bytes()), File.parse(journal.read_bytes()) if journal.exists() else None)
            )
        except Exception:
            continue
    return seeds


def _write(path: Path, seeds: list[tuple[File, File | None]], dice: random.Random) -> bool:
    """Makes the files of a case; whether an index in them lists what is there."""
    main, journal = copy.deepcopy(dice.choice(seeds))
    others = [main for main, _ in copy.deepcopy(seeds)]
    is_journal = journal is not None and dice.random() < 0.5
    path.write_bytes(main.sealed() if is_journal else broken(main, others, dice))
    wal = Path(f"{path}.wal")
    wal.unlink(missing_ok=True)
    if journal:
        wal.write_bytes(broken(journal, others, dice) if is_journal else journal.sealed())
    return not any(frame.is_own for frame in main.frames)


def _keep(path: Path, where: Path) -> None:
    where.write_bytes(path.read_bytes())
    if (wal := Path(f"{path}.wal")).exists():
        Path(f"{where}.wal").write_bytes(wal.read_bytes())


class Read(NamedTuple):
    """What was read of a checkpoint, and whether it was found closed, or damaged."""

    held: Any
    closed: bool
    damaged: bool


def _judge(path: Path, program: Path | None, is_indexed: bool) -> bool:
    """Whether the file is whole; raises whatever is a finding."""
    strict, loose = _read(path, strict=True), _read(path, strict=False)
    # Who closed a file in order is believed with strict: what lies between the frames of its index is not looked at.
    if strict is not None and not (strict.closed and (loose is None or loose.damaged or not is_indexed)):
        assert loose is not None, "what can be read with strict can be read without"
        assert _text(strict.held) == _text(loose.held), "with strict and without the same is read"
    if program:
        verdict = subprocess.run([program, "checkpoint", "verify", path], capture_output=True, text=True)
        assert verdict.returncode in (0, 3), f"maniple ended with {verdict.returncode}: {verdict.stderr}"
        assert (verdict.returncode == 0) <= (strict is not None), f"it is whole for maniple: {verdict.stdout}"
    return strict is not None


def _text(held: Any) -> str:
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return repr(held)
    finally:
        sys.set_int_max_str_digits(limit)


def _read(path: Path, *, strict: bool) -> Read | None:
    """All that can be asked of a checkpoint; None if it is refused."""
    try:
        checkpoint = Checkpoint(path, strict=strict, unpickle=False)
    except CheckpointError:
        return None
    with checkpoint:
        if checkpoint.damage:
            assert not strict
        try:
            told = [checkpoint.identity, len(checkpoint), *_created(checkpoint)]
            rows, failures = list(checkpoint.items()), checkpoint.failures()
        except CheckpointError:
            return None
        for more in (checkpoint.to_numpy, checkpoint.to_pandas, lambda: _by_columns(checkpoint)):
            try:
                more()
            except CheckpointError:
                continue
        assert len(rows) == len(checkpoint)
        return Read([told, rows, failures], checkpoint.closed, bool(checkpoint.damage))


def _created(checkpoint: Checkpoint) -> list[Any]:
    try:
        return [checkpoint.created]
    except CheckpointError:  # no such date
        return []


def _by_columns(checkpoint: Checkpoint) -> None:
    for name in checkpoint.key_columns:
        assert len(checkpoint.key_column(name)) == len(checkpoint)
    for name in checkpoint.columns:
        assert len(checkpoint.column(name)) == len(checkpoint)
    for key in list(checkpoint.keys())[:2]:
        checkpoint.get(key)


def _too_long(number: int, _: Any) -> NoReturn:
    raise TimeoutError(f"more than {SECONDS} s")


if __name__ == "__main__":
    sys.exit(main())
