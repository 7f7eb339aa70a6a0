"""``maniple.ProcessMonitor``: how the machines and the processes are that tasks run on.

A worker says every second how it is, as its monitor reads it; whoever watches is sent a copy. Nothing is measured in
this program, and no thread of ours is there for it: the connection's own one takes the readings in.
"""

from __future__ import annotations

import atexit
import datetime
import os
import secrets
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from ._calls import Calls
from ._client.engine import ENGINES
from ._client.wire import Connection
from .errors import EngineError

FIRST_LIMIT = 30.0
"""Seconds that the first reading may take."""
FIGURES = (
    "cpu_percent",
    "memory_percent",
    "memory_used",
    "memory_total",
    "pool_memory",
    "disk_usage",
    "disk_used",
    "disk_total",
    "process_count",
    "slots",
    "busy",
)
"""What `ProcessMonitor.get_system_stats` tells of a node, and alerts may be set for."""
TRAFFIC = {
    "bytes_sent": "bytes_sent",
    "bytes_recv": "bytes_received",
    "packets_sent": "packets_sent",
    "packets_recv": "packets_received",
}
"""Our names, which are psutil's, and the protocol's."""


class Alert:
    """A bound on a figure. It is called when a node goes past it, and then not before that node was within it again."""

    def __init__(
        self, figure: str, callback: Callable[[dict[str, Any]], object], above: float | None, below: float | None
    ) -> None:
        self.figure, self.callback, self.above, self.below = figure, callback, above, below
        self.past = set[str]()

    def look(self, stats: dict[str, Any]) -> dict[str, Any] | None:
        """What is to be told, if something is."""
        value, node = stats[self.figure], stats["node"]
        if self.above is not None and value > self.above:
            threshold = self.above
        elif self.below is not None and value < self.below:
            threshold = self.below
        else:
            self.past.discard(node)
            return None
        if node in self.past:
            return None
        self.past.add(node)
        told = {name: stats[name] for name in ("node", "host", "time")}
        return {"figure": self.figure, "value": value, "threshold": threshold, **told}


class Ear:
    """One connection over which the workers are watched."""

    def __init__(self, monitor: ProcessMonitor, connection: Connection) -> None:
        self.monitor, self.connection, self.number = monitor, connection, secrets.randbits(64)
        self.has_heard = False

    def hear(self, name: str, fields: Any, payload: bytes | bytearray) -> None:
        """What the coordinator says."""
        if name == "Watched":
            self.has_heard = True
            self.monitor._heard(self, fields)

    def lost(self, why: str) -> None:
        """The connection is gone."""
        self.monitor._lost(self)


