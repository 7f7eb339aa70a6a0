"""What is told of an exception: its text and its traceback, of bounded length.

A node executes the text of this file between those of ``control.py`` and ``streams.py``.
"""

import contextlib
import importlib
from typing import Any

if "Codec" not in globals():
    from maniple.codec import name_of

TEXT_LIMIT = 64 << 10  # bytes of a failure's message, and of its traceback


def cut(text: str, tail: int = 0) -> str:
    """At most `TEXT_LIMIT` bytes of a text, `tail` of them from its end."""
    data = text.encode("utf-8", "backslashreplace")
    if len(data) > TEXT_LIMIT:
        mark = b"\n... cut, %d bytes in all ...\n" % len(data)
        data = data[: TEXT_LIMIT - tail - len(mark)] + mark + data[len(data) - tail :]
    return data.decode("utf-8", "ignore")


def traceback_of(error: BaseException) -> str:
    """The traceback of an exception, without our frames."""
    try:
        frames = error.__traceback__
        while frames and frames.tb_frame.f_globals is globals():
            frames = frames.tb_next
        step = frames if isinstance(error, MemoryError) else None
        while step:  # they hold what filled the memory
            with contextlib.suppress(RuntimeError):
                step.tb_frame.clear()
            step = step.tb_next
        traceback = importlib.import_module("traceback")
        return cut("".join(traceback.format_exception(type(error), error, frames)), TEXT_LIMIT // 2)
    except BaseException as other:
        return f"<its traceback raised {name_of(type(other))}>"


def of_unloadable(error: BaseException) -> dict[str, Any]:
    """Why there is no function to call, in one line, and the traceback of what was the matter."""
    cause = error.__cause__
    return {"message": cut(" ".join(str(error).split())), "traceback": traceback_of(cause) if cause else ""}
