"""The examples of the pages print what they say: their lines `# ...` are the output; so do the commands of README."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import test_joblib_suite
import test_suites
from cluster import LocalCluster
from encoder import Encoder
from suites import told

from maniple._processes import _ENGINES

DOCS = Path(__file__).parents[2] / "docs"
README = DOCS.parent / "README.md"
VARIES = re.compile(r"(wall time|host|pid|frames +|size +|written +) ?[^,\n]+(, [\d.]+/s)?")
"""What a command tells of the machine, the time and how its disk was written to."""
ROWS: dict[Any, Any] = {
    (20240102, "000001"): [10.0, 100, None],
    (20240102, "600000"): [40.0, 400, 0.5],
    (20240103, "000001"): [11.0, 110, 0.25],
    (20240103, "600000"): [41.0, 500, 0.5],
    (20240104, "000001"): [12.0, 120, 0.25],
    (20240104, "600000"): [42.0, 600, 0.5],
}


@pytest.mark.parametrize(("page", "least"), [("python.md", 10), ("from-process-pool-managers.md", 2)])
def test_the_examples_print_what_they_say(
    page: str,
    least: int,
    tmp_path: Path,
    cluster: LocalCluster,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "client.access").symlink_to(cluster.access)
    (tmp_path / "rates.py").write_text("def net(price): return price * 0.75")
    monkeypatch.syspath_prepend(str(tmp_path))
    names: dict[str, Any] = {"columns": ["close", "volume", "mom20"], "key_columns": ["date", "code"]}
    with Encoder(tmp_path / "factors.checkpoint", **names) as file:
        file.rows(ROWS)
        file.failures({(20240105, "000666"): {}})
        file.close(failed=1)
    examples = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert len(examples) >= least
    scope: dict[str, Any] = {"__name__": "__main__"}
    for example in examples:
        exec(example, scope)
        said = "".join(f"{line[2:]}\n" for line in example.splitlines() if line.startswith("# "))
        assert capsys.readouterr().out == said
    _ENGINES.end()  # of the commands: other tests count who is there


def test_the_commands_of_the_tour_print_what_they_say(tmp_path: Path) -> None:
    tour = README.read_text().partition("## Five minutes")[2].partition("## From Python")[0]
    blocks = re.findall(r"^```(?:python)?\n(.*?)^```", tour, re.DOTALL | re.MULTILINE)
    (word,) = [block for block in blocks if block.startswith("# word.py")]
    (tmp_path / "word.py").write_text(word)
    folders = [str(Path(program).parent) for program in (sys.executable, os.environ["MANIPLE_BINARY"])]
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix, "PATH": os.pathsep.join([*folders, os.environ["PATH"]])}
    commands = [part for block in blocks if "Killed" not in block for part in block.split("$ ")[1:]]
    assert len(commands) >= 6
    for command, _, wanted in (part.partition("\n") for part in commands):
        done = subprocess.run(
            command + " 2>&1", shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        said, shown = (VARIES.sub(r"\1", text) for text in (done.stdout.replace(str(tmp_path), "/tmp/tour"), wanted))
        assert sorted(said.splitlines()) == sorted(shown.splitlines()), command


def test_the_page_of_suites_lists_what_cannot_pass() -> None:
    page = (DOCS / "python-suites.md").read_text()
    for suite in (test_suites, test_joblib_suite):
        assert told(suite.CANNOT) in page
