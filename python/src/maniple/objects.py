"""Objects: what all tasks of a job need, mapped by the child that reads it and not copied.

A node executes the text of this file between those of ``shape.py`` and ``control.py``. It does not know who made an
object, nor how it came to this machine. An object is a value's pickle of protocol 5 and its buffers, which are most of
an array, a frame or a table:

    id: u64, count of buffers: u64, length of the pickle and of each buffer: u64, all little-endian; then these, each
    from a multiple of 64 on

Invariant: who reads an object writes nothing into it; its buffers are read-only, or the reader's own copies.
"""

import importlib
import mmap
import os
import struct
from typing import Any

ALIGNMENT = 64  # as Arrow and the processor's vectors have it


def padding(at: int) -> int:
    """Bytes from a place to the next section."""
    return -at % ALIGNMENT


def sections(what: dict[str, Any]) -> list[memoryview]:
    """The pickle of an object and its buffers, as read-only views; raises OSError or ValueError."""
    # Whoever closed it may have a pipe in its place by now, which is not to be waited for.
    fd = os.open(what["place"], os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        data = memoryview(mmap.mmap(fd, what["size"], access=mmap.ACCESS_READ))
    finally:
        os.close(fd)
    number, count = struct.unpack_from("<QQ", data)
    if number != what["id"]:
        raise ValueError("it is another one")
    found, at = [], 24 + 8 * count
    for (length,) in struct.iter_unpack("<Q", data[16:at]):
        at += padding(at)
        found.append(data[at : at + length])
        at += length
    return found


def read(what: dict[str, Any], *, own: bool) -> Any:
    """The value of an object; with `own` the reader may write into its arrays, which then are copies."""
    pickled, *buffers = sections(what)
    views = map(bytearray, buffers) if own else buffers
    return importlib.import_module("pickle").loads(pickled, buffers=views)
