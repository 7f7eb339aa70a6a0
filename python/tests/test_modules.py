"""Modules that are sent along: what a machine lacks is imported there all the same, and what cannot be is named."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cluster import LocalCluster

import maniple
from maniple._client import function
from maniple._client.sources import packed

HOST = os.uname().nodename
FILES = {
    "prices.py": """
        import folded.deep
        RATE = 2
        class Price:
            def __init__(self, value): self.value = value
        def double(x):
            import lazily
            return lazily.twice(x) * RATE // 2
        def price(x): return Price(x)
        def broken(x):
            import os
            os.remove(__file__)
            raise LookupError(x)  # this very line
        def table(x): return open(__file__.replace("prices.py", "table.csv")).read()
    """,
    "lazily.py": "def twice(x): return x * 2",
    "folded/deep/__init__.py": "from ..side import third",
    "folded/side.py": "def third(x): return x / 3",
    "folded/deep/late.py": "def fifth(x): return x / 5",
    "needy.py": "import nowhere_at_all",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Modules that are found here, and by no process that runs tasks: as if these were on another machine."""
    home = tmp_path / "home"
    for name, text in FILES.items():
        lines = text.strip("\n").splitlines()
        indent = len(lines[0]) - len(lines[0].lstrip())
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("\n".join(line[indent:] for line in lines))
    known = set(sys.modules)
    monkeypatch.syspath_prepend(str(home))
    monkeypatch.setattr(function, "path", list)
    yield home
    for name in set(sys.modules) - known:
        if name.partition(".")[0] in ("prices", "lazily", "folded", "needy", "built", "apart"):
            del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def prices(folder: Path) -> Any:
    """One of them, imported here."""
    del folder
    return importlib.import_module("prices")


@pytest.mark.parametrize("by_name", [True, False])
def test_a_module_goes_along_with_what_it_imports_from_its_folder(prices: Any, by_name: bool) -> None:
    sent: list[Any] = ["prices" if by_name else prices]
    assert maniple.map(prices.double, [1, 2], modules=sent) == [2, 4]
    assert maniple.map(lambda x: prices.double(x) + prices.RATE, [1, 2], modules=sent) == [4, 6]
    assert maniple.map(prices.double, [3], modules=sent, initializer=prices.double, initargs=(1,)) == [6]
    rows = maniple.run_pools(lambda date, code: [prices.double(date)], [[2, "a"]], modules=sent, output="list")
    assert rows == [[2, "a", 4]]
    path = Path("backup")
    queued = maniple.run_pools_queue(lambda date, code: [prices.double(date)], [[2, "a"]], 1, path, 1, modules=sent)
    assert queued.tolist() == [[2, "a", 4]]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory has none of the modules."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def test_an_executor_sends_modules_too(prices: Any) -> None:
    with maniple.Executor(1, modules=[prices]) as executor:
        assert executor.submit(prices.double, 4).result() == 8
        found = executor.submit(prices.price, 5).result()
        assert type(found) is prices.Price and found.value == 5
        assert executor.submit(lambda found: found.value, prices.Price(6)).result() == 6


def test_a_package_goes_with_all_that_is_below_it(folder: Path) -> None:
    def late(x: int) -> Any:
        from folded.deep.late import fifth  # type: ignore[import-not-found]

        return fifth(x)

    deep = importlib.import_module("folded.deep")
    assert maniple.map(deep.third, [3], modules=["folded.deep"]) == [1.0]
    assert maniple.map(late, [5], modules=[deep]) == [1.0]


def test_a_traceback_shows_lines_of_what_was_sent(folder: Path, prices: Any) -> None:
    (folder / "table.csv").write_text("1,2")
    assert maniple.map(prices.table, [1], modules=[prices]) == ["1,2"], "where such a file is, it is found"
    with pytest.raises(maniple.JobFailed, match=r"raise LookupError\(x\)  # this very line"):
        maniple.map(prices.broken, [1], modules=[prices])


