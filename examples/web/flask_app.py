"""Evaluations that a web server starts and watches: `flask --app flask_app run`.

curl -X POST localhost:5000/evaluations/mine/start -d steps=5
curl localhost:5000/evaluations/mine
curl -X POST localhost:5000/evaluations/mine/stop
"""

from __future__ import annotations

import sys
from typing import Any

import maniple
from flask import Flask, abort, jsonify, request

COUNT = "import sys, time\nfor n in range(int(sys.argv[1])): print('step', n, flush=True); time.sleep(1)"

app = Flask(__name__)
app.config["MAX_PROCESSES"] = 5
processes = maniple.ProcessManager()
finished: dict[str, int | None] = {}  # what a database would be told


@app.post("/evaluations/<name>/start")
def start(name: str) -> Any:
    """Starts one, unless it runs already or too many do."""
    steps = request.form.get("steps", default=10, type=int)
    if not processes.start_process(name, [sys.executable, "-c", COUNT, str(steps)], on_complete=finished.__setitem__):
        abort(409, processes.get_process_status(name)["error"] or "it runs already, or too many do")
    return jsonify(message="started"), 202


@app.get("/evaluations/<name>")
def show(name: str) -> Any:
    """How it is, with what it has written so far."""
    status = processes.get_process_status(name)
    return (jsonify(status), 404) if status["status"] == "unknown" else jsonify(status)


@app.post("/evaluations/<name>/stop")
def stop(name: str) -> Any:
    """Stops it, and all that it has started."""
    return jsonify(stopped=processes.stop_process(name))
