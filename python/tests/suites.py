"""What runs the tests of other packages over ours: which of them cannot pass is known by name, and listed in a page.

Nothing of these tests is kept here; they are the interpreter's, or a package's that is installed.
"""

from __future__ import annotations

import importlib
import sys
import unittest
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

import pytest
from conftest import ROOT


def module(name: str) -> ModuleType | None:
    """A module of tests, or nothing, which `make test` then says in its last lines."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        skipped = ROOT / "target" / "skipped"
        skipped.parent.mkdir(exist_ok=True)
        with open(skipped, "a") as file:
            file.write(f"{name}, a suite of tests for other executors: {sys.executable} has no such module ({error})\n")
        return None


def part(package: ModuleType, name: str) -> ModuleType:
    """A module of the package; the package itself where it is one file."""
    return importlib.import_module(f"{package.__name__}.{name}") if hasattr(package, "__path__") else package


def cannot(test: Callable[..., Any], reason: str) -> Callable[..., Any]:
    """A test that does not pass; it is an error if it does."""

    @wraps(test)
    def expected_to_fail(*args: Any, **options: Any) -> Any:
        return test(*args, **options)

    marked: Callable[..., Any] = pytest.mark.xfail(reason=reason, strict=True)(expected_to_fail)
    return marked


def adapted(home: str, reasons: dict[str, str], name: str, tests: type, *bases: type) -> type:
    """A class of tests with what it runs on; those that have a reason are expected to fail."""
    made = type(name, (tests, *bases), {"__module__": home, "__qualname__": name})
    for method in unittest.TestLoader().getTestCaseNames(made):
        if reason := reasons.get(f"{name}.{method}"):
            setattr(made, method, cannot(getattr(made, method), reason))
    return made


def told(reasons: dict[str, str]) -> str:
    """The lines of the page that say of each reason which tests have it."""
    whose: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        whose.setdefault(reason, []).append(f"`{name}`")
    return "".join(f"- {reason}: {', '.join(sorted(names))}\n" for reason, names in whose.items())
