"""Standard streams that survive what tasks do to them.

A node executes the text of this file between those of ``story.py`` and ``loading.py``.
"""

import errno
import faulthandler
import fcntl
import io
import os
import sys
from typing import Any

if "Codec" not in globals():
    from maniple.control import HIGH_FD

STREAMS = ("stdin", "stdout", "stderr")


class Pipe(io.FileIO):
    """Descriptor 1 or 2. Closed by a task, it is opened again; that nobody listens is no error."""

    def __init__(self, fd: int, spare: int) -> None:
        super().__init__(fd, "w", closefd=False)
        self.spare = spare

    def write(self, data: Any) -> Any:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EBADF:
                return len(data)
            os.dup2(self.spare, self.fileno())
            return super().write(data)


class Streams:
    """stdin, stdout, stderr, and their descriptors: whatever a task does to them, the next finds them in order."""

    def __init__(self) -> None:
        self.spares = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH_FD) for fd in range(3)]
        self.files: list[io.TextIOWrapper] = [open(0, closefd=False)]
        for fd in (1, 2):
            pipe = io.BufferedWriter(Pipe(fd, self.spares[fd]))
            self.files.append(io.TextIOWrapper(pipe, "utf-8", "backslashreplace", line_buffering=True))
        for name, file in zip(STREAMS, self.files):
            setattr(file, "close", file.flush)
            setattr(sys, name, file)
        faulthandler.enable(self.spares[2])

    def tidy(self) -> None:
        """Flushes what was printed, opens again what was closed."""
        for fd, name in enumerate(STREAMS):
            try:
                fcntl.fcntl(fd, fcntl.F_GETFD)
            except OSError:
                os.dup2(self.spares[fd], fd)
            try:
                getattr(sys, name).flush()
            except ValueError:  # it is closed
                setattr(sys, name, self.files[fd])
            except BaseException:
                continue

    def lead_to(self, *pipes: int) -> None:
        """In a copy of this process: what it writes goes into these, the streams are the same."""
        for fd, pipe in enumerate(pipes, 1):
            os.dup2(pipe, fd)
            os.dup2(pipe, self.spares[fd], inheritable=False)
            os.close(pipe)
