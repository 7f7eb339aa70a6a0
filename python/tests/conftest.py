"""What the tests of the child share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from harness import Node

Start = Callable[..., Node]


@pytest.fixture(params=["msgpack", "plain"])
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Starts a child with a function loaded; once with the library msgpack, once as if there were none."""
    with ExitStack() as nodes:

        def begin(function: str, **options: Any) -> Node:
            node = nodes.enter_context(Node(request.param))
            name, fields = node.load(function, **options)
            assert name == "Ready", fields
            return node

        yield begin


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    """The path of a FIFO: opening one end waits for the other."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return str(path)
