"""The function of a child: by its import path, or by value, with modules that this machine may lack.

A node executes the text of this file between those of ``streams.py`` and ``child.py``. It does not know which modules
are worth sending (``maniple/_client/sources.py``). One that was sent is a module like any other, though it lies on no
disk, and is imported even where another of that name is installed: so every machine runs what the caller has.
"""

import contextlib
import importlib
import importlib.machinery
import importlib.util
import os
import sys
from functools import partial, reduce
from typing import Any

if "Codec" not in globals():
    from maniple.codec import exit_of, name_of, text_of
    from maniple.objects import read

GUARD = "put these lines under if __name__ == '__main__':, or into a function"  # advice on what an import does


class Unloadable(Exception):
    """There is no function to call: why, in one line."""


def version_of(package: str) -> "str | None":
    """The version of a package, if it can be known: from itself where it is imported, else from what is installed."""
    own = getattr(sys.modules.get(package), "__version__", None)
    if type(own) is str:
        return own
    try:
        found: str = importlib.import_module("importlib.metadata").version(package)
    except Exception:
        return None
    return found


def differing(packages: Any) -> list[dict[str, str]]:
    """Those packages, of which the caller has these versions, that are others here."""
    ours = [(package, theirs, version_of(package)) for package, theirs in packages]
    return [
        {"package": package, "caller": theirs, "child": own} for package, theirs, own in ours if own and own != theirs
    ]


def prepared(what: dict[str, Any]) -> Any:
    """The function that is to be called, with what all calls share; raises Unloadable from what is the matter."""
    objects = {told["purpose"]: told for told in what.get("objects", ())}
    ours, theirs = f"{sys.version_info[0]}.{sys.version_info[1]}", what.get("version")
    if theirs and theirs != ours:
        raise Unloadable(
            f"function {what['function']} was sent by Python {theirs}, and {sys.executable} is Python {ours}: use one "
            "version on all machines (maniple worker --python), or have the function in a module that each of them has"
        )
    try:
        function = load(what["module"], what["function"], what["path"], what.get("pickled"), objects.get("Function"))
        return with_shared(function, objects["Shared"]) if "Shared" in objects else function
    except Unloadable as error:
        others = differing(what.get("packages", ()))
        if not others:
            raise
        ours = ", ".join(f"{one['package']} is {one['child']}" for one in others)
        theirs = ", ".join(f"{one['package']} {one['caller']}" for one in others)
        raise Unloadable(f"{error}; here {ours}, it was sent by {theirs}") from error.__cause__


def with_shared(function: Any, shared: dict[str, Any]) -> Any:
    """A function that is given what all calls share."""
    try:
        return partial(function, **read(shared, own=False))
    except BaseException as error:
        why = f"{name_of(type(error))}: {text_of(error)}"
        raise Unloadable(f"what the tasks share cannot be loaded in {sys.executable}: {why}") from error


def begun(initializer: Any, initargs: Any, function: Any) -> Any:
    """A function with an initializer, which is called."""
    try:
        initializer(*initargs)
    except BaseException as error:
        where = f" on {os.uname().nodename}" if lacking(error) else ""
        raise Unloadable(f"the initializer {raised(error)}{where}") from error
    return function


def lacking(error: BaseException) -> str:
    """The module that is missing, if that is it."""
    return error.name or "" if isinstance(error, ModuleNotFoundError) else ""


def raised(error: BaseException) -> str:
    """What was done by whoever is to blame for an exception."""
    if isinstance(error, SystemExit):
        with contextlib.suppress(BaseException):  # a code may have no text
            return f"called {exit_of(error)}"
    return f"raised {name_of(type(error))}: {text_of(error)}".removesuffix(": ")


def refuse_exit(error: BaseException, wanted: str, why: str) -> None:
    """Raises Unloadable if what was `wanted` is not there since a module ended the program as it was imported."""
    module, step = "", error.__traceback__ if isinstance(error, SystemExit) else None
    while step:
        if step.tb_frame.f_code.co_name == "<module>":
            module = str(step.tb_frame.f_globals.get("__name__"))
        step = step.tb_next
    if module:
        also = "" if module == wanted else f", and {why}"
        raise Unloadable(f"module {module} {raised(error)} when it was imported{also}: {GUARD}") from error


