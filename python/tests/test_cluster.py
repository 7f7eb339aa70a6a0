"""``maniple.connect``: the same calls on a cluster over TLS, and what becomes of them when parts of it die."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

import pytest
from cluster import LocalCluster, Relay
from conftest import scripts
from harness import aside, until

import maniple
from maniple._client.engine import ENGINES

PATIENCE = 60.0


@pytest.fixture
def connected(cluster: LocalCluster) -> Iterator[maniple.Cluster]:
    """This process is connected to it."""
    with maniple.connect(cluster.access) as engine:
        yield engine


def once_open(fifo: str, x: int) -> int:
    """A task of which number 5 waits until somebody opens the FIFO, each time."""
    if x == 5:
        open(fifo).close()
    return -x


@pytest.mark.usefixtures("connected")
def test_the_same_calls_run_on_the_cluster() -> None:
    factor, engines = 3, ENGINES.pids()
    assert maniple.map(lambda x: x * factor, range(1000)) == [x * factor for x in range(1000)]
    with maniple.Executor() as executor:
        assert list(executor.map(pow, [2, 3], [3, 4])) == [8, 81]
        assert isinstance(executor.submit(int, "x").exception(), ValueError)
    with maniple.Pool(2) as pool:
        assert pool.map(abs, range(-100, 0)) == list(range(100, 0, -1))
    rows = maniple.run_pools(lambda date, code: [date / 2], [[2, "a"], [4, "b"]], num_threads=2)
    assert rows.tolist() == [[2, "a", 1.0], [4, "b", 2.0]]
    with pytest.raises(maniple.JobFailed, match="1 of 2 tasks failed"):
        maniple.map(lambda x: 1 // x, [1, 0])
    assert ENGINES.pids() == engines


@pytest.mark.usefixtures("connected")
def test_large_arguments_and_values_go_both_ways() -> None:
    size = 40 << 20
    assert maniple.map(lambda data: data[::-1], [b"ab" * (size // 2)]) == [b"ba" * (size // 2)]


def test_the_last_connection_counts_or_the_one_that_is_named(cluster: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = LocalCluster(tmp_path / "other", slots=1)
    try:
        with maniple.connect(cluster.access) as first:
            with maniple.connect(other.access) as second:
                parents = {
                    worker.process.pid: engine
                    for worker, engine in zip([cluster.workers[0], other.workers[0]], [first, second])
                }

                def places(**options: Any) -> list[Any]:
                    (pid,) = maniple.map(lambda _: os.getppid(), [0], **options) or []
                    return [parents[pid]]

                assert places() == [second]
                assert places(engine=first) == [first]
                with maniple.Executor(engine=first) as executor:
                    assert parents[executor.submit(os.getppid).result()] is first
            assert places() == [first]
        assert maniple.map(os.getppid, [()]) != [cluster.workers[0].process.pid]
        with pytest.raises(maniple.EngineError, match="was closed; connect again"):
            maniple.map(abs, [1], engine=second)
    finally:
        ENGINES.end()
        other.stop()


def test_a_variable_of_the_environment_does_the_same(cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANIPLE_ACCESS_FILE", str(cluster.access))
    assert maniple.map(lambda _: os.getppid(), [0]) == [cluster.workers[0].process.pid]
    assert maniple.map(lambda _: os.getppid(), [0]) == [cluster.workers[0].process.pid]
    assert len(ENGINES.clusters) == 1


def test_results_of_a_checkpoint_come_over_the_wire(
    cluster: LocalCluster, connected: maniple.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cluster.folder / "far" / "f.checkpoint"
    path.parent.mkdir()
    assert maniple.map(lambda x: [x, {"a": x}], range(9000), checkpoint=path) == [[x, {"a": x}] for x in range(9000)]
    # It is as if the file were on another machine.
    monkeypatch.setattr(maniple.Checkpoint, "__init__", None)
    assert maniple.map(lambda x: [x, {"a": x}], range(8998, 9002), checkpoint=path, any_work=True) == [
        [x, {"a": x}] for x in range(8998, 9002)
    ]
    assert maniple.map(lambda x: [0, 0], range(10_000), checkpoint=path, any_work=True, collect=False) is None
    found = maniple.map(lambda x: [0, 0], range(10_000), checkpoint=path, any_work=True)
    assert found == [[x, {"a": x}] if x < 9002 else [0, 0] for x in range(10_000)]


@pytest.mark.usefixtures("connected")
def test_more_results_than_may_be_on_their_way_come_from_a_checkpoint(tmp_path: Path) -> None:
    big = [bytes([x]) * (1 << 20) for x in range(100)]
    for _ in range(2):
        found = maniple.map(lambda x: bytes([x]) * (1 << 20), range(100), checkpoint=tmp_path / "f", any_work=True)
        assert found == big


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_job_survives_the_death_of_its_coordinator(
    cluster: LocalCluster, connected: maniple.Cluster, fifo: str, *, checkpoint: bool
) -> None:
    def task(x: int) -> int:
        if x == 7:
            raise ValueError("seven")
        if x == 5:
            open(f"{fifo}.waits", "w").close()
            open(fifo).close()
        return -x

    kept: dict[str, Any] = {"checkpoint": f"{fifo}.checkpoint", "flush": 0} if checkpoint else {}
    call = aside(maniple.map, task, range(400), on_error="skip", batch_size=1, **kept)
    until(Path(f"{fifo}.waits").exists)
    cluster.kill_coordinator()
    cluster.start_coordinator()
    with open(fifo, "w"):  # whoever waits for it, now or later, goes on
        assert call.result(PATIENCE) == [-x for x in range(400) if x != 7]


@pytest.mark.parametrize("collect", [False, True])
@pytest.mark.parametrize("ends", [False, True])
def test_what_was_told_while_the_way_was_cut_is_heard_of(
    cluster: LocalCluster, fifo: str, tmp_path: Path, *, collect: bool, ends: bool
) -> None:
    def task(x: int) -> int:
        with open(f"{fifo}.log", "a") as file:
            file.write(f"{x}\n")
        if x == 3:
            open(f"{fifo}.waits", "w").close()
            open(fifo).close()
        if x % 10 == 7:
            raise ValueError(f"number {x}")
        return -x

    relay = Relay(json.loads(cluster.access.read_text())["addresses"][0])
    kept: dict[str, Any] = {"checkpoint": tmp_path / "f.checkpoint", "flush": 0, "collect": collect}
    with maniple.connect(cluster.access_by(relay.address)) as engine:
        call = aside(maniple.map, task, range(100), batch_size=1, engine=engine, **kept)
        until(Path(f"{fifo}.waits").exists)
        relay.cut()
        if ends:
            with open(fifo, "w"):
                cluster.coordinator.wait_for("a job has ended")
            relay.mend()
        else:
            until(lambda: len(Path(f"{fifo}.log").read_text().split()) == 100)
            relay.mend()
            with open(fifo, "w"):
                call.exception(PATIENCE)
        failed = call.exception(PATIENCE)
    relay.cut()
    assert isinstance(failed, maniple.JobFailed)
    assert [(each.task, each.message) for each in failed.failures] == [(x, f"number {x}") for x in range(7, 100, 10)]
    assert failed.results == ([-x for x in range(100) if x % 10 != 7] if collect else None)
    ran = Path(f"{fifo}.log").read_text().split()
    assert sorted(x for x in set(map(int, ran)) if ran.count(str(x)) > 1 and x % 10 != 7) == []


def test_an_executor_survives_the_death_of_its_coordinator(
    cluster: LocalCluster, connected: maniple.Cluster, fifo: str
) -> None:
    with maniple.Executor() as executor:
        futures = [executor.submit(once_open, fifo, x) for x in range(50)]
        assert futures[0].result(PATIENCE) == 0
        cluster.kill_coordinator()
        later = executor.submit(abs, -3)
        cluster.start_coordinator()
        with open(fifo, "w"):
            assert [future.result(PATIENCE) for future in futures] == [-x for x in range(50)]
        assert later.result(PATIENCE) == 3


def test_a_coordinator_that_does_not_come_back_is_given_up(
    cluster: LocalCluster, connected: maniple.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maniple._client.cluster.RECONNECT_LIMIT", 0.2)
    executor = maniple.Executor()
    assert executor.submit(abs, -1).result() == 1
    cluster.kill_coordinator()
    with pytest.raises(maniple.EngineError, match=r"cannot join cluster .* connection refused"):
        maniple.map(abs, [1])
    with pytest.raises(BrokenExecutor, match="connection refused"):
        executor.submit(abs, -1).result(PATIENCE)
    executor.shutdown()


def test_a_silent_coordinator_is_noticed(tmp_path: Path) -> None:
    started = LocalCluster(tmp_path, slots=1, options=("--lease", "2"))
    with started as cluster, maniple.connect(cluster.access) as connected:
        connection = connected.take()
        cluster.coordinator.process.send_signal(signal.SIGSTOP)
        try:
            until(lambda: connection.is_lost)
            assert "no sign of life for 2 s" in connection._why
        finally:
            cluster.coordinator.process.send_signal(signal.SIGCONT)
        assert maniple.map(abs, [-1]) == [1]


def test_a_function_by_value_is_for_the_python_that_has_sent_it(
    connected: maniple.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maniple._client.function.VERSION", "3.7")
    with pytest.raises(maniple.FunctionError, match=r"was sent by Python 3\.7, and .* is Python 3\.[0-9]+: use"):
        maniple.map(lambda x: x, [1])
    assert maniple.map(abs, [-1]) == [1]


def test_a_module_that_the_worker_lacks_is_named(connected: maniple.Cluster, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "lacking_there.py").write_text("def f(x):\n    return x\n")
    sys.path.insert(0, str(tmp_path / "elsewhere"))
    try:
        function = __import__("lacking_there").f
    finally:
        sys.path.pop(0)
    with pytest.raises(maniple.FunctionError, match=r"^no module lacking_there on .* needs it: install it"):
        maniple.map(function, [1])


def test_many_threads_use_one_connection(connected: maniple.Cluster) -> None:
    found: dict[int, Any] = {}

    def job(n: int) -> None:
        found[n] = maniple.map(lambda x: b"x" * 1000 + bytes([n]), range(3000))

    threads = [threading.Thread(target=job, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: [b"x" * 1000 + bytes([n])] * 3000 for n in range(6)}


@pytest.fixture
def script(cluster: LocalCluster) -> Iterator[Any]:
    """Starts Python with a program of its own that is connected to the cluster."""
    with scripts(cluster.folder, "maniple.connect('access/client.access')\n") as start:
        yield start


def test_an_interrupt_ends_the_job_on_the_cluster(script: Any, cluster: LocalCluster) -> None:
    os.mkfifo(cluster.folder / "gate")
    session = script(
        """
        def slow(x):
            if x == 5:
                open("gate").close()
                import signal
                signal.pause()
            return x

        try:
            maniple.map(slow, range(100), checkpoint=os.path.abspath("f"), flush=0, batch_size=1)
        except KeyboardInterrupt:
            print(maniple.map(abs, [-2]))
        """
    )
    open(cluster.folder / "gate", "w").close()
    session.send_signal(signal.SIGINT)
    stdout, stderr = session.communicate(timeout=PATIENCE)
    assert (stdout, stderr) == ("[2]\n", "")
    cluster.coordinator.wait_for("a job has ended")


def test_a_forked_process_connects_anew(script: Any) -> None:
    caller = script(
        """
        print(maniple.map(abs, [-1]))
        sys.stdout.flush()
        if os.fork() == 0:
            print(maniple.map(abs, [-2]))
            sys.exit()
        os.wait()
        print(maniple.map(abs, [-3]))
        """
    )
    stdout, stderr = caller.communicate(timeout=PATIENCE)
    assert (stdout.splitlines(), stderr) == (["[1]", "[2]", "[3]"], "")


def test_calls_that_were_submitted_are_made_before_the_interpreter_ends(script: Any) -> None:
    caller = script(
        """
        executor = maniple.Executor()
        executor.submit(pow, 2, 10).add_done_callback(lambda future: print(future.result()))
        """
    )
    stdout, stderr = caller.communicate(timeout=PATIENCE)
    assert (stdout, stderr) == ("1024\n", "")