class ProcessMonitor:
    """Tells how the nodes are: this machine with the engine of this program, or every machine of a cluster.

    Parameters
    ----------
    history : int, optional
        How many readings are kept, over all nodes: each says once a second how it is.

    Notes
    -----
    It watches from the first question or `start` on, until `stop`, or as a context manager. It may be asked by any
    thread. It follows the engine that runs, so it goes on when jobs make another one necessary; of two that run at
    the same time it watches one.
    """

    def __init__(self, *, history: int = 3600) -> None:
        self._calls = Calls()
        self._history: deque[dict[str, Any]] = deque(maxlen=history)
        self._alerts: dict[int, Alert] = {}
        self._numbers = 0
        self._ear: Ear | None = None
        self._disown()
        _ALL.add(self)

    def start(self) -> None:
        """Watch from now on, if it does not yet.

        Raises
        ------
        EngineError
            There is no engine.
        """
        connection = ENGINES.take(None)
        try:
            ear = Ear(self, connection)
            with self._change:
                if self._ear is not None:
                    return
                self._ear = ear
            connection.follow(ear.number, ear)
            connection.say({"Watch": True})
        finally:
            # It is used by jobs alone: who only watches keeps no engine from being replaced.
            ENGINES.release(connection)

    def stop(self) -> None:
        """Watch no more, until somebody asks again. History and alerts stay."""
        with self._change:
            ear, self._ear = self._ear, None
            self._nodes.clear()
        if ear is not None:
            ear.connection.leave(ear.number)
            ear.connection.say({"Watch": False})

    def __enter__(self) -> ProcessMonitor:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def nodes(self) -> list[dict[str, Any]]:
        """The last reading of each node.

        Returns
        -------
        list of dict
            ``node`` (the worker's id), ``host``, ``time`` (when it came, a ``datetime`` in UTC), what
            `get_system_stats` and `get_network_info` tell, and ``processes``, as `get_process_info` tells them.

        Raises
        ------
        EngineError
            There is no engine, or no worker has said anything for 30 seconds.
        """
        self.start()
        with self._change:
            if self._ear is not None and not self._nodes:
                self._ear.connection.refuse_callbacks("readings cannot be waited for")
            if not self._change.wait_for(lambda: self._nodes, FIRST_LIMIT):
                raise EngineError(f"no worker has said how it is for {FIRST_LIMIT:g} s; is one connected?")
            return [dict(stats) for stats in self._nodes.values()]

    def get_system_stats(self, node: str | None = None) -> dict[str, Any]:
        """How the machines are.

        Parameters
        ----------
        node
            A node's id or host; all nodes together if there is none.

        Returns
        -------
        dict
            ``cpu_percent`` (0 to 100, over all cores and the last second; of several nodes the mean),
            ``memory_used``, ``memory_total`` (bytes; inside a container, of its bound), ``memory_percent``,
            ``disk_used``, ``disk_total`` (bytes, of the root file system), ``disk_usage`` (percent), ``process_count``
            (on the machine), ``pool_memory`` (bytes, of the processes that run tasks), ``slots`` (how many of these
            there may be), ``busy`` (how many run a task). Numbers of several nodes are added up.

        Raises
        ------
        LookupError
            There is no such node.
        EngineError
            As `nodes` does.
        """
        chosen = self._chosen(node)
        sums: dict[str, Any] = {name: sum(stats[name] for stats in chosen) for name in FIGURES}
        sums["cpu_percent"] /= len(chosen)
        sums["memory_percent"] = _percent(sums["memory_used"], sums["memory_total"])
        sums["disk_usage"] = _percent(sums["disk_used"], sums["disk_total"])
        return sums

    def get_process_info(self, node: str | None = None) -> list[dict[str, Any]]:
        """The workers and the processes that they have started; of each worker the 256 largest.

        Returns
        -------
        list of dict
            ``pid``, ``name``, ``cpu_percent`` (100 is a core), ``memory`` (bytes, resident), ``memory_percent`` (of its
            machine), ``node``, ``host``.

        Raises
        ------
        LookupError, EngineError
            As `get_system_stats` does.
        """
        return [dict(process) for stats in self._chosen(node) for process in stats["processes"]]

    def get_network_info(self, node: str | None = None) -> dict[str, int]:
        """What the network interfaces have carried since their machine was started, the loopback included.

        Returns
        -------
        dict
            ``bytes_sent``, ``bytes_recv``, ``packets_sent``, ``packets_recv``.

        Raises
        ------
        LookupError, EngineError
            As `get_system_stats` does.
        """
        chosen = self._chosen(node)
        return {name: sum(stats[name] for stats in chosen) for name in TRAFFIC}

    def history(self, node: str | None = None) -> list[dict[str, Any]]:
        """The readings that are kept, the oldest first, each as `nodes` tells it but without ``processes``."""
        with self._change:
            return [dict(stats) for stats in self._history if node in (None, stats["node"], stats["host"])]

    def add_alert(
        self,
        figure: str,
        callback: Callable[[dict[str, Any]], object],
        *,
        above: float | None = None,
        below: float | None = None,
    ) -> int:
        """Have something called when a node's figure goes past a bound. It begins to watch, too.

        Parameters
        ----------
        figure
            A name of those that `get_system_stats` tells.
        callback
            Called with a dict: ``figure``, ``value``, ``threshold``, ``node``, ``host``, ``time``. It is called once
            for each time that a node leaves the bounds. Callbacks are called one after the other, by one thread; what
            they raise is logged.
        above, below
            The bounds: one of them, or both.

        Returns
        -------
        int
            For `remove_alert`.

        Raises
        ------
        ValueError
            No such figure, or no bound.
        EngineError
            There is no engine.
        """
        if figure not in FIGURES:
            raise ValueError(f"figure={figure!r}: give one of {', '.join(FIGURES)}")
        if above is None and below is None:
            raise ValueError(f"an alert for {figure} needs a bound: give above or below, or both")
        with self._change:
            self._numbers += 1
            number = self._numbers
            self._alerts[number] = Alert(figure, callback, above, below)
        self.start()
        return number

    def remove_alert(self, number: int) -> bool:
        """Forget an alert; whether there was one."""
        with self._change:
            return self._alerts.pop(number, None) is not None

    def _chosen(self, node: str | None) -> list[dict[str, Any]]:
        known = self.nodes()
        chosen = [stats for stats in known if node in (None, stats["node"], stats["host"])]
        if not chosen:
            names = ", ".join(f"{stats['node']} ({stats['host']})" for stats in known)
            raise LookupError(f"there is no node {node!r}; there are: {names}")
        return chosen

    # What the coordinator says, heard by the thread of the connection.

    def _heard(self, ear: Ear, fields: dict[str, Any]) -> None:
        with self._change:
            if ear is not self._ear:
                return
            name = f"{fields['worker']:016x}"
            if fields["status"] is None:
                self._nodes.pop(name, None)
                for alert in self._alerts.values():
                    alert.past.discard(name)
                return
            stats = _stats(name, fields, fields["status"])
            self._nodes[name] = stats
            self._history.append({key: value for key, value in stats.items() if key != "processes"})
            self._change.notify_all()
            calls = [(alert.callback, alert.look(stats)) for alert in self._alerts.values()]
        for callback, told in calls:
            if told is not None:
                self._calls.add(callback, told)

    def _lost(self, ear: Ear) -> None:
        with self._change:
            if ear is not self._ear:
                return
            self._ear = None
            self._nodes.clear()
        if ear.has_heard:  # or else one would follow the other
            try:
                self.start()
            except EngineError:
                pass  # who asks next hears of it

    def _disown(self) -> None:
        """Also in a process that was forked: who watched is the parent."""
        self._change = threading.Condition()
        self._nodes: dict[str, dict[str, Any]] = {}
        self._ear = None

    def _end(self) -> None:
        self._calls.close()
        self.stop()


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0.0


