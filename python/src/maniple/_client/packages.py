"""Which packages a function and what it shares refer to, and their versions here: other machines may have others.

A pickle names modules as texts, and so does the code of a function in it: what looks like one and is imported here from
an installed package counts. It may name one too many, never one that is not installed.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from types import ModuleType

from ..loading import version_of
from .sources import is_installed, is_standard

TEXT = re.compile(rb"\x8c.([A-Za-z_]\w*)", re.DOTALL)
"""A short text in a pickle, up to its first dot."""
SCANNED = 4 << 20
"""How much of a pickle is looked at: what follows is mostly data."""
USUAL = ("cloudpickle", "numpy", "pandas", "polars", "pyarrow", "scipy")
"""What tasks may need that name their function themselves, where it is imported here."""


def names_in(pickled: bytes) -> set[str]:
    """What may be a module in a pickle of protocol 5."""
    return {name.decode() for name in TEXT.findall(pickled[:SCANNED])}


def names_of(module: str) -> set[str]:
    """The modules that one refers to: itself, and what it has of others."""
    if module.partition(".")[0] == "maniple":
        return set(USUAL)
    found = list(vars(sys.modules[module]).values()) if module in sys.modules else []
    names = [value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", "") for value in found]
    return {name.partition(".")[0] for name in [module, *names] if isinstance(name, str)}


def place_of(name: str) -> str:
    """The file of a module that is imported here, if it has one."""
    place = getattr(sys.modules.get(name), "__file__", None)
    return os.path.realpath(place) if isinstance(place, str) else ""


def versions(names: Iterable[str]) -> list[tuple[str, str]]:
    """Those that are installed packages, or that the caller's modules among them refer to, with their versions."""
    places = {name: place_of(name) for name in names if name != "__main__"}
    own = [name for name, place in places.items() if place and not is_installed(place) and not is_standard(place)]
    known = set(places).union(*map(names_of, own)) - {"maniple"}
    found = ((name, version_of(name)) for name in sorted(known) if is_installed(place_of(name)))
    return [(name, version) for name, version in found if version is not None]
