"""TLS over a socket that two threads use at once: one reads, others write.

`ssl.SSLSocket` must not be used so, but an `SSLObject` between two buffers in memory, with one lock, can: the lock is
held while bytes are turned into others, never while the network is waited for.

Invariants
- Records leave in the order in which they were made.
- Closing the stream in a process that was forked says nothing to the other end.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable

from .access import Access

PIECE = 256 << 10
"""Bytes that are turned into others at once."""
HANDSHAKE_LIMIT = 10.0
"""Seconds from knocking to being let in."""


class TlsStream:
    """See the module. Its methods are those of a socket, as far as a connection needs them."""

    def __init__(self, access: Access, address: tuple[str, int], lease: float) -> None:
        deadline = time.monotonic() + HANDSHAKE_LIMIT
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = access.context.wrap_bio(self._incoming, self._outgoing, server_hostname=access.server)
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self.idle: Callable[[], None] = lambda: None
        self._socket = socket.create_connection(address, HANDSHAKE_LIMIT)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # How long sent data may stay unacknowledged before the system gives the connection up.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(lease * 1e3))
            self._shake_hands(deadline)
        except BaseException:
            self._socket.close()
            raise

    def _shake_hands(self, deadline: float) -> None:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._socket.settimeout(left)
            try:
                self._object.do_handshake()
                return self._send_made()
            except ssl.SSLWantReadError:
                self._send_made()
                data = self._socket.recv(PIECE)
                if not data:
                    raise ConnectionResetError("the connection was lost") from None
                self._incoming.write(data)
            except ssl.SSLError:
                self._send_made()  # the alert that says why
                raise

    def _send_made(self) -> None:
        """Send what has been made; with `_sending` held, or by the only thread there is."""
        with self._lock:
            data = self._outgoing.read()
        if data:
            self._socket.sendall(data)

    def fileno(self) -> int:
        """The descriptor of the socket."""
        return self._socket.fileno()

    def settimeout(self, timeout: float | None) -> None:
        """How long the network is waited for."""
        self._socket.settimeout(timeout)

    def recv_into(self, buffer: memoryview) -> int:
        """Bytes that have come, at least one; 0 when the other end has hung up. For the thread that reads."""
        while True:
            with self._lock:
                try:
                    return int(self._object.read(len(buffer), buffer))
                except ssl.SSLWantReadError:
                    pass
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    return 0
            self.idle()
            data = self._socket.recv(PIECE)
            with self._lock:
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()

    def sendall(self, data: bytes) -> None:
        """Send bytes; for one thread at a time."""
        view = memoryview(data)
        for at in range(0, len(view), PIECE):
            with self._sending:
                with self._lock:
                    self._object.write(view[at : at + PIECE])  # its buffer takes all there is
                self._send_made()

    def shutdown(self, how: int) -> None:
        """Hang up, from any thread: whoever waits is woken up."""
        self._socket.shutdown(how)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