def _stats(name: str, fields: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    detail: dict[str, Any] = status.get("detail") or {}
    traffic: dict[str, int] = detail.get("traffic") or {}
    own: Iterable[dict[str, Any]] = detail.get("own") or ()
    total, disk_used, disk_total = status["memory_total"], detail.get("disk_used", 0), detail.get("disk_total", 0)
    whose = {"node": name, "host": fields["host"]}
    return {
        **whose,
        "time": datetime.datetime.now(datetime.timezone.utc),
        "cpu_percent": status["cpu_percent"],
        "memory_percent": _percent(status["memory_used"], total),
        "memory_used": status["memory_used"],
        "memory_total": total,
        "pool_memory": status["pool_memory"],
        "disk_usage": _percent(disk_used, disk_total),
        "disk_used": disk_used,
        "disk_total": disk_total,
        "process_count": detail.get("processes", 0),
        "slots": fields["slots"],
        "busy": status["busy"],
        **{ours: traffic.get(theirs, 0) for ours, theirs in TRAFFIC.items()},
        "processes": [{**process, "memory_percent": _percent(process["memory"], total), **whose} for process in own],
    }


_ALL: weakref.WeakSet[ProcessMonitor] = weakref.WeakSet()


def _forked() -> None:
    for monitor in list(_ALL):
        monitor._calls = Calls()
        monitor._disown()


def _at_exit() -> None:
    for monitor in list(_ALL):
        monitor._end()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_forked)
