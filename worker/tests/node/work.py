"""Functions for the tests of the node."""

import ctypes
import os
import sys
import time


def double(x):
    return 2 * x


def odd(x):
    """What its number says."""
    print(f"task {x} prints")
    if x == 1:
        raise ValueError("one is refused")
    if x == 2:
        ctypes.string_at(0)
    if x == 3:
        os._exit(7)
    if x == 4:
        sys.exit("no more")
    return x


def sleep(seconds):
    time.sleep(seconds)
    return seconds


def hoard(megabytes):
    """Takes memory that RLIMIT_DATA does not count, slowly enough to be watched."""
    kept = []
    for _ in range(megabytes):
        page = os.memfd_create("hoard")
        os.truncate(page, 1 << 20)
        import mmap

        kept.append(mmap.mmap(page, 1 << 20))
        kept[-1].write(b"x" * (1 << 20))
        time.sleep(0.01)
    return megabytes
