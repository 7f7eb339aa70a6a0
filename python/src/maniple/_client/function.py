"""How a function gets to the processes that call it: by its import path where it has one, else by value."""

from __future__ import annotations

import inspect
import os
import pickle
import sys
from collections.abc import Callable, Iterable
from functools import reduce
from typing import TYPE_CHECKING, Any

from ..errors import FunctionError
from .cargo import Cargo, dumped
from .engine import ENGINES
from .packages import names_in, names_of, versions
from .sources import Named, packed, preloaded
from .spec import Work

if TYPE_CHECKING:
    from .cluster import Cluster

LARGE = 900 << 10
"""Bytes of a function beyond which it is an object."""

VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
"""The Python that can call what this one pickles."""
BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


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


def describe(
    function: Callable[..., Any],
    *,
    shared: dict[str, Any] | None = None,
    initializer: Callable[..., Any] | None = None,
    initargs: tuple[Any, ...] = (),
    modules: Iterable[Named] = (),
    preload: Iterable[Named] = (),
    engine: Cluster | None = None,
) -> Work:
    """What is sent of a function: it gets what is `shared` as keyword arguments, the initializer is called before it.

    With it go the `modules`, and to a cluster the caller's own. One process of each machine imports `preload`.

    Raises
    ------
    FunctionError
        It is none, does not pickle, or is too large.
    TypeError, ValueError
        An option is wrong.
    """
    if not callable(function):
        raise FunctionError(f"a function is wanted, not {function!r} of type {type(function).__name__}")
    if initializer is not None and not callable(initializer):
        raise TypeError("initializer must be a callable")
    cargo = Cargo()
    cargo.share(shared)
    module, name = name_of(function)
    spec: dict[str, Any] = {"module": module, "function": name, "path": path(), "python": sys.executable}
    if names := preloaded(preload):
        spec["preload"] = names
    is_remote = (engine or ENGINES.default()) is not None
    sent = packed(modules, function, names, own=is_remote)
    is_imported = initializer is None and is_importable(function, module, name)
    if is_imported and sent is None:
        if is_remote:
            spec["packages"] = versions(names_of(module) | cargo.names)
        return Work({"Function": spec}, cargo)
    if not is_imported:
        spec["version"] = VERSION
    # In one pickle both have the same globals, as they had here.
    both = {"initializer": initializer, "initargs": initargs, "function": function}
    pickled = dumped(function if initializer is None else both, f"function {name}")
    if is_remote:
        # One that is sent by value names the module that it is of, and needs what it names besides.
        top = module.partition(".")[0]
        own = names_of(module) if is_imported or top == "maniple" else set()
        spec["packages"] = versions(own | (names_in(pickled) - {top}) | cargo.names)
    if sent is not None:  # to be found before anything is unpickled that comes from them
        pickled = pickle.dumps({"modules": sent, "pickled": pickled}, protocol=5)
    if len(pickled) <= LARGE:
        spec["pickled"] = pickled
    else:
        cargo.add_function(name, pickled)
    return Work({"Function": spec}, cargo)


def takers(function: Any, names: Iterable[str], given: int = 0) -> list[str] | None:
    """Which of some names a function has parameters for behind so many `given` ones; None if it does not say."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    taken = {parameter.name for parameter in parameters[:given]}
    by_name = {parameter.name for parameter in parameters if parameter.kind in BY_NAME} - taken
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    return [name for name in names if name in by_name or (takes_all and name not in taken)]
