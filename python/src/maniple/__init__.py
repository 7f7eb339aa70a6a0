"""Maniple: millions of small tasks on the cores of many machines, every result kept.

``map`` runs tasks and ``Checkpoint`` reads results (`docs/python.md`). Each name is imported when it is first asked
for, since processes that only run tasks have no use for them. ``maniple.child`` is what a node runs to call functions.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._client.cluster import Cluster as Cluster
    from ._client.cluster import connect as connect
    from ._client.job import Progress as Progress
    from ._executor import Executor as Executor
    from ._kv import kv as kv
    from ._map import map as map
    from ._monitor import ProcessMonitor as ProcessMonitor
    from ._pool import Pool as Pool
    from ._pools import ProgressMonitor as ProgressMonitor
    from ._pools import cleanup_all_progress_monitors as cleanup_all_progress_monitors
    from ._pools import progress_monitors as progress_monitors
    from ._pools import run_pools as run_pools
    from ._pools import run_pools_queue as run_pools_queue
    from ._processes import ProcessManager as ProcessManager
    from .checkpoint import Checkpoint as Checkpoint
    from .checkpoint import CheckpointError as CheckpointError
    from .checkpoint import Pickled as Pickled
    from .errors import EngineError as EngineError
    from .errors import Failure as Failure
    from .errors import FunctionError as FunctionError
    from .errors import JobFailed as JobFailed
    from .errors import JobStopped as JobStopped
    from .errors import ManipleError as ManipleError
    from .errors import TableError as TableError
    from .errors import TaskFailed as TaskFailed

__version__ = "0.1.0"

HOMES = {
    "_client.cluster": ["Cluster", "connect"],
    "_client.job": ["Progress"],
    "_executor": ["Executor"],
    "_kv": ["kv"],
    "_map": ["map"],
    "_monitor": ["ProcessMonitor"],
    "_pool": ["Pool"],
    "_pools": ["ProgressMonitor", "cleanup_all_progress_monitors", "progress_monitors", "run_pools", "run_pools_queue"],
    "_processes": ["ProcessManager"],
    "checkpoint": ["Checkpoint", "CheckpointError", "Pickled"],
    "errors": [
        "EngineError",
        "Failure",
        "FunctionError",
        "JobFailed",
        "JobStopped",
        "ManipleError",
        "TableError",
        "TaskFailed",
    ],
}
"""Which module has which public names."""
_HOME_OF = {name: home for home, names in HOMES.items() for name in names}

__all__ = ["__version__", "register_joblib", *_HOME_OF]


def register_joblib() -> None:
    """Let joblib know the backend ``maniple``; see :class:`maniple.joblib.ManipleBackend`.

    Examples
    --------
    >>> import joblib, maniple
    >>> maniple.register_joblib()
    >>> with joblib.parallel_config(backend="maniple", n_jobs=2):
    ...     print(joblib.Parallel()(joblib.delayed(pow)(n, 2) for n in range(4)))
    [0, 1, 4, 9]
    """
    import_module(".joblib", __name__).register()


def __getattr__(name: str) -> Any:
    if name == "joblib":
        return import_module(".joblib", __name__)
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
