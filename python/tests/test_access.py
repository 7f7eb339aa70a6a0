"""Access files and who answers: each mistake is one sentence. And the stream over which an answer comes."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from cluster import LocalCluster

import maniple
from maniple._client.access import read_access
from maniple._client.engine import ENGINES
from maniple._client.tls import TlsStream

PATIENCE = 60.0


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

    with other:
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
