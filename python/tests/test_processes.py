"""``maniple.ProcessManager``: commands by name, whole trees, output that floods, and who is killed."""

from __future__ import annotations

import datetime
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import gone, until

from maniple import ProcessManager
from maniple._processes import _ENGINES

PATIENCE = 60.0


class Log:
    """Collects the calls of `on_complete`."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int | None]] = []
        self._change = threading.Condition()

    def __call__(self, name: str, code: int | None) -> None:
        with self._change:
            self.calls.append((name, code))
            self._change.notify_all()

    def wait(self, number: int) -> list[tuple[str, int | None]]:
        with self._change:
            assert self._change.wait_for(lambda: len(self.calls) >= number, PATIENCE), self.calls
            return self.calls


@pytest.fixture
def manager() -> Iterator[ProcessManager]:
    it = ProcessManager(max_processes=5, output_limit=1 << 20, expire=3600, keep=100)
    yield it
    for name in it.process_ids():
        it.stop_process(name, 0)
        it.remove_process(name)


def written(manager: ProcessManager, name: str, lines: int) -> list[str]:
    """What it has written when these are so many lines."""
    until(lambda: manager.get_process_status(name)["stdout"].count("\n") >= lines)
    return str(manager.get_process_status(name)["stdout"]).splitlines()


def test_a_process_is_watched_while_it_runs(manager: ProcessManager, fifo: str, tmp_path: Path) -> None:
    log = Log()
    code = """
