"""``maniple.ProcessMonitor``: readings of this machine, its engine that is replaced or killed, alerts."""

from __future__ import annotations

import datetime
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import gone, until

import maniple
from maniple import ProcessMonitor
from maniple._client.engine import ENGINES
from maniple._monitor import FIGURES, Ear

PATIENCE = 60.0


@pytest.fixture
def monitor() -> Iterator[ProcessMonitor]:
    with ProcessMonitor() as it:
        yield it


def test_a_reading_is_of_this_machine(monitor: ProcessMonitor) -> None:
    stats = monitor.get_system_stats()
    assert set(stats) == set(FIGURES)
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < stats["memory_used"] < stats["memory_total"] <= total
    disk = os.statvfs("/")
    assert stats["disk_total"] <= disk.f_blocks * disk.f_frsize
    for name in ("cpu_percent", "memory_percent", "disk_usage"):
        assert 0 <= stats[name] <= 100
    assert stats["process_count"] > 2
    assert min(monitor.get_network_info().values()) >= 0
    (node,) = monitor.nodes()
    assert node["host"] == os.uname().nodename
    assert monitor.get_system_stats(node["node"])["slots"] == monitor.get_system_stats(node["host"])["slots"]
    with pytest.raises(LookupError, match=f"no node 'elsewhere'; there are: {node['node']}"):
        monitor.get_process_info("elsewhere")


def test_the_processes_that_run_tasks_are_listed(monitor: ProcessMonitor) -> None:
    until(lambda: len(monitor.get_process_info()) >= 1)
    (engine,) = ENGINES.pids()
    with maniple.Executor(2) as executor:
        pids = {executor.submit(os.getpid).result()}
        until(lambda: pids <= {process["pid"] for process in monitor.get_process_info()})
        (task,) = [process for process in monitor.get_process_info() if process["pid"] in pids]
        assert task["memory"] > 1 << 20 and 0 < task["memory_percent"] < 100 and "python" in task["name"]
        until(lambda: monitor.get_system_stats()["pool_memory"] > 0)
        if ENGINES.pids() != [engine]:  # its size was another
            gone(engine)


def test_it_follows_the_engine(monitor: ProcessMonitor) -> None:
    slots = [0]
    for slots[0] in (3, 1):
        assert maniple.map(abs, [-1, -2], processes=slots[0]) == [1, 2]
        until(lambda: [stats["slots"] for stats in monitor.nodes()] == slots)
    (before,) = monitor.nodes()
    (pid,) = ENGINES.pids()
    os.kill(pid, signal.SIGKILL)
    until(lambda: monitor.history()[-1]["node"] != before["node"])  # which asks for nothing
    hosts = {stats["node"] for stats in monitor.history()}
    assert before["node"] in hosts and len(hosts) >= 3, "what it was told before is kept"
    assert monitor.history(before["node"])[-1]["slots"] == 1


def test_alerts_are_told_once_until_the_bound_holds_again(monitor: ProcessMonitor) -> None:
    told: queue.Queue[dict[str, Any]] = queue.Queue()
    forgotten = monitor.add_alert("busy", lambda alert: told.put({}), above=0)
    assert monitor.remove_alert(forgotten) and not monitor.remove_alert(forgotten)
    monitor.add_alert("busy", told.put, above=0)
    with maniple.Executor(1) as executor:
        for _ in range(2):
            waits, release = os.pipe()
            future = executor.submit(blocked, f"/proc/{os.getpid()}/fd/{waits}")
            alert = told.get(timeout=PATIENCE)
            assert (alert["figure"], alert["value"], alert["threshold"]) == ("busy", 1, 0)
            assert alert["node"] == monitor.nodes()[0]["node"] and alert["host"] == os.uname().nodename
            seen = monitor.history()
            until(lambda seen=seen: len(monitor.history()) > len(seen))  # type: ignore[misc]
            assert told.empty(), "it is past the bound still"
            os.write(release, b"!")
            assert future.result() == b"!"
            until(lambda: monitor.history()[-1]["busy"] == 0)
            os.close(waits)
            os.close(release)