def test_what_was_sent_is_used_where_another_is_installed(
    folder: Path, prices: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "old"
    (old / "folded").mkdir(parents=True)
    (old / "prices.py").write_text("def double(x): return 'an old version'")
    (old / "folded" / "extra.py").write_text("def seventh(x): return x / 7")
    monkeypatch.setattr(function, "path", lambda: [str(old)])
    assert maniple.map(prices.double, [1]) == ["an old version"]
    assert maniple.map(prices.double, [1], modules=[prices]) == [2]

    def both(x: int) -> Any:
        from folded.extra import seventh  # type: ignore[import-not-found]
        from folded.side import third  # type: ignore[import-not-found]

        return third(x), seventh(x)

    # A folder without a file of its own may have parts in several places.
    (old / "folded" / "side.py").write_text("")
    assert maniple.map(both, [21], modules=["folded"]) == [(7.0, 3.0)]


def test_a_function_that_is_large_with_its_modules_is_an_object(folder: Path) -> None:
    noise = os.urandom(1 << 20).hex()
    (folder / "built.py").write_text(f"TEXT = {noise!r}\ndef size(x): return len(TEXT) + x")
    built = importlib.import_module("built")
    assert maniple.map(built.size, [1], modules=[built]) == [(1 << 21) + 1]


def test_a_missing_module_is_one_sentence_with_the_machine_and_what_to_do(prices: Any) -> None:
    advice = "install it there, or send it along with modules=['prices']"
    with pytest.raises(maniple.FunctionError) as by_name:
        maniple.map(prices.double, [1])
    assert str(by_name.value).startswith(
        f"no module prices on {HOST} in no folder of the job, nor where {sys.executable}"
    )
    assert str(by_name.value).endswith(f"looks: {advice}")
    with pytest.raises(maniple.FunctionError) as by_value:
        maniple.map(lambda x: prices.double(x), [1])
    assert str(by_value.value).startswith(f"no module prices on {HOST}, and function ")
    assert str(by_value.value).endswith(f"needs it: {advice}")
    with maniple.Executor(1) as executor, pytest.raises(ModuleNotFoundError) as of_a_call:
        executor.submit(prices.double, 1).result()
    assert str(of_a_call.value) == f"No module named 'prices' on {HOST}: {advice}"
    assert of_a_call.value.name == "prices"
    told = (
        f"^the initializer raised ModuleNotFoundError: No module named 'nowhere_at_all' on {HOST}: install it there, "
    )
    with pytest.raises(maniple.FunctionError, match=told):
        maniple.map(abs, [1], modules=["needy"], initializer=__import__, initargs=("needy",))


@pytest.mark.parametrize(
    ("modules", "error", "text"),
    [
        ("prices", TypeError, "modules='prices': give a list of modules, or of their names"),
        (sys, TypeError, r"modules=<module 'sys' \(built-in\)>: give a list of modules, or of their names"),
        ([3], TypeError, "modules=: 3 is neither a module nor the name of one"),
        (["nowhere_at_all"], ValueError, "modules=: there is no module nowhere_at_all here that could be sent"),
        (["sys"], ValueError, "modules=: sys has no Python source here that could be sent: install it where tasks run"),
        ([ModuleType("made")], ValueError, "modules=: there is no module made here that could be sent"),
        (
            ["numpy"],
            ValueError,
            r"modules=: numpy has compiled parts, which cannot be sent \(.*\): install it where tasks run",
        ),
    ],
)
def test_what_cannot_be_sent_is_named(modules: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=f"^{text}$"):
        maniple.map(abs, [1], modules=modules)


def names(sent: bytes | None) -> list[str]:
    """What was sent."""
    import pickle
    import zlib

    return sorted(pickle.loads(zlib.decompress(sent))) if sent else []


def test_the_callers_own_are_found_by_their_folder(folder: Path, prices: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(x: int) -> Any:
        def inner() -> Any:
            import lazily  # type: ignore[import-not-found]

            return lazily.twice(x)

        return inner()

    assert "prices" not in names(packed([], late, own=True)), "it lies in no folder of the caller's"
    monkeypatch.chdir(folder)
    everything = ["folded", "folded.deep", "folded.deep.late", "folded.side", "lazily", "prices"]
    assert names(packed([], abs, own=True)) == everything
    assert names(packed([], abs, own=False)) == []
    for name in [name for name in sys.modules if name.partition(".")[0] in ("prices", "folded")]:
        del sys.modules[name]
    assert names(packed([], abs, own=True)) == []
    assert names(packed([], late, own=True)) == ["lazily"], "a function imports it"
    (folder / "script.py").write_text("def f(x):\n    import lazily\n    return lazily.twice(x)")
    script = ModuleType("__main__")
    script.__file__ = str(folder / "script.py")
    monkeypatch.setitem(sys.modules, "__main__", script)
    assert names(packed([], abs, own=True)) == ["lazily"], "the script imports it"


def test_what_is_installed_or_compiled_is_not_the_callers_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = folder / ".venv" / "lib" / "site-packages"
    (installed / "apart").mkdir(parents=True)
    (installed / "apart" / "__init__.py").write_text("")
    (folder / "built").mkdir()
    (folder / "built" / "__init__.py").write_text("")
    (folder / "built" / f"fast{EXTENSION_SUFFIXES[0]}").write_text("")
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.chdir(folder)
    for name in ("apart", "built"):
        importlib.import_module(name)
    assert names(packed([], abs, own=True)) == []
    assert names(packed(["apart"], abs, own=True)) == ["apart"], "who names it wants it"
    (folder / "built" / f"fast{EXTENSION_SUFFIXES[0]}").unlink()
    assert names(packed([], abs, own=True)) == ["built"]


def test_of_a_folder_in_several_places_the_callers_own_part_goes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = folder / ".venv" / "lib" / "site-packages"
    (installed / "folded").mkdir(parents=True)
    (installed / "folded" / "other.py").write_text("")
    (installed / "folded" / f"fast{EXTENSION_SUFFIXES[0]}").write_text("")
    monkeypatch.syspath_prepend(str(installed))
    monkeypatch.chdir(folder)
    importlib.import_module("folded.other")
    assert names(packed([], abs, own=True)) == ["folded", "folded.deep", "folded.deep.late", "folded.side"]


def test_a_source_goes_as_it_is_encoded(folder: Path) -> None:
    (folder / "apart.py").write_bytes("# coding: latin-1\ndef word(x): return 'é' + x".encode("latin-1"))
    apart = importlib.import_module("apart")
    assert maniple.map(apart.word, ["a"], modules=[apart]) == ["éa"]
    (folder / "folded" / "strange.py").write_bytes(b"\xff\x00(")
    (folder / "folded" / "dangling.py").symlink_to("nowhere")
    side = importlib.import_module("folded.side")
    assert maniple.map(side.third, [3], modules=["folded"]) == [1.0]


def test_on_a_cluster_the_callers_own_go_along(
    cluster: LocalCluster, folder: Path, prices: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with maniple.connect(cluster.access) as engine:
        with pytest.raises(maniple.FunctionError, match=rf"^no module prices on {HOST} .* with modules="):
            maniple.map(prices.double, [1])
        monkeypatch.chdir(folder)
        assert maniple.map(prices.double, [1]) == [2]
        assert maniple.map(lambda x: prices.price(x), [1])[0].value == 1
        with maniple.Executor(engine=engine) as executor:
            assert executor.submit(prices.double, 1).result() == 2
        with maniple.Pool(1) as pool:
            assert pool.map(prices.double, [1, 2]) == [2, 4]
        assert maniple.run_pools(prices.double, [[1]], output="list") == [[1, 2]]
    with pytest.raises(maniple.FunctionError, match=r"^no module prices on"):
        maniple.map(prices.double, [1])


def test_reproduces_a_module_that_ends_whoever_imports_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "quits.py").write_text(
        "import sys\n'pytest' in sys.modules or sys.exit('no file')\ndef f(*x): return x"
    )
    (tmp_path / "uses.py").write_text("import quits\ndef f(*x): return x")
    monkeypatch.syspath_prepend(str(tmp_path))
    quits, uses = map(importlib.import_module, ("quits", "uses"))
    calls: list[tuple[Any, str]] = [
        (lambda: maniple.map(quits.f, [1]), ""),
        (lambda: maniple.run_pools(quits.f, [[1, "a"]]), ""),
        (lambda: maniple.map(uses.f, [1]), ", and module uses imports it"),
        (lambda: maniple.map(lambda x: quits.f(x), [1]), ", and function .*<lambda> needs it"),
        (lambda: maniple.map(abs, [1], preload=["quits"]), ""),
        (lambda: maniple.map(abs, [1], preload=["uses"]), ", and uses, to be preloaded, needs it"),
    ]
    said = "module quits called sys.exit('no file') when it was imported"
    advice = "put these lines under if __name__ == '__main__':, or into a function"
    for call, also in calls:
        with pytest.raises(maniple.FunctionError) as caught:
            call()
        assert re.fullmatch(f"{re.escape(said)}{also}: {re.escape(advice)}", str(caught.value)), caught.value
    command = [os.environ["MANIPLE_BINARY"], "run", "quits:f", "--tasks", "-"]
    environment = os.environ | {"VIRTUAL_ENV": sys.prefix}
    run = subprocess.run(command, cwd=tmp_path, env=environment, input="1\n", capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (2, "", f"maniple: error: {said}: {advice}\n")
    for name in ("quits", "uses"):
        del sys.modules[name]


def test_an_initializer_that_exits_is_said_to() -> None:
    with pytest.raises(maniple.FunctionError, match=r"^the initializer called sys\.exit\(4\)$"):
        maniple.map(abs, [1], initializer=sys.exit, initargs=(4,))
