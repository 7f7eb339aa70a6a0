"""What tasks do to their process: each test names one thing, and the tasks beside it come to no harm (P5)."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from conftest import Start
from harness import Node


def dead(node: Node, *keys: Any) -> tuple[int, int, str]:
    """Runs tasks of which one ends the process: the ordinal that the beacon names, the exit code, stderr."""
    node.begin(keys)
    code, _, err = node.end()
    return node.page[0], code, err


def test_the_beacon_names_the_task_that_ended_the_process(start: Start) -> None:
    assert dead(start("dies"), "no", "no", "exit", "no") == (3, 7, "")
    ordinal, code, err = dead(start("dies"), *["no"] * 300, "segfault", "no")
    assert (ordinal, code) == (301, -signal.SIGSEGV)
    assert err.startswith("Fatal Python error: Segmentation fault") and "in dies" in err
    ordinal, code, err = dead(start("dies"), "abort")
    assert (ordinal, code) == (1, -signal.SIGABRT) and "Fatal Python error: Aborted" in err
    assert dead(start("dies"), "no", "kill") == (2, -signal.SIGKILL, "")


def test_the_beacon_names_the_task_whose_value_or_key_ended_the_process(start: Start) -> None:
    assert dead(start("made"), ["set"], ["text"], ["dies"], ["set"])[:2] == (3, 9)

    class Bomb:
        def __reduce__(self) -> Any:
            return (os._exit, (8,))

    assert dead(start("same"), 1, {2}, (Bomb(),), 4)[:2] == (3, 8)


@pytest.mark.parametrize(
    ("how", "type_name", "message"),
    [
        (["exit", 3], "SystemExit", "the task called sys.exit(3)"),
        (["exit"], "SystemExit", "the task called sys.exit()"),
        (["interrupt"], "KeyboardInterrupt", ""),
        (["generator"], "GeneratorExit", ""),
        (["mute"], "sample_tasks.Mute", "<its text raised ValueError>"),
        (["nameless"], "a type without a name", "still"),
        (["surrogate"], "ValueError", "a\\udc80b"),
    ],
)
def test_whatever_is_raised_is_a_failure_and_nothing_else(
    start: Start, how: list[Any], type_name: str, message: str
) -> None:
    ended = start("fails").run("no", how, "no")
    assert list(ended.values) == [1, 3]
    assert (ended.failures[2]["type_name"], ended.failures[2]["message"]) == (type_name, message)
    assert "sample_tasks.py" in ended.failures[2]["traceback"] or how == ["nameless"]


def test_texts_without_end_are_cut(start: Start) -> None:
    ended = start("fails").run(["raise", "x" * 10**6], "recursion", "type")
    huge, deep, named = ended.failures.values()
    assert len(huge["message"]) <= 1 << 16 and "1000000 bytes in all" in huge["message"]
    assert len(huge["traceback"]) <= 1 << 16 and huge["traceback"].startswith("Traceback")
    assert huge["traceback"].endswith("xxx\n") and "bytes in all" in huge["traceback"]
    assert deep["type_name"] == "RecursionError" and deep["traceback"].rstrip().endswith(deep["message"])
    assert len(named["type_name"]) <= 1 << 16 and named["message"] == "long name"


def test_closed_standard_descriptors_are_opened_again(start: Start) -> None:
    node = start("descriptors")
    for fd in (0, 1, 2):
        node.one("close", fd)
        assert node.one("list")[:3] == [0, 1, 2]
        assert node.one("shell", f"after {fd}") == 0
    node.one("range", 0, 200)
    assert node.one("shell", "after all") == 0
    assert node.finish() == (0, "after 0\nafter 1\nafter 2\nafter all\n", "")


def test_tasks_beside_one_that_closes_stdout_still_print(start: Start) -> None:
    node = start("any_of")
    node.run(*[["same", 0]] * 2000)  # so that those that follow share a stride
    ended = node.run(["descriptors", "close", 1], ["streams", "print", "a"], ["descriptors", "close", 2])
    assert not ended.failures
    assert not node.run(["descriptors", "close", 2], ["streams", "complain", "b"]).failures
    assert node.finish() == (0, "a\n", "b\n")


def test_its_own_descriptors_are_out_of_the_way_and_not_inherited(start: Start) -> None:
    node = start("descriptors")
    own = node.one("list")
    assert len([fd for fd in own if 2 < fd < 200]) <= 2, "the page's and the listing's"
    assert len([fd for fd in own if fd >= 200]) == 4, "the control socket, and a spare of each stream"
    assert len(node.one("inherited")) <= 4, "its streams and its own listing"
    node.one("range", 3, 200)
    assert node.one("list")[:3] == [0, 1, 2]


def test_a_task_that_closes_the_control_socket_is_named(start: Start) -> None:
    ordinal, code, _ = dead(start("descriptors"), ["range", 3, 4096], ["list"])
    assert (ordinal, code) == (1, 70)


def test_prints_are_just_output(start: Start) -> None:
    node = start("streams")
    assert not node.run(["print", "a", "b"], ["complain", "c\udc80"], ["partial", "no end"]).failures
    assert node.finish() == (0, "a b\nno end", "c\\udc80\n")


def test_megabytes_of_prints(start: Start) -> None:
    node = start("streams")
    assert not node.run(*[["much", 1 << 20]] * 20).failures
    assert len(node.finish()[1]) == 20 * ((1 << 20) + 1)


def test_stdin_is_empty_at_once(start: Start) -> None:
    node = start("streams")
    assert node.one("read") == ""
    node.one("close stdin")
    assert node.one("read") == ""


@pytest.mark.parametrize("how", ["close", "closed file"])
def test_a_closed_stdout_comes_back(start: Start, how: str) -> None:
    node = start("streams")
    node.one(how)
    node.one("print", "after")
    assert node.finish() == (0, "after\n", "")


@pytest.mark.parametrize("how", ["replace", "none", "break"])
def test_a_replaced_stdout_is_the_functions_own_business(start: Start, how: str) -> None:
    node = start("streams")
    node.one(how)
    node.one("print", "not seen")
    node.one("complain", "seen")
    assert node.finish() == (0, "", "seen\n")


def test_output_is_out_before_its_run_is_reported(start: Start) -> None:
    node = start("streams")
    node.one("partial", "x" * 1000)
    node.process.kill()
    assert node.end()[1] == "x" * 1000


@pytest.mark.parametrize("how", ["return", "raise"])
def test_a_forked_copy_ends_where_it_would_go_on(start: Start, how: str) -> None:
    node = start("any_of")
    node.run(*[["same", 0]] * 2000)  # so that those that follow share a stride
    ended = node.run(["forks", how], ["streams", "print", "once"], ["forks", how])
    assert list(ended.values.values()) == ["the original", "print", "the original"]
    assert node.finish() == (0, "once\n", "")


def test_a_forked_copy_does_not_keep_the_socket_open(start: Start, fifo: str) -> None:
    node = start("forks")
    assert node.one(fifo) == "the copy lives on"
    try:
        node.process.kill()
        with pytest.raises(EOFError):
            node.receive()
    finally:
        with open(fifo, "w"):  # lets the copy end
            pass


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_task_may_have_processes_of_its_own(start: Start, method: str) -> None:
    node = start("pool")
    assert node.one(method) == [1, 2] and node.one(method) == [1, 2]
    assert node.finish() == (0, "", "")


def test_threads_that_are_left_do_not_hold_it_up(start: Start) -> None:
    node = start("leaves_thread")
    assert node.one() >= 2
    assert node.finish() == (0, "", "")


@pytest.mark.parametrize("codec", ["msgpack", "plain"])
def test_nobody_listens_to_what_it_prints(codec: str) -> None:
    with Node(codec, deaf=True) as node:
        node.load("streams")
        assert not node.run(["print", "x"], ["complain", "x"], ["much", 1 << 20]).failures
        assert node.finish()[0] == 0
