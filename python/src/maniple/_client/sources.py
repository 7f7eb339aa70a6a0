"""Modules that are sent along, since the machines that run tasks may lack them: which ones, and their source text.

They travel as text and are imported over there (`maniple/loading.py`), so what imports them inside a function finds
them, and their classes are the same for all that is sent. Nothing goes of what a module holds in memory here, nor of
the files beside it.
"""

from __future__ import annotations

import ast
import dis
import importlib.util
import os
import pickle
import sys
import sysconfig
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Union

Named = Union[str, ModuleType]
Source = tuple[str, bool, bytes]
"""File, whether it is a package, text."""

INSTALLED = ("site-packages", "dist-packages")
"""What lies below a folder of such a name is installed, and not the caller's own."""
STANDARD = [os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")]


def packed(modules: Iterable[Named], function: Any, preload: Iterable[str] = (), *, own: bool) -> bytes | None:
    """What `provide` takes: modules by name, those of their folders that they import, and with `own` the caller's.

    The caller's own are those that are imported here, are to be preloaded, or are imported by `function` or the script,
    and that lie below the folder of the script or the working directory.

    Raises
    ------
    TypeError, ValueError
        One that was named cannot be sent.
    """
    named = names_of(modules)
    known: dict[str, Source] = {}
    folders = own_folders() if own or named else []
    for name in named:
        known.update(asked_for(name))
        folders.append(os.path.dirname(os.path.realpath(known[name][0] or ".")))
    waiting = [text for _, _, text in known.values()]
    code = getattr(function, "__code__", None)
    names = [*sys.modules, *preload, *imports_of(code), *script_imports()] if own else []
    while True:
        for name in dict.fromkeys(name.partition(".")[0] for name in names):
            if name not in known and (tree := own_sources(name, folders)):
                known.update(tree)
                waiting += [text for _, _, text in tree.values()]
        if not waiting:
            break
        names = imports_in(waiting.pop())
    return zlib.compress(pickle.dumps(known, protocol=5)) if known else None


def names_of(modules: Iterable[Named]) -> list[str]:
    """The top-level names: a package is sent as a whole, as its modules refer to one another."""
    if isinstance(modules, (str, ModuleType)) or not isinstance(modules, Iterable):
        raise TypeError(f"modules={modules!r}: give a list of modules, or of their names")
    found: list[str] = []
    for module in modules:
        if not isinstance(module, (str, ModuleType)):
            raise TypeError(f"modules=: {module!r} is neither a module nor the name of one")
        found.append((module if isinstance(module, str) else module.__name__).partition(".")[0])
    return list(dict.fromkeys(found))


def preloaded(modules: Iterable[Named]) -> list[str]:
    """The full names of modules that are to be preloaded."""
    if isinstance(modules, (str, bytes, ModuleType)) or not isinstance(modules, Iterable):
        raise TypeError(f"preload={modules!r}: give a list of modules, or of their names")
    found: list[str] = []
    for module in modules:
        name = module.__name__ if isinstance(module, ModuleType) else module
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            raise TypeError(f"preload=: {module!r} is neither a module nor the name of one")
        found.append(name)
    return list(dict.fromkeys(found))


def asked_for(name: str) -> dict[str, Source]:
    """The sources of a module that was named."""
    spec = spec_of(name)
    if spec is None and name not in sys.modules:
        raise ValueError(f"modules=: there is no module {name} here that could be sent")
    places = list(spec.submodule_search_locations or ()) if spec else []
    compiled = next(compiled_parts(spec, places), None) if spec else None
    if compiled:
        raise ValueError(
            f"modules=: {name} has compiled parts, which cannot be sent ({compiled}): install it where tasks run"
        )
    found = sources_of(name, spec, places) if spec else {}
    if name not in found:
        raise ValueError(f"modules=: {name} has no Python source here that could be sent: install it where tasks run")
    return found


def own_sources(name: str, folders: list[str]) -> dict[str, Source]:
    """The sources of a module that is the caller's own, if it is; what is not plain Python is left to its machine."""
    if name in ("__main__", "__mp_main__", "maniple") or name in sys.builtin_module_names:
        return {}
    spec = spec_of(name)
    if spec is None:
        return {}
    # A folder without a file of its own may have parts in several places.
    places = [place for place in spec.submodule_search_locations or () if is_own(place, folders)]
    if (not places and not is_own(spec.origin or "", folders)) or any(compiled_parts(spec, places)):
        return {}
    return sources_of(name, spec, places)


def own_folders() -> list[str]:
    """The working directory, and the folder of the script."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    return [os.path.realpath(folder) for folder in (os.getcwd(), *([os.path.dirname(script)] if script else []))]


def is_installed(path: str) -> bool:
    """Whether a file or folder lies in a folder of installed packages."""
    return bool(set(INSTALLED) & set(Path(path).parts))


def is_standard(path: str) -> bool:
    """Whether a file or folder is the interpreter's own."""
    return any(path.startswith(f"{folder}{os.sep}") for folder in STANDARD)


def is_own(place: str, folders: list[str]) -> bool:
    """Whether a file or folder lies in one of these, and was not installed there."""
    path = os.path.realpath(place)
    return not (is_standard(path) or is_installed(path)) and any(
        path.startswith(os.path.join(folder, "")) for folder in folders
    )


def spec_of(name: str) -> ModuleSpec | None:
    """Where a module comes from, if that is known."""
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):  # ValueError: it was made by hand
        return None


def compiled_parts(spec: ModuleSpec, places: list[str]) -> Iterator[str]:
    """The files of a module, or of the folders of a package, that are machine code."""
    files = [spec.origin or "", *(str(file) for folder in places for file in Path(folder).rglob("*.*"))]
    return (file for file in files if file.endswith(tuple(EXTENSION_SUFFIXES)))


def sources_of(name: str, spec: ModuleSpec, places: list[str]) -> dict[str, Source]:
    """The sources of a module, or of all that is below the folders of a package."""
    if spec.submodule_search_locations is None:
        file = spec.origin or ""
        return {name: (file, False, text_of(file))} if file.endswith(".py") and os.access(file, os.R_OK) else {}
    found: dict[str, Source] = {}
    for folder in places:
        for path in sorted(Path(folder).rglob("*.py")):
            parts = [name, *path.relative_to(folder).with_suffix("").parts]
            if not all(part.isidentifier() for part in parts) or not os.access(path, os.R_OK):
                continue
            is_package = parts[-1] == "__init__"
            for depth in range(1, len(parts)):
                found.setdefault(".".join(parts[:depth]), ("", True, b""))
            found[".".join(parts[:-1] if is_package else parts)] = str(path), is_package, text_of(str(path))
    return found


def text_of(file: str) -> bytes:
    """A source as it is; how it is encoded says its head."""
    return Path(file).read_bytes()


def script_imports() -> list[str]:
    """What the script imports, inside of functions as well; a notebook has no such file."""
    script = getattr(sys.modules.get("__main__"), "__file__", None) or ""
    return imports_in(text_of(script)) if script.endswith(".py") and os.access(script, os.R_OK) else []


@lru_cache(maxsize=1024)
def imports_in(text: bytes) -> list[str]:
    """The modules that a source imports by absolute names, wherever in it."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError):
        return []
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return plain + [
        node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level
    ]


def imports_of(code: CodeType | None) -> list[str]:
    """The modules that a function imports."""
    if code is None:
        return []
    found = [step.argval for step in dis.get_instructions(code) if step.opname == "IMPORT_NAME" and step.argval]
    return found + [name for inner in code.co_consts if isinstance(inner, CodeType) for name in imports_of(inner)]
