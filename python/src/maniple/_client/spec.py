"""What is said of a job before it begins, and what comes of it: parts of the protocol's messages.

The types are those of `shared/src/job.rs`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

from ..codec import Codec, OneByOne, head
from .cargo import Cargo


def seconds(time: float) -> dict[str, int]:
    """A `Duration`."""
    nanoseconds = round(time * 1e9)
    return {"secs": nanoseconds // 10**9, "nanos": nanoseconds % 10**9}


LONGEST = 1e9
"""Seconds that a limit may be."""


def is_number(name: str, value: Any, wanted: str) -> bool:
    """That an option is a number; raises TypeError if not."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name}={value!r} is no number; give {wanted}")
    return True


def whole(name: str, value: Any, wanted: str, least: int, most: int) -> int:
    """An option that has to be an integer within bounds; raises TypeError or ValueError if not."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name}={value!r} is no whole number; give {wanted}")
    if not least <= int(value) <= most:
        raise ValueError(f"{name}={value!r}: give {wanted}")
    return int(value)


def texts(name: str, value: Any) -> list[str]:
    """An option that has to be several texts; raises TypeError if not."""
    found = None if isinstance(value, (str, bytes)) or not isinstance(value, Iterable) else list(value)
    if found is None or not all(isinstance(one, str) for one in found):
        raise TypeError(f"{name}={value!r} is no list of texts; give {name}=['close'], say")
    return [str(one) for one in found]


def path_of(value: Any) -> str:
    """Where a checkpoint is to be; raises TypeError or ValueError if that is no path."""
    if not isinstance(value, (str, bytes, os.PathLike)):
        raise TypeError(f"{value!r} is no path of a checkpoint; give a text or a Path")
    place = os.fsdecode(value)
    try:
        place.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{value!r} is no path that can be sent, as it is no UTF-8: choose another file") from error
    return place


def limits(
    retries: int = 3,
    retry_errors: int = 0,
    timeout: float | None = None,
    memory: int | None = None,
    tasks_per_process: int | None = None,
    recycle_memory: int | None = None,
) -> dict[str, Any]:
    """The `Limits` of a task.

    Raises
    ------
    ValueError
        They leave nothing, or are no numbers of attempts.
    """
    wanted = "a number from 0 to 65535"
    retries = whole("retries", retries, wanted, 0, (1 << 16) - 1)
    retry_errors = whole("retry_errors", retry_errors, wanted, 0, (1 << 16) - 1)
    if timeout is not None and not (is_number("timeout", timeout, "seconds") and 0 < timeout <= LONGEST):
        raise ValueError(f"timeout={timeout!r} leaves no time, or is for ever; give seconds, or None")
    wanted = "bytes as a whole number, at least 1, or None"
    if memory is not None:
        memory = whole("memory", memory, wanted, 1, 1 << 62)
    if recycle_memory is not None:
        recycle_memory = whole("recycle_memory", recycle_memory, wanted, 1, 1 << 62)
    span = None if timeout is None else seconds(timeout)
    return {
        "death_retries": retries,
        "error_retries": retry_errors,
        "timeout": span,
        "memory": memory,
        "tasks_per_process": tasks_per_process,
        "recycle_memory": recycle_memory,
    }


def checkpoint_spec(
    path: str | os.PathLike[str],
    existing: str,
    columns: list[str],
    key_columns: list[str],
    shape: str | dict[str, Any],
    *,
    compress: bool = False,
    flush: float = 1.0,
) -> dict[str, Any]:
    """The `CheckpointSpec` of outcomes that are kept."""
    place = path_of(path)
    if not (is_number("flush", flush, "seconds") and 0 <= flush <= LONGEST):
        raise ValueError(f"flush={flush!r}: give seconds, at least 0")
    return {
        "path": place if "://" in place else os.path.abspath(place),
        "existing": existing,
        "flush": seconds(flush),
        "columns": columns,
        "key_columns": key_columns,
        "compress": "Zstd" if compress else "None",
        "shape": shape,
    }


@dataclass
class Work:
    """What is done with each task: a `Work` of the protocol, and what travels beside it."""

    told: dict[str, Any]
    cargo: Cargo = field(default_factory=Cargo)


class JobSpec(dict[str, Any]):
    """The fields of a `JobSpec` that lacks its id and its objects, and these."""

    def __init__(self, cargo: Cargo, **fields: Any) -> None:
        super().__init__(fields)
        self.cargo = cargo

    def submit(self, number: int, *, elsewhere: bool) -> dict[str, Any]:
        """The message that begins a job of this number, on this machine or elsewhere."""
        fields = {**self, "id": number, "objects": self.cargo.specs(elsewhere=elsewhere)}
        if elsewhere:
            # The interpreter of this machine is none of the workers'.
            fields["work"] = {"Function": fields["work"]["Function"] | {"python": None}}
        return {"Submit": fields}

    def onward(self) -> JobSpec:
        """The same job on the checkpoint that it has begun, which is not to be set aside as the one before it was."""
        kept = self["checkpoint"]
        if kept is None or kept["existing"] != "SetAside":
            return self
        return JobSpec(self.cargo, **{**self, "checkpoint": {**kept, "existing": "Resume"}})


def job_spec(
    work: Work,
    limits: dict[str, Any],
    checkpoint: dict[str, Any] | None = None,
    batch_size: int | None = None,
) -> JobSpec:
    """A job of which this process hears every outcome that no checkpoint keeps."""
    if batch_size is not None:
        batch_size = whole("batch_size", batch_size, "a number of tasks, at least 1, or None", 1, (1 << 31) - 1)
    return JobSpec(
        work.cargo,
        work=work.told,
        limits=limits,
        checkpoint=checkpoint,
        batch_size=batch_size,
        wants_results=checkpoint is None,
        wants_failures=True,
        detached=False,
    )


def remark(name: str, fields: Any) -> None:
    """Show a user what is said in passing by a `Note` or a `Remark`; nothing else is."""
    if name in ("Note", "Remark"):
        print(f"maniple: {fields if name == 'Note' else fields['text']}", file=sys.stderr)


def results_of(codec: Codec, fields: dict[str, Any], payload: bytes | bytearray) -> list[tuple[int, Any]]:
    """The tasks of `Results` with their values; an `Undecodable` where decoding raised an exception."""
    tasks = [task for run in fields["values"] for task in range(run["start"], run["end"])]
    return list(zip(tasks, unpacked(codec, len(tasks), payload)))


def unpacked(codec: Codec, count: int, payload: bytes | bytearray) -> list[Any]:
    """So many values or keys, one behind the other; an `Undecodable` where decoding raised an exception."""
    marker = head("array", count)
    try:
        # A single value may be large, and is not copied for the sake of a marker.
        values: list[Any] = [codec.unpack(payload)] if count == 1 else codec.unpack(marker + payload)
    except OneByOne:
        values = list(Codec().each(marker + payload))
    return values


def fields_of(task: Any) -> Any:
    """A task as its key has it: a tuple is the arguments, as a list is."""
    return list(task) if type(task) is tuple else task
