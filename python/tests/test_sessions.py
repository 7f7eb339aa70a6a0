"""Ctrl-C and death where people work: at Python's prompt, in a notebook, in scripts with threads and forks."""

from __future__ import annotations

import os
import signal
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import KEPT, SLOW, descendants, gone, until
from sessions import Kernel, Repl

import maniple


@pytest.fixture
def repl(tmp_path: Path) -> Iterator[Repl]:
    os.mkfifo(tmp_path / "gate")
    (tmp_path / "slow.py").write_text(SLOW)
    session = Repl(tmp_path)
    session.run("exec(open('slow.py').read())")
    yield session
    session.close()


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    os.mkfifo(tmp_path / "gate")
    session = Kernel(tmp_path)
    assert session.run(SLOW) == ("ok", "")
    yield session
    session.close()


def running(folder: Path, pid: int, kept: int | None = 20) -> list[int]:
    """Wait until task 20 runs, and what is before it is kept; the processes there are."""
    open(folder / "gate", "w").close()
    if kept is not None:
        until(lambda: (folder / "f").exists() and len(maniple.Checkpoint(folder / "f")) == kept)
    return descendants(pid)


def test_ctrl_c_at_the_prompt(repl: Repl, tmp_path: Path) -> None:
    repl.type(KEPT)
    below = running(tmp_path, repl.pid)
    repl.press(b"\x03")
    said = repl.answer()
    assert said.count("KeyboardInterrupt") == 1 and said.rstrip().endswith("KeyboardInterrupt")
    assert repl.run("len(maniple.Checkpoint('f'))") == "20"
    assert repl.run("maniple.map(abs, [-1])") == "[1]"
    os.kill(repl.pid, signal.SIGKILL)
    for pid in below:
        gone(pid)


def test_ctrl_c_twice_at_the_prompt(repl: Repl, tmp_path: Path) -> None:
    repl.type(KEPT)
    running(tmp_path, repl.pid)
    repl.press(b"\x03\x03")
    said = repl.answer()
    if "KeyboardInterrupt" not in said.splitlines()[-1]:  # the second one came at the prompt
        said += repl.answer()
    assert "KeyboardInterrupt" in said
    assert "[1]" in repl.run("maniple.map(abs, [-1])")
    assert repl.run("len(maniple.Checkpoint('f'))") == "20"


@pytest.mark.parametrize(
    "call",
    [
        "exec('with maniple.Executor(1) as e: list(e.map(slow, range(100)))')",
        "exec('with maniple.Pool(1) as p: p.map(slow, range(100), 1)')",
        "exec('with maniple.Pool(1) as p: list(p.imap(slow, range(100)))')",
        "list(maniple.map(slow, range(100), output='iterator', processes=1))",
        "maniple.run_pools(lambda n, code: slow(n), [[n, ''] for n in range(100)], num_threads=1)",
    ],
)
def test_ctrl_c_ends_what_runs_whatever_was_called(repl: Repl, tmp_path: Path, call: str) -> None:
    repl.type(call)
    below = running(tmp_path, repl.pid, None)
    repl.press(b"\x03")
    said = repl.answer()
    assert said.count("KeyboardInterrupt\n") == 1, said
    assert repl.run("maniple.map(abs, [-1], processes=2)") == "[1]"
    for pid in below:
        gone(pid)  # an engine of another size has taken their place


def test_ctrl_c_while_the_engine_starts(repl: Repl, tmp_path: Path) -> None:
    program = tmp_path / "stuck"
    program.write_text(f"#!/bin/sh\necho > {tmp_path}/gate\nexec cat\n")
    program.chmod(0o755)
    real = repl.run("(os.environ['MANIPLE_BINARY'], os.environ.update(MANIPLE_BINARY='./stuck'))[0]")
    repl.type("maniple.map(abs, [-1])")
    with open(tmp_path / "gate") as gate:
        gate.read()
    (stuck,) = descendants(repl.pid)
    repl.press(b"\x03")
    assert repl.answer().count("KeyboardInterrupt\n") == 1
    gone(stuck)
    repl.run(f"os.environ['MANIPLE_BINARY'] = {real}")
    assert repl.run("maniple.map(abs, [-1])") == "[1]"


def test_a_function_of_the_prompt_that_has_changed(repl: Repl) -> None:
    repl.run("f = lambda x: x + 1")
    assert repl.run("maniple.map(f, [1])") == "[2]"
    repl.run("f = lambda x: x + g")
    repl.run("g = 5")
    assert repl.run("maniple.map(f, [1])") == "[6]"


def test_the_stop_button_of_a_notebook(kernel: Kernel, tmp_path: Path) -> None:
    kernel.begin(KEPT)
    running(tmp_path, kernel.pid)
    kernel.interrupt()
    assert kernel.end()[0] == "KeyboardInterrupt"
    assert kernel.run("print(len(maniple.Checkpoint('f')), maniple.map(abs, [-1]))") == ("ok", "20 [1]\n")


def test_the_death_of_a_kernel_leaves_nothing(kernel: Kernel, tmp_path: Path) -> None:
    kernel.begin(KEPT)
    below = running(tmp_path, kernel.pid)
    os.kill(kernel.pid, signal.SIGKILL)
    for pid in below:
        gone(pid)
    assert len(maniple.Checkpoint(tmp_path / "f")) == 20


