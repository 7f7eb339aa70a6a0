"""The examples of the pages print what they say: after each, its lines `# ...` are the output."""

from __future__ import annotations

import re
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


def test_the_page_of_suites_lists_what_cannot_pass() -> None:
    page = (DOCS / "python-suites.md").read_text()
    for suite in (test_suites, test_joblib_suite):
        assert told(suite.CANNOT) in page
