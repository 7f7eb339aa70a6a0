"""``maniple.kv``: values by name that callers and tasks share; the coordinator has them."""

from __future__ import annotations

import sys
from typing import Any

from .codec import Codec, Undecodable, Unkeepable
from .errors import EngineError

KEY_LIMIT, VALUE_LIMIT = 1 << 10, 4 << 20
"""Bytes of a key and of a value, as the coordinator has them (``coordinator/src/core/kv.rs``)."""
ARRAY_OF_ONE = b"\x91"


class KeyValues:
    """Values by name that this program and all tasks share, wherever they run; there is one of it, ``maniple.kv``.

    Notes
    -----
    The coordinator has them, so they live as long as it does. That of this program's own engine ends with the program;
    an engine that takes the place of another, because a job wants another number of processes, takes them over, but
    not from one that was killed. If two jobs that want different numbers run at the same time, the tasks of one of them
    cannot have them, and are told so. In a cluster all its clients share them.

    Each call is carried out whole, before or after each other one. A task that is run again does again what it did.

    A key takes at most 1 KiB, a value 4 MiB, all together 32 MiB; see `maniple.map` and its `shared` for more.
    """

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or `default` if it has none.

        Raises
        ------
        EngineError
            There is no coordinator, or it was lost before it answered. So do all others.
        """
        answer, payload = _asked({"Get": _checked(key)})
        return default if answer == "Missing" else _value(payload)

    def set(self, key: str, value: Any) -> None:
        """Give a key a value: anything that a task may return.

        Raises
        ------
        TypeError
            The value cannot be sent.
        ValueError
            It is too large, or there is no room for it.
        """
        _checked(key)
        try:
            payload = Codec().one(value)
        except Unkeepable as error:
            raise TypeError(f"the value of {key!r} holds a {error.args[0]}: {error.args[1]}") from error
        if len(payload) > VALUE_LIMIT:
            raise ValueError(
                f"the value of {key!r} takes {len(payload)} bytes, which is too large: at most {VALUE_LIMIT}"
            )
        _asked({"Set": key}, payload)

    def incr(self, key: str, by: int = 1) -> int:
        """Add to the integer that a key has, 0 if it has no value; the sum. Of many who do it at once none is lost.

        Raises
        ------
        ValueError
            Its value is no integer of 64 bits, or would not be one any more.
        """
        if isinstance(by, bool) or not isinstance(by, int):
            raise TypeError(f"by={by!r}: give an integer")
        if not -(1 << 63) <= by < 1 << 63:
            raise ValueError(f"by={by} is no integer of 64 bits")
        _, payload = _asked({"Incr": {"key": _checked(key), "by": by}})
        return int(_value(payload))

    def delete(self, key: str) -> bool:
        """Take a key's value away; whether there was one."""
        return bool(_asked({"Delete": _checked(key)})[0] == "Done")

    def items(self) -> dict[str, Any]:
        """All keys, sorted, and their values."""
        _, payload = _asked("All")
        pairs: list[tuple[str, bytes]] = Codec().unpack(payload)
        return {key: _value(value) for key, value in pairs}

    def __reduce__(self) -> str:
        """There is one wherever it goes."""
        return "kv"


def _checked(key: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"key={key!r}: give a text")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise ValueError(f"key={key!r} cannot be sent") from None
    if size > KEY_LIMIT:
        raise ValueError(f"a key of {size} bytes is too long: at most {KEY_LIMIT}")
    return key


def _asked(request: Any, payload: bytes = b"") -> tuple[Any, bytes | bytearray]:
    child = getattr(sys.modules.get("__main__"), "_maniple_child", None)
    answer, payload_back = _from_caller(request, payload) if child is None else child.ask(request, payload)
    if answer == "Lost":
        raise EngineError(
            "the coordinator was lost before it answered; whether it has done what was asked is not known"
        )
    if answer == "Elsewhere":
        raise EngineError(
            "another engine of this program has the key-values: jobs that run at the same time can share them if all "
            "ask for the same number of processes"
        )
    if isinstance(answer, dict):
        raise ValueError(answer["Refused"])
    return answer, payload_back


def _from_caller(request: Any, payload: bytes) -> tuple[Any, bytes | bytearray]:
    from ._client.ask import ask
    from ._client.engine import ENGINES

    while True:
        with ENGINES.asking() as connection:
            connection.refuse_callbacks("maniple.kv cannot be asked")
            answer, payload_back = ask(connection, request, payload)
        if answer != "Elsewhere":  # they were moved to another engine just now
            return answer, payload_back


def _value(payload: bytes | bytearray) -> Any:
    (value,) = Codec().each(ARRAY_OF_ONE + payload)
    if isinstance(value, Undecodable):
        raise value.error
    return value


kv = KeyValues()