import os, sys
print("Hello", flush=True)
open(sys.argv[1])
print("Goodbye", os.getcwd(), os.environ["A"])
"""
    cmd = [sys.executable, "-c", code, fifo]
    before = datetime.datetime.now(datetime.timezone.utc)
    assert manager.start_process("unique", cmd, cwd=tmp_path, env={"A": "b"}, on_complete=log)
    assert ProcessManager() is manager
    assert written(manager, "unique", 1) == ["Hello"]
    status = manager.get_process_status("unique")
    assert (status["status"], status["returncode"], status["end_time"]) == ("running", None, None)
    assert (status["cmd"], status["cwd"]) == (cmd, str(tmp_path))
    assert before < status["start_time"] < datetime.datetime.now(datetime.timezone.utc)
    assert Path(f"/proc/{status['pid']}/cwd").resolve() == tmp_path.resolve()
    open(fifo, "w").close()
    assert log.wait(1) == [("unique", 0)]
    status = manager.get_process_status("unique")
    assert (status["status"], status["returncode"], status["error"]) == ("completed", 0, None)
    assert status["stdout"] == f"Hello\nGoodbye {tmp_path} b\n"
    assert status["end_time"] > status["start_time"]
    assert not manager.stop_process("unique")


def test_what_is_not_started_says_why(manager: ProcessManager, tmp_path: Path) -> None:
    assert manager.get_process_status("none")["status"] == "unknown"
    assert not manager.stop_process("none") and not manager.remove_process("none")
    log = Log()
    for cmd, cwd, why in [
        (["no-such-program"], None, "no-such-program"),
        (["true"], tmp_path / "none", "No such file or directory"),
        ([str(tmp_path)], None, "Permission denied"),
    ]:
        assert not manager.start_process("bad", cmd, cwd=cwd, on_complete=log)
        status = manager.get_process_status("bad")
        assert (status["status"], status["returncode"], status["pid"]) == ("failed", None, None)
        assert why in status["error"]
    assert manager.start_process("bad", ["false"], on_complete=log), "the name is free again"
    assert log.wait(1) == [("bad", 1)]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"cmd": []}, ValueError),
        ({"cmd": ""}, ValueError),
        ({"cmd": ["a\0b"]}, ValueError),
        ({"cmd": [1]}, TypeError),
        ({"cmd": 1}, TypeError),
        ({"cmd": "true", "env": {"A": 1}}, TypeError),
        ({"cmd": "true", "env": {"A=B": "1"}}, ValueError),
        ({"cmd": "true", "cwd": "/\ud800"}, ValueError),
        ({"cmd": "true", "process_id": 1}, TypeError),
    ],
)
def test_mistakes_are_raised(manager: ProcessManager, arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        manager.start_process(**{"process_id": "x", **arguments})
    assert manager.get_process_status("x")["status"] == "unknown"
    for number in (0, -1, True, "5", 5000):
        with pytest.raises(ValueError, match="from 1 to"):
            ProcessManager(number)  # type: ignore[arg-type]


def test_what_does_not_fit_into_a_message_leaves_nothing(manager: ProcessManager) -> None:
    with pytest.raises(ValueError, match="too long"):
        manager.start_process("x", "true", env={"A": "a" * (2 << 20)})
    until(lambda: manager.get_process_status("x")["status"] == "failed")
    assert manager.start_process("x", "true")


def test_arguments_and_variables_arrive_as_they_are(manager: ProcessManager, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    assert manager.start_process("a", "true", on_complete=log)
    monkeypatch.setenv("SET_AFTER_THE_ENGINE_BEGAN", "seen")
    odd = ["{}", "{1}", "", "ä b", "$HOME", os.fsdecode(b"\xff")]
    code = "import os, sys; print(ascii(sys.argv[1:])); print(os.environ['SET_AFTER_THE_ENGINE_BEGAN'])"
    assert manager.start_process("b", [sys.executable, "-c", code, *odd], on_complete=log)
    assert manager.start_process("c", "echo 'a  b' $HOME", on_complete=log)
    log.wait(3)
    assert manager.get_process_status("b")["stdout"] == f"{odd!a}\nseen\n"
    assert manager.get_process_status("c")["stdout"] == "a  b $HOME\n", "no shell runs"


@pytest.mark.parametrize("grace", [0.0, 0.2])
def test_stopping_ends_the_whole_tree_though_it_ignores_sigterm(manager: ProcessManager, grace: float) -> None:
    log = Log()
    ignore = "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    tell = "os.write(1, b'%d\\n' % os.getpid()); signal.pause()"
    # A child, one in a session of its own, and a grandchild whose parent has gone.
    code = f"""
{ignore}
if os.fork():
    if os.fork():
        if os.fork(): {tell}
        os.setsid()
        if os.fork(): os._exit(0)
        {tell}
    os.setsid()
    {tell}
{tell}
"""
    assert manager.start_process("tree", [sys.executable, "-c", code.strip()], on_complete=log)
    pids = [int(line) for line in written(manager, "tree", 4)]
    assert manager.stop_process("tree", grace)
    assert log.wait(1) == [("tree", -signal.SIGKILL)]
    status = manager.get_process_status("tree")
    assert (status["status"], status["returncode"]) == ("stopped", -signal.SIGKILL)
    for pid in pids:
        gone(pid)


def test_a_leader_that_obeys_takes_the_others_along(manager: ProcessManager) -> None:
    stray = "trap '' TERM; echo $$; exec sleep 1000"
    # One has lost its parents, the other has emptied its environment.
    script = f'trap \'exit 7\' TERM; (setsid sh -c "{stray}" &); setsid env -i $(command -v sh) -c "{stray}" & wait'
    assert manager.start_process("obeys", ["sh", "-c", script])
    pids = [int(line) for line in written(manager, "obeys", 2)]
    assert manager.stop_process("obeys")
    status = manager.get_process_status("obeys")
    assert (status["status"], status["returncode"]) == ("stopped", 7)
    for pid in pids:
        gone(pid)


def test_a_flood_is_read_and_its_end_kept(manager: ProcessManager) -> None:
    log = Log()
    size = 100_000_000
    script = f"yes 'line é' | head -c {size}; yes 2>/dev/null | head -c {size} >&2; printf 'the end'; printf 'äö' >&2"
    assert manager.start_process("flood", ["sh", "-c", script], on_complete=log)
    log.wait(1)
    status = manager.get_process_status("flood")
    assert status["stdout"].endswith("the end") and status["stderr"].endswith("äö")
    assert "\ufffd" not in status["stdout"], "no character is cut in two"
    for name, extra in (("stdout", 7), ("stderr", 4)):
        kept = len(status[name].encode())
        assert 0 <= (1 << 20) - kept < 4
        assert kept + status[f"{name}_dropped"] == size + extra


def test_as_many_run_as_may_whatever_the_cores(manager: ProcessManager) -> None:
    ProcessManager(max_processes=20)
    answers: list[bool] = []
    together = threading.Barrier(50)

    def start(number: int) -> None:
        together.wait()
        answers.append(manager.start_process(f"p{number}", ["sleep", "1000"]))

    threads = [threading.Thread(target=start, args=[number]) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 30 + [True] * 20
    running = [manager.get_process_status(name) for name in manager.process_ids()]
    assert {status["status"] for status in running} == {"running"} and len(running) == 20
    for status in running:
        assert Path(f"/proc/{status['pid']}/comm").read_text() == "sleep\n"
    assert not manager.start_process(running[0]["process_id"], "true"), "that name is taken"
    stopping = [threading.Thread(target=manager.stop_process, args=[status["process_id"]]) for status in running]
    for thread in stopping:
        thread.start()
    for thread in stopping:
        thread.join()
    assert {manager.get_process_status(name)["returncode"] for name in manager.process_ids()} == {-signal.SIGTERM}
    assert manager.start_process("after", "true")


def test_a_name_runs_once_however_many_ask(manager: ProcessManager) -> None:
    answers: list[bool] = []
    threads = [
        threading.Thread(target=lambda: answers.append(manager.start_process("one", ["sleep", "1000"])))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 19 + [True]


def test_what_has_ended_is_forgotten(manager: ProcessManager) -> None:
    ProcessManager(keep=2)
    log = Log()
    for number in range(4):
        assert manager.start_process(f"p{number}", "true", on_complete=log)
        log.wait(number + 1)
    assert manager.process_ids() == ["p2", "p3"]
    assert manager.remove_process("p2") and manager.process_ids() == ["p3"]
    assert manager.start_process("runs", ["sleep", "1000"])
    ProcessManager(expire=0.0)
    assert manager.process_ids() == ["runs"]
    assert not manager.remove_process("runs")


def test_callbacks_may_raise_and_start_others(manager: ProcessManager, caplog: pytest.LogCaptureFixture) -> None:
    log = Log()

    def raises(name: str, code: int | None) -> None:
        assert manager.start_process("next", "true", on_complete=log)
        raise LookupError("mistake")

    assert manager.start_process("first", "true", on_complete=raises)
    assert log.wait(1) == [("next", 0)]
    assert "LookupError: mistake" in caplog.text


@pytest.mark.parametrize("which", ["keeper", "engine"])
def test_an_engine_that_is_killed_is_told_and_replaced(manager: ProcessManager, which: str) -> None:
    log = Log()
    assert manager.start_process(
        "lost", ["sh", "-c", "echo $$; (setsid sh -c 'echo $$; exec sleep 1000' &); sleep 1000"], on_complete=log
    )
    pids = [int(line) for line in written(manager, "lost", 2)]
    (pid,) = _ENGINES.pids()
    if which == "engine":
        children = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        (pid,) = [child for child in children if os.path.samefile(f"/proc/{child}/exe", os.environ["MANIPLE_BINARY"])]
    os.kill(pid, signal.SIGKILL)
    assert log.wait(1) == [("lost", -signal.SIGKILL)]
    status = manager.get_process_status("lost")
    assert status["status"] == "failed" and "the engine that ran it died" in status["error"]
    for pid in pids:
        gone(pid)
    assert manager.start_process("lost", "true", on_complete=log)
    assert log.wait(2)[1] == ("lost", 0)


SCRIPT = """
import sys, maniple
manager = maniple.ProcessManager()
command = ["sh", "-c", "echo $$; (setsid sh -c 'echo $$; exec sleep 1000' &); exec sleep 1000"]
assert manager.start_process("p", command, on_complete=lambda *ended: print("called", ended))
while manager.get_process_status("p")["stdout"].count("\\n") < 2: pass
print(manager.get_process_status("p")["stdout"], end="", flush=True)
"""
SOURCE = str(Path(__file__).parents[1] / "src")


@pytest.mark.parametrize("end", ["kill", "exit", "raise"])
def test_processes_end_with_their_caller(end: str) -> None:
    ways = {"kill": "sys.stdin.read()", "exit": "", "raise": "raise SystemExit(3)"}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT + ways[end]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCE},
    ) as caller:
        assert caller.stdout is not None
        pids = [int(caller.stdout.readline()) for _ in range(2)]
        if end == "kill":
            caller.kill()
        assert caller.wait(PATIENCE) == {"kill": -signal.SIGKILL, "exit": 0, "raise": 3}[end]
        for pid in pids:
            gone(pid)
        assert caller.stdout.read() == "", "what its end has ended is not told of"


def test_a_fork_has_none_of_its_parents(manager: ProcessManager, fifo: str) -> None:
    log = Log()
    assert manager.start_process("parents", ["sh", "-c", f"echo up; cat {fifo}"], on_complete=log)
    written(manager, "parents", 1)
    child = os.fork()
    if not child:
        code = 1
        try:
            own = Log()
            assert ProcessManager() is manager and manager.process_ids() == []
            assert manager.start_process("childs", "true", on_complete=own) and own.wait(1) == [("childs", 0)]
            _ENGINES.end()
            code = 0
        finally:
            os._exit(code)
    handle = os.pidfd_open(child)
    assert select.select([handle], [], [], PATIENCE)[0]
    os.close(handle)
    assert os.waitpid(child, 0)[1] == 0
    Path(fifo).write_text("still read\n")
    assert log.wait(1) == [("parents", 0)]
    assert manager.get_process_status("parents")["stdout"] == "up\nstill read\n"


def test_no_thread_of_ours_is_left_when_nothing_runs(manager: ProcessManager) -> None:
    log = Log()
    assert manager.start_process("x", "true", on_complete=log)
    log.wait(1)
    ours = {"maniple-output", "maniple-callbacks"}
    until(lambda: not ours & {thread.name for thread in threading.enumerate()})
