"""``maniple.connect``: a cluster in the place of the engine of this process.

Its coordinator goes on with a job when the connection is lost, so it is connected to again; one that was never reached
is a mistake, which is told at once. What failures mean is as in `shared/src/security/refusal.rs`: with TLS 1.3 a
certificate that is not accepted is heard of at the first read.
"""

from __future__ import annotations

import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from types import TracebackType

from ..errors import EngineError
from .access import Access, read_access
from .engine import ENGINES, Away
from .tls import HANDSHAKE_LIMIT, TlsStream
from .wire import ERRORS, Connection

RECONNECT_LIMIT = 120.0
"""Seconds that a coordinator which has gone away is waited for."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
ANSWER_LIMIT = 10.0
"""Seconds that a coordinator may take for its first word, and sent data may stay unacknowledged."""

OTHER_CLUSTER = "what answers there is not this cluster's coordinator; check host and port, or take its access file"
NOT_ACCEPTED = "the coordinator does not accept this certificate; take a new access file from it"
NOT_A_COORDINATOR = "what answers there is not a maniple coordinator; check host and port"
LOST = "the connection was lost"

STRANGE_ISSUERS = {2, 7, 18, 19, 20, 21, 62}
"""OpenSSL's codes for a certificate of another authority, or another name."""
ALERTS = (
    "UNKNOWN_CA DECRYPT_ERROR BAD_CERTIFICATE CERTIFICATE_EXPIRED CERTIFICATE_REVOKED CERTIFICATE_UNKNOWN "
    "CERTIFICATE_REQUIRED UNSUPPORTED_CERTIFICATE ACCESS_DENIED"
).split()
"""How a coordinator says that it does not accept our certificate."""
ACCIDENTS = ("INTERNAL_ERROR", "USER_CANCELLED", "BAD_RECORD_MAC", "UNEXPECTED_EOF")


class Unreachable(Exception):
    """There is no connection; trying again may help."""


