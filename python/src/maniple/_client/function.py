"""How a function gets to the processes that call it: by its import path where it has one, else by value."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import reduce
from typing import Any

import cloudpickle

from ..errors import FunctionError

SIZE_LIMIT = 900 << 10
"""Bytes of a function that is sent by value."""


def is_importable(function: Any, module: str, name: str) -> bool:
    """Whether importing the module gives this very function by this name."""
    if module == "__main__" or module not in sys.modules:
        return False
    try:
        return reduce(getattr, name.split("."), sys.modules[module]) is function
    except AttributeError:
        return False


def name_of(function: Any) -> tuple[str, str]:
    """Module and name; what has none is named by its type."""
    inner = getattr(function, "func", function)  # a partial is named by what it calls
    named = inner if hasattr(inner, "__qualname__") else type(inner)
    return str(getattr(named, "__module__", None) or "builtins"), str(named.__qualname__)


def path() -> list[str]:
    """Where the caller finds its modules: the working directory, then folders that are not its interpreter's."""
    own = {os.path.realpath(prefix) for prefix in (sys.prefix, sys.base_prefix)}
    cwd = os.getcwd()
    folders = [os.path.abspath(entry or cwd) for entry in sys.path]
    beside = [
        entry for entry in folders if not any(os.path.realpath(entry).startswith(f"{root}{os.sep}") for root in own)
    ]
    return list(dict.fromkeys([cwd, *(entry for entry in beside if os.path.exists(entry))]))


def describe(function: Callable[..., Any]) -> dict[str, Any]:
    """The fields of a `FunctionSpec`.

    Raises
    ------
    FunctionError
        It is none, does not pickle, or is too large.
    """
    if not callable(function):
        raise FunctionError(f"a function is wanted, not {function!r} of type {type(function).__name__}")
    module, name = name_of(function)
    spec: dict[str, Any] = {"module": module, "function": name, "path": path(), "python": sys.executable}
    if is_importable(function, module, name):
        return spec
    try:
        pickled = cloudpickle.dumps(function)
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        raise FunctionError(
            f"function {name} cannot be sent to other processes, as it does not pickle: {why}"
        ) from error
    if len(pickled) > SIZE_LIMIT:
        size = f"{len(pickled) / 1e6:.1f} MB"
        raise FunctionError(
            f"function {name} takes {size} with all that it refers to, at most {SIZE_LIMIT >> 10} KiB can be sent: "
            "have it load its data by itself, from a file, once a process"
        )
    return spec | {"pickled": pickled}