def enter(path: list[str]) -> None:
    """Modules are found where the caller finds them; once is enough."""
    ours = ("/dev/fd", "/proc/self/fd")
    sys.path[:] = path + [entry for entry in sys.path if entry and entry not in path and not entry.startswith(ours)]
    if path and os.path.isdir(path[0]):
        os.chdir(path[0])


def load(module: str, function: str, path: list[str], pickled: "bytes | None", large: "dict[str, Any] | None") -> Any:
    """The function alone."""
    enter(path)
    host = os.uname().nodename
    if pickled is not None or large is not None:
        try:
            loads = importlib.import_module("pickle").loads
            sent = read(large, own=True) if large else loads(pickled)
            if type(sent) is dict and "modules" in sent:
                provide(sent["modules"])
                sent = loads(sent["pickled"])
        except BaseException as error:
            if missing := lacking(error):
                raise Unloadable(f"no module {missing} on {host}, and function {function} needs it") from error
            refuse_exit(error, function, f"function {function} needs it")
            what = f"{name_of(type(error))}: {text_of(error)}"
            raise Unloadable(f"function {function} does not unpickle in {sys.executable}: {what}") from error
        return sent if type(sent) is not dict else begun(**sent)
    try:
        __import__(module)
        loaded = sys.modules[module]
    except BaseException as error:
        missing = lacking(error)
        if missing and f"{module}.".startswith(f"{missing}."):
            where = ", ".join(path) or "no folder of the job"
            raise Unloadable(f"no module {missing} on {host} in {where}, nor where {sys.executable} looks") from error
        if missing:
            raise Unloadable(f"no module {missing} on {host}, and module {module} imports it") from error
        refuse_exit(error, module, f"module {module} imports it")
        raise Unloadable(f"module {module} {raised(error)}") from error
    place = f"module {module} ({getattr(loaded, '__file__', None) or 'built in'})"
    try:
        found = reduce(getattr, function.split("."), loaded)
    except BaseException as error:
        raise Unloadable(f"no function {function} in {place}") from error
    if not callable(found):
        raise Unloadable(f"{function} in {place} cannot be called: it is of type {name_of(type(found))}")
    return found


class Sent:
    """Finds and loads such modules; of each it has the caller's file, whether it is a package, and the source text."""

    def __init__(self, sources: dict[str, tuple[str, bool, bytes]]) -> None:
        self.sources = sources

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """As the import system asks it; `__file__` is the path that the caller has, whether there is such a file."""
        if name not in self.sources:
            return None
        file, is_package, _ = self.sources[name]
        loader: Any = self
        if not file and importlib.machinery.PathFinder.find_spec(name, path):
            return None  # a folder without a file of its own: the one here has parts that were not sent
        spec = importlib.util.spec_from_loader(name, loader, origin=file or None, is_package=is_package)
        if spec is not None and file:
            spec.has_location = True
            if spec.submodule_search_locations is not None:
                spec.submodule_search_locations.append(os.path.dirname(file))
        return spec

    def create_module(self, spec: Any) -> None:
        """The import system's own kind will do."""

    def exec_module(self, module: Any) -> None:
        """Runs the source."""
        name = module.__spec__.name
        exec(compile(self.sources[name][2], self.sources[name][0] or name, "exec", dont_inherit=True), module.__dict__)

    def get_source(self, name: str) -> str:
        """What tracebacks show."""
        return importlib.util.decode_source(self.sources[name][2])


def provide(packed: bytes) -> None:
    """Has modules found from now on; a template has that done for its copies."""
    if any(type(known) is Sent for known in sys.meta_path):
        return
    text = importlib.import_module("zlib").decompress(packed)
    finder: Any = Sent(importlib.import_module("pickle").loads(text))
    sys.meta_path.insert(0, finder)