def reason(error: Exception) -> tuple[str, bool]:
    """What it means that a connection was not made, and whether trying again may help."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (OTHER_CLUSTER if error.verify_code in STRANGE_ISSUERS else NOT_A_COORDINATOR), False
    if isinstance(error, ssl.SSLError):
        told = error.reason or ""
        if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)) or told.endswith(ACCIDENTS):
            return LOST, True
        return (NOT_ACCEPTED if "ALERT" in told and told.endswith(tuple(ALERTS)) else NOT_A_COORDINATOR), False
    if isinstance(error, ConnectionRefusedError):
        return "connection refused, no coordinator listens there", True
    if isinstance(error, (TimeoutError, socket.timeout)):
        return f"no answer within {HANDSHAKE_LIMIT:g} s", True
    if isinstance(error, ConnectionError):
        return LOST, True
    if isinstance(error, OSError):
        return error.strerror or str(error), True
    if isinstance(error, (ValueError, struct.error)):
        return NOT_A_COORDINATOR, False
    raise error


class Cluster:
    """A cluster that this process is connected to; see :func:`maniple.connect`.

    It may be used by any number of calls and threads at once. A process that is forked connects anew.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._connection: Connection | None = None
        self._failure: EngineError | None = None
        self._closed = threading.Event()
        self._waiting: list[Callable[[], None]] = []
        self._guard, self._dialling = threading.Lock(), threading.Lock()
        self._thread: threading.Thread | None = None
        try:
            self._connection = self._dial()
        except Unreachable as error:
            raise EngineError(str(error)) from error

    def __repr__(self) -> str:
        """Which one, and how."""
        return f"<Cluster {self._access.cluster} of {self._access.path}>"

    def __enter__(self) -> Cluster:
        """The cluster, which is left at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave it."""
        self.close()

    def close(self) -> None:
        """Leave the cluster. Jobs that are running are stopped, but for what their checkpoints keep."""
        self._closed.set()
        if self in ENGINES.clusters:
            ENGINES.clusters.remove(self)
        with self._guard:
            connection, thread = self._connection, self._thread
        if connection is not None:
            connection.close()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def take(self, later: Callable[[], None] | None = None) -> Connection:
        """A connection that stands; see `Engines.take`."""
        with self._guard:
            connection = self._standing()
            if connection is not None:
                return connection
            if later is not None:
                if self._failure is not None:
                    failure, self._failure = self._failure, None
                    raise failure
                self._waiting.append(later)
                if self._thread is None:
                    self._thread = threading.Thread(target=self._come_back, name="maniple-connect", daemon=True)
                    self._thread.start()
                raise Away
        return self._connect_again()

    def forget(self) -> None:
        """In a process that was forked: the connection is the parent's."""
        connection, access, closed = self._connection, self._access, self._closed.is_set()
        if connection is not None:
            connection.disown()
        self._guard, self._dialling, self._closed = threading.Lock(), threading.Lock(), threading.Event()
        self._access, self._connection, self._thread, self._waiting = access, None, None, []
        if closed:
            self._closed.set()

    def _standing(self) -> Connection | None:
        if self._closed.is_set():
            raise EngineError(f"the connection to cluster {self._access.cluster} was closed; connect again")
        return self._connection if self._connection is not None and not self._connection.is_lost else None

    def _come_back(self) -> None:
        failure = None
        try:
            self._connect_again()
        except EngineError as error:
            failure = error
        with self._guard:
            waiting, self._waiting, self._thread = self._waiting, [], None
            self._failure = failure
        for tell in waiting:
            tell()

    def _connect_again(self) -> Connection:
        with self._dialling:
            with self._guard:
                connection = self._standing()
            if connection is not None:
                return connection
            lost_at = self._connection.lost_at if self._connection is not None else time.monotonic() - RECONNECT_LIMIT
            pause = FIRST_PAUSE
            while True:
                try:
                    connection = self._dial()
                except Unreachable as error:
                    if time.monotonic() - lost_at > RECONNECT_LIMIT:
                        raise EngineError(f"{error}; is the coordinator running? Its jobs are kept") from error
                    self._closed.wait(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
                    self._standing()
                    continue
                # Jobs that nobody follows any more; others do their tasks.
                for number in self._connection.orphans if self._connection is not None else ():
                    connection.say({"Cancel": {"job": number, "now": True}})
                with self._guard:
                    self._connection = connection
                    if not self._closed.is_set():
                        return connection
                connection.close()
                self._standing()

    def _dial(self) -> Connection:
        """A connection to the first address that lets us in."""
        tried, may_help = [], False
        for host, port in self._access.addresses:
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            try:
                stream = TlsStream(self._access, (host, port), ANSWER_LIMIT)
                return Connection(stream, network=stream, limit=ANSWER_LIMIT)
            except ERRORS as error:
                why, helps = reason(error)
                tried.append(f"{address}: {why}")
                may_help |= helps
            except EngineError as error:
                raise EngineError(f"{address}: {error}") from error
        story = f"cannot join cluster {self._access.cluster} with {self._access.path}: {'; '.join(tried)}"
        raise Unreachable(story) if may_help else EngineError(story)


def connect(access_file: str | os.PathLike[str]) -> Cluster:
    """Have jobs run by a cluster from now on, and no more by this machine alone.

    What is called afterwards - ``map``, ``run_pools``, a new ``Executor`` or ``Pool`` - goes to the cluster that was
    connected to last, until that is closed, or is told by ``engine=`` which one to use. The environment variable
    ``MANIPLE_ACCESS_FILE`` does the same without a call.

    Parameters
    ----------
    access_file
        The ``client.access`` that the coordinator wrote into its access directory, or a copy of it.

    Returns
    -------
    Cluster
        To be closed by ``close()``, by the end of a ``with`` block, or by the end of this process.

    Raises
    ------
    EngineError
        The file is of no use, no coordinator answers, or it does not accept the file.

    Examples
    --------
    >>> import maniple
    >>> with maniple.connect("client.access"):  # doctest: +SKIP
    ...     maniple.map(abs, [-1, -2])
    [1, 2]
    """
    cluster = Cluster(read_access(access_file))
    ENGINES.clusters.append(cluster)
    return cluster