def test_functions_of_cells(kernel: Kernel) -> None:
    kernel.run("factor = 2\ndef f(x):\n    return x * factor")
    assert kernel.run("maniple.map(f, [1, 2])") == ("ok", "[2, 4]")
    kernel.run("factor = 3")
    assert kernel.run("maniple.map(f, [1, 2])") == ("ok", "[3, 6]")
    kernel.run("def f(x):\n    return -x * factor")
    assert kernel.run("maniple.map(f, [1, 2])") == ("ok", "[-3, -6]")
    kernel.run("class Point:\n    def __init__(self, x): self.x = x")
    assert kernel.run("[p.x for p in maniple.map(lambda x: Point(x), [1, 2])]") == ("ok", "[1, 2]")
    assert kernel.run("type(maniple.map(lambda x: Point(x), [1])[0]) is Point") == ("ok", "True")


def test_the_loop_of_a_notebook_goes_on(kernel: Kernel) -> None:
    cell = """
    import asyncio
    ticks = 0
    async def tick():
        global ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)
    ticking = asyncio.create_task(tick())
    with maniple.Executor(2) as executor:
        calls = [asyncio.get_running_loop().run_in_executor(executor, pow, 2, n) for n in range(3)]
        found = await asyncio.gather(*calls)
    print(found, maniple.map(abs, [-1]), ticks > 0, await asyncio.to_thread(maniple.map, abs, [-2]))
    _ = ticking.cancel()
    """
    assert kernel.run(textwrap.dedent(cell)) == ("ok", "[1, 2, 4] [1] True [2]\n")


def once(path: str) -> str:
    """Dies the first time it is called."""
    if not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return path


@pytest.mark.parametrize("way", ["map", "iterator", "executor", "pool", "run_pools"])
def test_the_death_of_a_child_costs_nothing(way: str, tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{at}") for at in range(6)]
    found: Any
    if way == "map":
        found = maniple.map(once, paths)
    elif way == "iterator":
        found = list(maniple.map(once, paths, output="iterator"))
    elif way == "executor":
        with maniple.Executor(2) as executor:
            found = list(executor.map(once, paths))
    elif way == "pool":
        with maniple.Pool(2) as pool:
            found = pool.map(once, paths)
    else:
        rows = maniple.run_pools(lambda n, path: [once(path)], [[0, path] for path in paths], output="list")
        found = [value for _, _, value in rows]
    assert found == paths


def test_a_caller_that_leaves_at_once(script: Any) -> None:
    caller = script(
        """
        def leave(progress):
            if progress.busy:
                print("leaving", flush=True)
                sys.stdin.readline()
                os._exit(3)
        import time
        maniple.map(time.sleep, [1000] * 2, progress=leave, processes=1)
        """
    )
    assert caller.stdout.readline() == "leaving\n"
    below = descendants(caller.pid)
    assert len(below) >= 3
    assert caller.communicate("\n", timeout=60) == ("", "") and caller.returncode == 3
    for pid in below:
        gone(pid)


@pytest.mark.parametrize("daemon", [True, False])
def test_threads_that_are_at_it_when_the_caller_ends(script: Any, tmp_path: Path, daemon: bool) -> None:
    os.mkfifo(tmp_path / "gate")
    caller = script(
        f"""
        import threading
        def slow(x):
            open("gate").read()
            return x
        call = lambda: print(maniple.map(slow, [7], processes=1))
        threading.Thread(target=call, daemon={daemon}).start()
        sys.stdin.readline()
        """
    )
    with open(tmp_path / "gate", "w"):
        below = descendants(caller.pid)
        caller.stdin.write("\n")
        caller.stdin.flush()
        if daemon:
            caller.wait(60)
    stdout, stderr = caller.communicate(timeout=60)
    assert (stdout, stderr, caller.returncode) == ("" if daemon else "[7]\n", "", 0)
    for pid in below:
        gone(pid)


def test_a_fork_in_the_middle_of_a_call(script: Any, tmp_path: Path) -> None:
    for task in (7, 8):
        os.mkfifo(tmp_path / f"gate{task}")
    caller = script(
        """
        import threading
        def slow(x):
            open(f"gate{x}").read()
            return -x
        thread = threading.Thread(target=lambda: print(maniple.map(slow, [7, 8], processes=1)))
        thread.start()
        sys.stdin.readline()
        child = os.fork()
        if child == 0:
            print(maniple.map(abs, [-1]), flush=True)
            maniple._client.engine.ENGINES.end()
            os._exit(0)
        os.waitpid(child, 0)
        print("forked", flush=True)
        thread.join()
        """
    )
    with open(tmp_path / "gate7", "w"):
        caller.stdin.write("\n")
        caller.stdin.flush()
        assert [caller.stdout.readline() for _ in range(2)] == ["[1]\n", "forked\n"]
    open(tmp_path / "gate8", "w").close()
    stdout, stderr = caller.communicate(timeout=60)
    assert (stdout, stderr) == ("[-7, -8]\n", "")
