"""The wheel in an empty environment of each interpreter there is, and README's tour typed into it.

`make wheel` builds it. $MANIPLE_TEST_PYTHONS names interpreters, with `:` between them, in place of those on the PATH.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from harness import HANG, not_checked

ROOT = Path(__file__).parents[2]
VERSIONS = ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]


def version_of(interpreter: str) -> str | None:
    """Its version; a name on the PATH may stand for one that is not installed."""
    told = subprocess.run([interpreter, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True)
    return told.stdout.decode().strip() if told.returncode == 0 else None


def interpreters() -> dict[str, str]:
    """Those there are, by version."""
    named = os.environ.get("MANIPLE_TEST_PYTHONS")
    places = named.split(":") if named else [shutil.which(f"python{version}") for version in VERSIONS]
    found = {version_of(place): place for place in places if place}
    return {version: place for version, place in found.items() if version}


PYTHONS = interpreters()


@pytest.fixture(scope="module")
def wheel() -> Path:
    """The one that `make wheel` has built last."""
    built = sorted((ROOT / "target" / "wheels").glob("*.whl"), key=lambda path: path.stat().st_mtime)
    if not built:
        not_checked("the wheel", "there is none; run: make wheel")
        pytest.skip("no wheel")
    return built[-1]


def tour() -> tuple[str, str]:
    """What README has a user type, and what it says comes of that."""
    (text,) = re.findall(r"## From Python\n.*?```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    shown = [line[2:] for line in text.splitlines() if line.startswith("# ")]
    return text, "".join(f"{line}\n" for line in shown)


def environment(interpreter: str, wheel: Path, folder: Path) -> str:
    """The interpreter of a new environment with the wheel, and what it asks for, in it."""
    subprocess.run([interpreter, "-m", "venv", folder], check=True, timeout=5 * HANG)
    python = str(folder / "bin" / "python")
    # Compiling numpy's sources ahead would take most of the time.
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", str(wheel)]
    subprocess.run(install, check=True, timeout=5 * HANG)
    return python


@pytest.mark.parametrize("version", VERSIONS)
def test_the_tour_runs_in_an_empty_environment_with_the_wheel(version: str, wheel: Path, tmp_path: Path) -> None:
    if version not in PYTHONS:
        not_checked(f"the wheel under Python {version}", "no such interpreter; name it in $MANIPLE_TEST_PYTHONS")
        pytest.skip(f"no Python {version}")
    # Nothing but the wheel: no program and no package from anywhere else.
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("MANIPLE", "PYTHON"))}
    plain["PATH"] = "/usr/bin:/bin"
    typed, shown = tour()
    python = environment(PYTHONS[version], wheel, tmp_path / "env")
    session = [python, "-i", "-q", "-W", "error::DeprecationWarning"]
    done = subprocess.run(session, input=typed, cwd=tmp_path, env=plain, text=True, capture_output=True, timeout=HANG)
    assert done.stdout == shown, done.stderr
    assert "Error" not in done.stderr and "Warning" not in done.stderr
