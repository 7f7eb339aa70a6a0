"""The cluster that is soaked: a coordinator and workers as processes, found again by a mark in their environment."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

from processes import PATIENCE, address, children, engine, read, wait_for

HERE = Path(__file__).resolve().parent
MARK = "MANIPLE_SOAK"
"""The variable that everything inherits which is started here."""
WORKERS, SLOTS = 3, 2


def marked(mark: str) -> list[int]:
    """The processes that have this mark, or that of a part of it."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        for variable in read(f"/proc/{name}/environ").split(b"\0"):
            if variable == f"{MARK}={mark}".encode() or variable.startswith(f"{MARK}={mark}/".encode()):
                found.append(int(name))
    return found


def send(pids: Iterable[int], what: signal.Signals) -> None:
    """Send a signal; who has ended meanwhile need not get it."""
    for pid in pids:
        try:
            os.kill(pid, what)
        except ProcessLookupError:
            continue


class Worker:
    """One worker in one of its lives."""

    def __init__(self, number: int, life: int, mark: str, process: subprocess.Popen[bytes]) -> None:
        self.number, self.life, self.mark, self.process = number, life, mark, process

    @property
    def keeper(self) -> int:
        """The process that was started."""
        return self.process.pid

    @property
    def engine(self) -> int | None:
        """The keeper's child that does the work, if it is there yet."""
        return engine(self.keeper)

    @property
    def pool(self) -> list[int]:
        """The processes that run tasks."""
        engine = self.engine
        return [pid for pid in children(self.keeper) if pid != engine]


class Cluster:
    """A coordinator and workers in a folder, which has a copy of the program and of the package."""

    def __init__(self, maniple: Path, folder: Path, mark: str) -> None:
        self.folder, self.mark = folder, mark
        self.maniple = folder / "maniple"
        shutil.copy(maniple, self.maniple)
        shutil.copytree(HERE.parent.parent / "python" / "src" / "maniple", folder / "package" / "maniple")
        for name in ("work.py", "client.py"):
            shutil.copy(HERE / name, folder)
        for name in ("jobs", "said", "tmp"):
            (folder / name).mkdir()
        self.listen = "127.0.0.1:0"
        self.lock = threading.Lock()
        """Held by who starts or kills a part."""
        self.lives = 0
        self.coordinator = self._start_coordinator()
        self.workers = [self._start_worker(number, 0) for number in range(WORKERS)]

    def start(self, arguments: list[str | Path], said: str, part: str = "") -> subprocess.Popen[bytes]:
        """Start a program of the cluster; what it says goes to files."""
        environment = dict(
            os.environ,
            VIRTUAL_ENV=sys.prefix,
            PYTHONPATH=f"{self.folder / 'package'}",
            PYTHONDONTWRITEBYTECODE="1",
            TMPDIR=f"{self.folder / 'tmp'}",
            MANIPLE_BINARY=f"{self.maniple}",
        )
        environment[MARK] = self.mark + part
        with open(self.folder / "said" / f"{said}.out", "ab") as out, open(self.folder / "said" / said, "ab") as error:
            return subprocess.Popen(
                arguments, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=error
            )

    def _start_coordinator(self) -> subprocess.Popen[bytes]:
        name = f"coordinator.{self.lives}"
        self.lives += 1
        command: list[str | Path] = [self.maniple, "coordinator", "--listen", self.listen]
        started = self.start([*command, "--access-dir", "access", "--state-dir", "state"], name)
        self.listen = address(self.folder / "said" / name)
        return started

    def _start_worker(self, number: int, life: int) -> Worker:
        part = f"/w{number}.{life}"
        command: list[str | Path] = [self.maniple, "worker", "--access-file", "access/worker.access", "-j", f"{SLOTS}"]
        return Worker(number, life, self.mark + part, self.start(command, f"w{number}.{life}", part))

    def restart_coordinator(self) -> None:
        """Kill the coordinator; start it anew."""
        with self.lock:
            self.coordinator.kill()
            self.coordinator.wait()
            self.coordinator = self._start_coordinator()

    def restart_worker(self, number: int, keeper: bool, engine: bool) -> None:
        """Kill parts of a worker in one moment; when all of it is gone, start it anew."""
        with self.lock:
            worker = self.workers[number]
            wait_for("a worker's engine", lambda: worker.engine)
            doomed = [worker.keeper] if keeper else []
            if engine and worker.engine:
                doomed.append(worker.engine)
            send(doomed, signal.SIGKILL)
            worker.process.wait(PATIENCE)
            wait_for(f"the end of all of worker {number}", lambda: not marked(worker.mark), 15)
            self.workers[number] = self._start_worker(number, worker.life + 1)

    def stop(self) -> list[str]:
        """End everything in order; what is wrong afterwards."""
        trouble = []
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            trouble += self._ended(worker.process, f"worker {worker.number}")
        self.coordinator.terminate()
        trouble += self._ended(self.coordinator, "the coordinator")
        try:
            wait_for("the end of all processes", lambda: not marked(self.mark), 15)
        except RuntimeError:
            left = [f"{pid}: {read(f'/proc/{pid}/cmdline')!r}" for pid in marked(self.mark)]
            trouble.append(f"processes are left: {left}")
            send(marked(self.mark), signal.SIGKILL)
        return trouble

    @staticmethod
    def _ended(process: subprocess.Popen[bytes], name: str) -> list[str]:
        try:
            code = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return [f"{name} does not end"]
        return [] if code == 143 else [f"{name} ended with {code}"]
