"""Interactive sessions for tests: Python's prompt on a terminal of its own, and a Jupyter kernel."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from queue import Empty
from typing import Any

from harness import HANG, SOURCE

PROMPT = "»ready«"
ENVIRONMENT = {"PYTHONPATH": str(SOURCE.parent), "PYTHON_BASIC_REPL": "1", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}


class Repl:
    """`python -i` on a terminal that Ctrl-C can be pressed on."""

    def __init__(self, folder: Path) -> None:
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.chdir(folder)
            os.execve(sys.executable, [sys.executable, "-q", "-i"], os.environ | ENVIRONMENT)
        self.pid, self.said = pid, ""
        self.type(f"import sys, os, maniple; sys.ps1 = {PROMPT!a}")  # whose echo is no prompt
        self.answer()

    def type(self, line: str) -> None:
        """Type a line, and the return key."""
        os.write(self.terminal, f"{line}\n".encode())

    def press(self, key: bytes) -> None:
        """Press a key."""
        os.write(self.terminal, key)

    def answer(self) -> str:
        """What is said until the next prompt, the typed line included."""
        end = time.monotonic() + HANG
        data = b""
        while not data.endswith(PROMPT.encode()):
            assert select.select([self.terminal], [], [], end - time.monotonic())[0], data.decode()
            data += os.read(self.terminal, 4096)
        return data.decode().replace("\r\n", "\n").removesuffix(PROMPT)

    def run(self, line: str) -> str:
        """Type a line; what it answers, but for the progress."""
        self.type(line)
        return "\n".join(said for said in self.answer().split("\n")[1:] if said and "\r" not in said)

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, 9)
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


class Kernel:
    """A Jupyter kernel, as a notebook has one."""

    def __init__(self, folder: Path) -> None:
        from jupyter_client.manager import KernelManager

        self.manager = KernelManager()
        spec = self.manager.kernel_spec
        assert spec is not None
        spec.argv[0] = sys.executable
        self.manager.start_kernel(
            cwd=str(folder), env=os.environ | ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=HANG)
        assert self.run("import os, sys, maniple; print(os.getpid())")[0] == "ok"
        self.pid = int(self.printed)

    def begin(self, cell: str) -> None:
        """Run a cell, without waiting for its end."""
        self.asked = self.client.execute(cell)

    def end(self) -> tuple[str, str]:
        """Wait until the cell has ended: `ok` or the name of an exception, and what it printed."""
        self.printed, status = "", "ok"
        end = time.monotonic() + HANG
        while True:
            with contextlib.suppress(Empty):
                message: dict[str, Any] = self.client.get_iopub_msg(timeout=end - time.monotonic())
                if message["parent_header"].get("msg_id") == self.asked:
                    content = message["content"]
                    if message["msg_type"] == "stream":
                        self.printed += content["text"]
                    elif message["msg_type"] == "execute_result":
                        self.printed += content["data"]["text/plain"]
                    elif message["msg_type"] == "error":
                        status = content["ename"]
                    elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                        return status, self.printed
                continue
            raise AssertionError(f"the cell goes on; it printed {self.printed!r}")

    def run(self, cell: str) -> tuple[str, str]:
        """Run a cell to its end."""
        self.begin(cell)
        return self.end()

    def interrupt(self) -> None:
        """The stop button."""
        self.manager.interrupt_kernel()

    def close(self) -> None:
        """End it."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
