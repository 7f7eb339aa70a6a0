"""The same for FastAPI: `fastapi dev fastapi_app.py`.

Its handlers are plain functions, which FastAPI calls in threads: a start and a stop wait for the process.
"""

from __future__ import annotations

import sys
from typing import Any

import maniple
from fastapi import FastAPI, HTTPException

COUNT = "import sys, time\nfor n in range(int(sys.argv[1])): print('step', n, flush=True); time.sleep(1)"

app = FastAPI()
processes = maniple.ProcessManager(max_processes=5)
finished: dict[str, int | None] = {}  # what a database would be told


@app.post("/evaluations/{name}/start", status_code=202)
def start(name: str, steps: int = 10) -> dict[str, str]:
    """Starts one, unless it runs already or too many do."""
    if not processes.start_process(name, [sys.executable, "-c", COUNT, str(steps)], on_complete=finished.__setitem__):
        raise HTTPException(409, processes.get_process_status(name)["error"] or "it runs already, or too many do")
    return {"message": "started"}


@app.get("/evaluations/{name}")
def show(name: str) -> dict[str, Any]:
    """How it is, with what it has written so far."""
    status = processes.get_process_status(name)
    if status["status"] == "unknown":
        raise HTTPException(404, f"there is no {name}")
    return status


@app.post("/evaluations/{name}/stop")
def stop(name: str) -> dict[str, bool]:
    """Stops it, and all that it has started."""
    return {"stopped": processes.stop_process(name)}
