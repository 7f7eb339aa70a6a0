"""What an executor's processes call: it unpickles a call, makes it, and says what came of it.

It is sent by value, so a process that runs it needs no package. An answer is [True, value], [False, pickle of the
exception, traceback], or [None, traceback] where the initializer has raised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def maker(initializer: Callable[..., Any] | None, initargs: tuple[Any, ...]) -> Callable[..., list[Any]]:
    """The function of an executor's job; `initializer` runs once in each process, before the first call."""
    state: dict[str, str | None] = {}

    def told(error: BaseException) -> str:
        import traceback

        frames = error.__traceback__.tb_next if error.__traceback__ else None
        return "".join(traceback.format_exception(type(error), error, frames))

    def call(number: int, work: bytes, **shared: Any) -> list[Any]:
        import pickle

        if not state:
            state["failed"] = None
            if initializer is not None:
                try:
                    initializer(*initargs)
                except BaseException as error:
                    state["failed"] = told(error)
        if state["failed"] is not None:
            return [None, state["failed"]]
        try:
            function, args, kwargs, lacking = pickle.loads(work)
            return [True, function(*args, **kwargs, **{name: shared[name] for name in lacking})]
        except BaseException as error:
            story = told(error)
            error.__traceback__ = None
            try:
                blob = pickle.dumps(error)
                pickle.loads(blob)
            except BaseException:
                import cloudpickle

                try:
                    blob = cloudpickle.dumps(error)
                    pickle.loads(blob)
                except BaseException:
                    blob = pickle.dumps(RuntimeError(f"{type(error).__qualname__}: {error}"))
            return [False, blob, story]

    return call