def blocked(path: str) -> bytes:
    with open(path, "rb") as pipe:
        return pipe.read(1)


def test_nodes_are_added_up() -> None:
    monitor = ProcessMonitor()
    with ProcessMonitor() as other:
        assert other._ear is not None
        monitor._ear = ear = Ear(monitor, other._ear.connection)
        for worker, cpu, used in [(1, 10.0, 1), (2, 30.0, 5)]:
            own = [{"pid": worker, "name": "python3", "cpu_percent": 1.0, "memory": used}]
            traffic = dict.fromkeys(["bytes_sent", "bytes_received", "packets_sent", "packets_received"], worker)
            detail = {"processes": 4, "disk_used": 1, "disk_total": 4, "traffic": traffic, "own": own}
            status = {"busy": 1, "cpu_percent": cpu, "memory_used": used, "memory_total": 10, "pool_memory": 2}
            fields = {"worker": worker, "host": f"h{worker}", "slots": 4, "status": {**status, "detail": detail}}
            ear.hear("Watched", fields, b"")
        stats = monitor.get_system_stats()
        assert (stats["cpu_percent"], stats["memory_percent"], stats["disk_usage"]) == (20.0, 30.0, 25.0)
        assert (stats["process_count"], stats["slots"], stats["busy"], stats["pool_memory"]) == (8, 8, 2, 4)
        assert set(monitor.get_network_info().values()) == {3}
        assert [(one["pid"], one["host"]) for one in monitor.get_process_info()] == [(1, "h1"), (2, "h2")]
        assert monitor.get_system_stats("h2")["cpu_percent"] == 30.0
        ear.hear("Watched", {"worker": 1, "host": "h1", "slots": 4, "status": None}, b"")
        ear.hear("Watched", {"worker": 2, "host": "h2", "slots": 4, "status": {**status, "detail": None}}, b"")
        (left,) = monitor.nodes()
        assert (left["host"], left["process_count"], left["processes"]) == ("h2", 0, []), (
            "an older worker has no detail"
        )
        monitor._ear = None


def test_mistakes_are_raised(monitor: ProcessMonitor) -> None:
    with pytest.raises(ValueError, match="figure='cpu': give one of cpu_percent, memory_percent"):
        monitor.add_alert("cpu", print, above=1)
    with pytest.raises(ValueError, match="an alert for busy needs a bound"):
        monitor.add_alert("busy", print)


def test_the_history_is_bounded() -> None:
    with ProcessMonitor(history=2) as monitor:
        seen: set[datetime.datetime] = set()
        while len(seen) < 4:
            monitor.nodes()
            seen |= {stats["time"] for stats in monitor.history()}
        assert len(monitor.history()) == 2
        assert monitor.history()[0]["time"] < monitor.history()[1]["time"]
    count = len(monitor.history())
    assert monitor.get_system_stats() and len(monitor.history()) >= count, "asked again, it watches again"
    monitor.stop()


SCRIPT = """
import maniple
monitor = maniple.ProcessMonitor()
monitor.add_alert("slots", lambda alert: print("alert", flush=True), above=0)
assert monitor.nodes()
print(monitor.nodes()[0]["slots"] > 0)
"""


def test_nothing_of_it_holds_up_the_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")},
    )
    assert (done.returncode, done.stderr) == (0, "") and "True" in done.stdout


def test_a_fork_watches_by_itself(monitor: ProcessMonitor) -> None:
    (parents,) = monitor.nodes()
    child = os.fork()
    if not child:
        code = 1
        try:
            (own,) = monitor.nodes()
            ENGINES.end()
            code = own["node"] == parents["node"]
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert monitor.nodes()[0]["node"] == parents["node"]
