"""``maniple.connect``: the same calls on a cluster over TLS, and what becomes of them when parts of it die."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import Any

import pytest
from cluster import LocalCluster
from harness import until

import maniple
from maniple._client.access import read_access
from maniple._client.engine import ENGINES
from maniple._client.tls import TlsStream

PATIENCE = 60.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    """A coordinator, and a worker with two processes."""
    started = LocalCluster(tmp_path)
    yield started
    for connected in list(ENGINES.clusters):
        connected.close()
    started.stop()


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

    found: list[Any] = []
    kept: dict[str, Any] = {"checkpoint": f"{fifo}.checkpoint", "flush": 0} if checkpoint else {}
    run = lambda: found.append(maniple.map(task, range(400), on_error="skip", batch_size=1, **kept))  # noqa: E731
    thread = threading.Thread(target=run)
    thread.start()
    until(Path(f"{fifo}.waits").exists)
    cluster.kill_coordinator()
    cluster.start_coordinator()
    with open(fifo, "w"):  # whoever waits for it, now or later, goes on
        thread.join(PATIENCE)
    assert found == [[-x for x in range(400) if x != 7]]


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


def changed(path: Path, new: Path, **fields: Any) -> Path:
    """An access file that differs in some fields."""
    new.write_text(json.dumps(json.loads(path.read_text()) | fields))
    new.chmod(0o600)
    return new


def test_an_access_file_that_is_of_no_use_is_one_sentence(cluster: LocalCluster, tmp_path: Path) -> None:
    good, bad = cluster.access, tmp_path / "bad.access"

    def refusal(path: Path, text: str) -> None:
        with pytest.raises(maniple.EngineError, match=text) as refused:
            maniple.connect(path)
        assert "\n" not in str(refused.value) and "PRIVATE" not in str(refused.value)
        assert ENGINES.clusters == []

    refusal(tmp_path / "none", "cannot open .*none: No such file")
    refusal(tmp_path, "is not a file; give the path of one")
    refusal(good.with_name("worker.access"), "is for a worker, but a client needs client.access; give that file")
    refusal(changed(good, bad, version=9), "has format version 9, this maniple reads version 1")
    refusal(changed(good, bad, addresses=[]), "is not a maniple access file or is damaged .no address.")
    refusal(changed(good, bad, addresses=["x"]), "address 'x' is not host:port")
    refusal(changed(good, bad, key="x"), "no PEM")
    bad.write_text("{")
    refusal(bad, "damaged .line 1, column 2.; copy it again from the coordinator")
    bad.write_bytes(b"\xff")
    refusal(bad, "is not text")
    bad.write_bytes(b" " * (65 << 10))
    refusal(bad, "is longer than 65536 bytes")
    bad.chmod(0o640)
    refusal(bad, "is open to other users .mode 0640.; run: chmod 600")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    refusal(fifo, "is not a file")


def test_whoever_does_not_answer_is_one_sentence(cluster: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = LocalCluster(tmp_path / "other", slots=0)
    bad = tmp_path / "bad.access"
    told, others = (json.loads(each.access.read_text()) for each in (cluster, other))

    def refusal(text: str, **fields: Any) -> None:
        with pytest.raises(maniple.EngineError, match=f"^cannot join cluster {told['cluster']} with .*: {text}"):
            maniple.connect(changed(cluster.access, bad, **fields))

    try:
        with socket.socket() as deaf:  # bound, so that nobody else listens there
            deaf.bind(("127.0.0.1", 0))
            nobody = f"127.0.0.1:{deaf.getsockname()[1]}"
            refusal(f"{nobody}: connection refused, no coordinator listens there$", addresses=[nobody])
            refusal(
                "127.0.0.1:.*refused.*; 127.0.0.1:.* is not this cluster's", addresses=[nobody, *others["addresses"]]
            )
            with maniple.connect(changed(cluster.access, bad, addresses=[nobody, *told["addresses"]])):
                assert maniple.map(abs, [-1]) == [1]
        refusal(".*: what answers there is not this cluster's coordinator; check", addresses=others["addresses"])
        refusal(
            ".*: the coordinator does not accept this certificate; take a new access file from it$",
            certificate=others["certificate"],
            key=others["key"],
        )
        refusal("nowhere.invalid:1: [^;]+$", addresses=["nowhere.invalid:1"])
        with socket.create_server(("127.0.0.1", 0)) as stranger:
            place = f"127.0.0.1:{stranger.getsockname()[1]}"

            def answer() -> None:
                peer, _ = stranger.accept()
                with peer:
                    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    peer.recv(1 << 16)

            thread = threading.Thread(target=answer)
            thread.start()
            refusal(f"{place}: what answers there is not a maniple coordinator", addresses=[place])
            thread.join()
    finally:
        other.stop()


def test_a_silent_coordinator_is_noticed(cluster: LocalCluster, connected: maniple.Cluster) -> None:
    connection = connected.take()
    connection._lease = 0.5  # it is found out that it is stopped, and not only that the network is
    connection._beat = 0.1
    cluster.coordinator.process.send_signal(signal.SIGSTOP)
    try:
        until(lambda: connection.is_lost)
        assert "no sign of life for 0.5 s" in connection._why
    finally:
        cluster.coordinator.process.send_signal(signal.SIGCONT)
    assert maniple.map(abs, [-1]) == [1]


def test_what_only_this_machine_has_is_refused(connected: maniple.Cluster) -> None:
    with pytest.raises(maniple.FunctionError, match="cannot be sent to a cluster"):
        maniple.map(lambda x, table: x + table, [1], shared={"table": 3})
    assert maniple.map(abs, [-1]) == [1]


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
    started: list[subprocess.Popen[str]] = []

    def start(text: str) -> subprocess.Popen[str]:
        path = cluster.folder / "script.py"
        path.write_text("import os, sys, maniple\nmaniple.connect('access/client.access')\n" + textwrap.dedent(text))
        process = subprocess.Popen(
            [sys.executable, path.name], cwd=cluster.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


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


def test_the_stream_may_be_read_and_written_at_once(cluster: LocalCluster) -> None:
    access = read_access(cluster.access)
    with socket.create_server(("127.0.0.1", 0)) as server:
        # The coordinator's own certificate, for a peer that sends back what it gets.
        identity = json.loads((cluster.access.parent / "coordinator.identity").read_text())["coordinator"]
        pem = cluster.folder / "server.pem"
        pem.write_text(identity["certificate"] + identity["key"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)

        def echo() -> None:
            peer, _ = server.accept()
            with context.wrap_socket(peer, server_side=True) as secure:
                while data := secure.recv(1 << 16):
                    secure.sendall(data)

        thread = threading.Thread(target=echo)
        thread.start()
        stream = TlsStream(access, server.getsockname(), 5.0)
        stream.settimeout(PATIENCE)
        sent = os.urandom(8 << 20)
        writer = threading.Thread(target=stream.sendall, args=(sent,))
        writer.start()
        got, view = 0, memoryview(bytearray(len(sent)))
        while got < len(sent):
            got += stream.recv_into(view[got:])
        assert view.tobytes() == sent
        writer.join()
        stream.shutdown(socket.SHUT_RDWR)
        stream.close()
        thread.join()
