"""A cluster for tests: a coordinator and workers on loopback, over TLS, in a folder of their own."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

from harness import HANG


class Program:
    """A `maniple` that runs; what it logs can be waited for."""

    def __init__(self, folder: Path, *args: str) -> None:
        environment = os.environ | {"VIRTUAL_ENV": sys.prefix}
        self.process = subprocess.Popen(
            [os.environ["MANIPLE_BINARY"], *args], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[str] = []
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self._news.put(line)
        self._news.put("")

    def wait_for(self, text: str) -> str:
        """The next line that has this in it."""
        while text not in (line := self._news.get(timeout=HANG)):
            assert line, f"it ended: {''.join(self.lines)}"
            self.lines.append(line)
        self.lines.append(line)
        return line

    def rest(self) -> str:
        """All that it logged and nobody waited for, up to its end."""
        return "".join(iter(lambda: self._news.get(timeout=HANG), ""))

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        self.process.wait(HANG)


class LocalCluster:
    """See the module; ended by the end of a `with` block."""

    def __init__(self, folder: Path, slots: int = 2, options: tuple[str, ...] = ()) -> None:
        self.folder, self._listen, self._options = folder, "127.0.0.1:0", options
        self.workers: list[Program] = []
        self.start_coordinator()
        if slots:
            self.start_worker(slots)

    def start_coordinator(self) -> None:
        """Start the coordinator, on the same port as before if there was one."""
        command = ["coordinator", "--listen", self._listen, "--access-dir", "access", "--log", "info"]
        self.coordinator = Program(self.folder, *command, *self._options)
        self._listen = self.coordinator.wait_for("listening on ").split()[-1]

    def start_worker(self, slots: int, *options: str, address: str | None = None) -> None:
        """Start a worker with so many processes, which may reach the coordinator at an address of its own."""
        path = self.folder / "access" / "worker.access" if address is None else self.access_by(address, "worker")
        self.workers.append(
            Program(self.folder, "worker", "--access-file", str(path), "-j", str(slots), "--log", "info", *options)
        )

    @property
    def address(self) -> str:
        """Where the coordinator is."""
        return self._listen

    @property
    def access(self) -> Path:
        """The access file of clients."""
        return self.folder / "access" / "client.access"

    def access_by(self, address: str, role: str = "client") -> Path:
        """An access file by which the coordinator is reached at another address."""
        path = self.folder / f"{role}.{address.rpartition(':')[2]}.access"
        theirs = (self.folder / "access" / f"{role}.access").read_text()
        path.write_text(json.dumps(json.loads(theirs) | {"addresses": [address]}))
        path.chmod(0o600)
        return path

    def kill_coordinator(self) -> None:
        """`kill -9` of it."""
        self.coordinator.end(signal.SIGKILL)

    def __enter__(self) -> LocalCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End everything in order."""
        for program in [*self.workers, self.coordinator]:
            if program.process.poll() is None:
                program.end()


class Relay:
    """The way to a coordinator, which can be cut; of what comes from there it passes on so many bytes at `most`."""

    def __init__(self, address: str, most: int | None = None) -> None:
        host, _, port = address.rpartition(":")
        self._to, self._port = (host, int(port)), 0
        self.there = self.back = 0
        """Bytes that went to the coordinator, and that came from it."""
        self.most, self.stuck = most, threading.Event()
        self.mend()

    def mend(self) -> None:
        """Let connections through."""
        self._server = socket.create_server(("127.0.0.1", self._port))
        self._port = self._server.getsockname()[1]
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, args=(self._server, self._ends), daemon=True).start()

    @property
    def address(self) -> str:
        """Where it is."""
        return f"127.0.0.1:{self._port}"

    def _accept(self, server: socket.socket, ends: list[socket.socket]) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = server.accept()
                far = socket.create_connection(self._to)
                ends += [near, far]
                for pair in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, there: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if there:
                    self.there += len(data)
                else:
                    self.back += len(data)
                    if self.most is not None and self.back > self.most:
                        self.stuck.set()
                        return
                target.sendall(data)

    def cut(self) -> None:
        """End all connections, and let no more through."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
