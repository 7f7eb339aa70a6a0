"""joblib's own tests of its backends, with ours in the place of loky's.

They are read from the package that is installed, with the name of one backend for that of the other; of each test those
cases run that have to do with it. CANNOT lists what does not pass all the same.
"""

from __future__ import annotations

import inspect
import itertools
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from suites import cannot

import maniple
from maniple.joblib import ManipleBackend

UNKNOWN = "runs inside a process of another backend, and such processes know none that was registered"
OWN = (
    "wants a call to fail while another runs, as loky's share an executor; here each has its own, and gives its values"
)
DEFAULT = "wants loky's to be what `prefer='processes'` chooses, and with the name changed it is not ours"
FILES = "wants files in `temp_folder`; our arrays are in files without a name"

SHARED_MEMORY = Path("/dev/shm")

CANNOT = {
    "test_nested_loop[back_compat_backend-maniple]": UNKNOWN,
    "test_nested_loop[loky-maniple]": UNKNOWN,
    "test_multiple_generator_call_separated_gc": OWN,
    "test_memmapping_leaks": FILES,
    "test_backend_hinting_and_constraints": DEFAULT,
}
"""Tests, or cases of them, that do not pass, and why."""


@pytest.fixture(autouse=True, scope="module")
def nothing_of_loky() -> Iterator[None]:
    """Remove what loky leaves: inside a process of ours, its tracker is ended before it has tidied up."""
    before = set(SHARED_MEMORY.iterdir())
    yield
    for left in set(SHARED_MEMORY.iterdir()) - before:
        if left.name.startswith("sem.loky-"):
            left.unlink()
        elif left.name.startswith("joblib_memmapping_folder_"):
            shutil.rmtree(left)


def registered(call: Callable[..., Any]) -> Callable[..., Any]:
    """`check_subprocess_call` for scripts that know our backend."""
    begin = "import maniple\nmaniple.register_joblib()\n"

    def run(command: list[str], **options: Any) -> Any:
        *start, last = command
        if start[-1] == "-c":
            return call([*start, begin + last], **options)
        script = Path(last)
        script.write_text(begin + script.read_text())
        return call(command, **options)

    return run


def renamed() -> dict[str, Any]:
    """The names of `joblib.test.test_parallel`, with our backend for loky's."""
    maniple.register_joblib()
    import joblib.test

    path = Path(joblib.test.__file__).with_name("test_parallel.py")
    module = ModuleType("joblib.test.test_parallel", __doc__)
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # our processes find the one that is installed by this name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pytest.PytestUnknownMarkWarning)
        exec(compile(path.read_text().replace('"loky"', '"maniple"'), path, "exec"), module.__dict__)
    module.__dict__["LokyBackend"] = ManipleBackend
    module.__dict__["check_subprocess_call"] = registered(module.__dict__["check_subprocess_call"])
    return module.__dict__


def is_ours(value: Any) -> bool:
    """Whether a case with this value has to do with our backend."""
    return isinstance(value, ManipleBackend) or (isinstance(value, str) and value == "maniple")


def cases(test: Callable[..., Any]) -> list[dict[str, Any]]:
    """What a test is called with, for each of its cases."""
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    axes: list[list[dict[str, Any]]] = []
    for mark in marks:
        names, values = mark.args
        names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
        axes.append([dict(zip(names, value if len(names) > 1 else [value])) for value in sorted(values, key=str)])
    return [{name: value for part in parts for name, value in part.items()} for parts in itertools.product(*axes)]


def label(value: Any) -> str:
    """A value in the name of a case."""
    if isinstance(value, str):
        return value
    return str(getattr(value, "__name__", None) or (type(value).__name__ if is_ours(value) else value))


def adapted(name: str, test: Callable[..., Any]) -> Callable[..., Any] | None:
    """A test with those of its cases that are about us, or nothing."""
    every = cases(test)
    body = inspect.getsource(test).partition("def ")[2]
    kept = [case for case in every if any(map(is_ours, case.values()))] or (every if '"loky"' in body else [])
    if not kept:
        return None
    names = list(kept[0])
    if not names:
        return cannot(test, CANNOT[name]) if name in CANNOT else test
    marks = [mark for mark in getattr(test, "pytestmark", []) if mark.name not in ("parametrize", "xfail")]
    setattr(test, "pytestmark", marks)
    parameters = []
    for case in kept:
        called = "-".join(map(label, case.values()))
        reason = CANNOT.get(name) or CANNOT.get(f"{name}[{called}]")
        expected = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
        parameters.append(pytest.param(*case.values(), id=called, marks=expected))
    made: Callable[..., Any] = pytest.mark.parametrize(names, parameters)(test)
    return made


def suite() -> dict[str, Callable[..., Any]]:
    """The tests, by name."""
    found = {name: adapted(name, test) for name, test in renamed().items() if name.startswith("test_")}
    return {name: test for name, test in found.items() if test is not None}


globals().update(suite())
