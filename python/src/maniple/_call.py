"""What an executor's processes call: it unpickles a call, makes it, and says what came of it.

It is sent by value, so a process that runs it needs no package. An answer is a word and what belongs to it:
["value", one that is plain], ["pickle", of any other], ["raised", pickle of the exception, traceback], or
["broken", traceback] where the initializer has raised. Values travel as the pickles that they are with any executor,
so that nothing about them changes on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def maker(begin: bytes | None, authkey: bytes) -> Callable[..., list[Any]]:
    """The function of an executor's job; `begin` is a pickled call that each process makes before its first one.

    `authkey` is what the caller's multiprocessing managers know their clients by.
    """
    state: dict[str, str | None] = {}
    plain = {type(None), bool, int, float, str, bytes}

    def told(error: BaseException) -> str:
        import traceback

        frames = error.__traceback__.tb_next if error.__traceback__ else None
        return "".join(traceback.format_exception(type(error), error, frames))

    def pickled(value: Any) -> bytes:
        import pickle

        try:
            return pickle.dumps(value, protocol=5)
        except Exception:  # it may be of a type that the caller's script or notebook defines
            try:
                import cloudpickle
            except ImportError:
                cloudpickle = None
            if cloudpickle is None:
                raise
            blob: bytes = cloudpickle.dumps(value, protocol=5)
            return blob

    def start() -> None:
        import multiprocessing.process
        import pickle

        multiprocessing.process.current_process().authkey = authkey
        state["failed"] = None
        if begin is not None:
            try:
                initializer, initargs = pickle.loads(begin)
                initializer(*initargs)
            except BaseException as error:
                state["failed"] = told(error)

    def call(number: int, work: bytes, **shared: Any) -> list[Any]:
        import pickle

        if not state:
            start()
        if state["failed"] is not None:
            return ["broken", state["failed"]]
        try:
            function, args, kwargs, lacking = pickle.loads(work)
            value = function(*args, **kwargs, **{name: shared[name] for name in lacking})
            return ["value", value] if type(value) in plain else ["pickle", pickled(value)]
        except BaseException as error:
            story = told(error)
            error.__traceback__ = None
            if type(error) is ModuleNotFoundError and error.name:
                import os

                advice = f"install it there, or send it along with modules=['{error.name.partition('.')[0]}']"
                text = f"{error} on {os.uname().nodename}: {advice}"
                error = ModuleNotFoundError(text, name=error.name, path=error.path)
            try:
                blob = pickled(error)
                pickle.loads(blob)
            except BaseException:
                blob = pickle.dumps(RuntimeError(f"{type(error).__qualname__}: {error}"))
            return ["raised", blob, story]

    return call
