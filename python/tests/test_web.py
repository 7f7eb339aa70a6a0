"""The examples in `examples/web`, with the real frameworks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import until

from maniple import ProcessManager

FOLDER = Path(__file__).parents[2] / "examples" / "web"
Ask = Callable[[str, str], "tuple[int, Any]"]


@pytest.fixture(params=["flask", "fastapi"])
def web(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Ask, Any]]:
    """Asks an application with a method and a path; and the application's module."""
    pytest.importorskip(request.param)
    monkeypatch.syspath_prepend(str(FOLDER))
    manager = ProcessManager()
    manager._limit = None  # as it is before anybody says something
    module: Any = __import__(f"{request.param}_app")
    if request.param == "flask":
        client = module.app.test_client()

        def ask(method: str, path: str) -> tuple[int, Any]:
            path, _, form = path.partition("?")
            answer = client.open(path, method=method, data=dict(pair.split("=") for pair in form.split("&") if pair))
            return answer.status_code, answer.get_json(silent=True)

    else:
        from fastapi.testclient import TestClient

        tester = TestClient(module.app)

        def ask(method: str, path: str) -> tuple[int, Any]:
            answer = tester.request(method, path)
            return answer.status_code, answer.json()

    yield ask, module
    for name in manager.process_ids():
        manager.stop_process(name, 0)
        manager.remove_process(name)
    del sys.modules[module.__name__]


def test_a_server_starts_shows_and_stops(web: tuple[Ask, Any]) -> None:
    ask, module = web
    assert ask("GET", "/evaluations/a")[0] == 404
    assert ask("POST", "/evaluations/a/start?steps=1000") == (202, {"message": "started"})
    assert ask("POST", "/evaluations/a/start?steps=1000")[0] == 409
    until(lambda: "step 0" in ask("GET", "/evaluations/a")[1]["stdout"])
    code, status = ask("GET", "/evaluations/a")
    assert (code, status["status"], status["returncode"]) == (200, "running", None)
    assert ask("POST", "/evaluations/a/stop") == (200, {"stopped": True})
    assert ask("GET", "/evaluations/a")[1]["status"] == "stopped"
    until(lambda: module.finished.get("a") == -15)
    assert ask("POST", "/evaluations/b/start?steps=0")[0] == 202
    until(lambda: module.finished.get("b") == 0)


def test_the_applications_limit_holds(web: tuple[Ask, Any]) -> None:
    ask, _ = web
    codes = [ask("POST", f"/evaluations/n{number}/start?steps=1000")[0] for number in range(6)]
    assert codes == [202] * 5 + [409]


def test_flasks_configuration_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    flask = pytest.importorskip("flask")
    manager = ProcessManager()
    monkeypatch.setattr(manager, "_limit", None)
    app = flask.Flask("test")
    app.config["MAX_PROCESSES"] = 1
    assert manager.max_processes == 5
    with app.app_context():
        assert manager.max_processes == 1
        assert manager.start_process("only", ["sleep", "1000"])
        assert not manager.start_process("other", ["sleep", "1000"])
        app.config["MAX_PROCESSES"] = "many"
        with pytest.raises(ValueError, match="MAX_PROCESSES='many'"):
            manager.start_process("other", "true")
        monkeypatch.setattr(manager, "_limit", 2)
        assert manager.start_process("other", ["sleep", "1000"]), "what was said in words comes first"
    for name in ("only", "other"):
        assert manager.stop_process(name, 0)
