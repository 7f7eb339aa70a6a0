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


def born(how):
    """This process, and the one that imported a module; it may end by itself."""
    import imported

    if how == "exits":
        os._exit(7)
    return [os.getpid(), imported.IMPORTER]


def nature(_):
    """All that a process is given by whoever makes it."""
    own = os.getpid()
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    death = ctypes.c_int()
    ctypes.CDLL(None).prctl(2, ctypes.byref(death), 0, 0, 0)  # PR_GET_PDEATHSIG
    told = {
        "leads a session": os.getsid(0) == own and os.getpgrp() == own,
        "parent": os.getppid(),
        "death signal": death.value,
        "out of memory": open("/proc/self/oom_score_adj").read(),
        "signals": [status[name] for name in ("SigBlk", "SigIgn", "SigCgt")],
        "descriptors": sorted((fd, place(fd)) for fd in range(1000) if place(fd)),
        "environment": {**os.environ, "MANIPLE_PROCESS": mark()},
        "folder": os.getcwd(),
        "path": sys.path,
        "arguments": sys.argv,
        "streams": [type(sys.stdin), type(sys.stdout.buffer), sys.stderr.encoding, sys.stderr.fileno()],
        "limits": open("/proc/self/limits").read(),
    }
    return repr(told)


def mark():
    """The keeper that a process bears the mark of, with a ticket, also for whom it forks."""
    value = os.environ["MANIPLE_PROCESS"]
    assert f"MANIPLE_PROCESS={value}" in open("/proc/self/environ").read().split("\0")
    keeper, ticket = map(int, value.split("."))
    return keeper, ticket > 0


def place(fd):
    """What a descriptor leads to, and whether programs that are executed get it."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}").split(":")[0], os.get_inheritable(fd)
    except OSError:
        return None
