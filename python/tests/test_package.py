"""The modules of the package: this interpreter can import each."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import maniple

MODULES = [module.name for module in pkgutil.walk_packages(maniple.__path__, "maniple.")]


@pytest.mark.parametrize("name", MODULES)
def test_can_be_imported(name: str) -> None:
    importlib.import_module(name)
