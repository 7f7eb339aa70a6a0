"""A child in order: it loads, calls, answers in order, stops where it is told to, and says what went wrong.

What tasks do to it on purpose is in ``test_hostile.py``; the bytes of values are in ``test_codec.py``.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
from pathlib import Path
from typing import Any

import pytest
from conftest import Start
from harness import HERE, NO_BOUND, Node

MIB = 1 << 20


def test_ready_says_which_python(start: Start) -> None:
    node = start("same")
    assert node.one("sys") == "sys"
    assert node.finish() == (0, "", "")


def test_lists_are_spread_maps_are_named_anything_else_is_one_argument(start: Start) -> None:
    keys = [[1, "a"], [], {"x": 1}, {}, 5, None, "000001", b"b", 1.5, (1, 2), 2**70, {3}, [[1]], [{"y": 2}]]
    called: list[Any] = [[[1, "a"], {}], [[], {}], [[], {"x": 1}], [[], {}]]
    rest = [[[key], {}] for key in keys[4:12]]
    ended = start("echo").run(*keys)
    assert list(ended.values.values()) == [*called, *rest, [[[1]], {}], [[{"y": 2}], {}]]
    assert not ended.failures


def test_a_dotted_function_and_the_import_path(start: Start, tmp_path: Path) -> None:
    assert start("Nested.deep").one(3) == 3
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "here.py").write_text("import os\ndef where(): return [os.getcwd(), __file__]")
    found = start("where", module="own.here", path=[str(tmp_path), str(HERE)]).one()
    assert found == [str(tmp_path), str(tmp_path / "own" / "here.py")]
    path, folder, arguments = start("facts", path=["/not/there", str(HERE)]).one("path")
    assert path[:2] == ["/not/there", str(HERE)] and "" not in path and len(arguments) == 1
    assert folder == os.getcwd(), "a folder that is not there changes nothing"


def unloadable(codec: str, module: str, function: str = "f", path: Any = (str(HERE),)) -> dict[str, Any]:
    with Node(codec) as node:
        name, fields = node.load(function, module, path)
        assert name == "Unloadable" and "\n" not in fields["message"]
        assert node.end() == (0, "", "")
        return fields


@pytest.mark.parametrize("codec", ["msgpack", "plain"])
def test_what_cannot_be_loaded_is_named_in_one_line(codec: str) -> None:
    missing = unloadable(codec, "nowhere_at_all.deep", path=["/some/folder", str(HERE)])
    here = os.uname().nodename
    assert missing["message"].startswith(f"no module nowhere_at_all on {here} in /some/folder, {HERE}, nor where ")
    assert f"no module sample_tasks.deep on {here} in" in unloadable(codec, "sample_tasks.deep")["message"]
    lacking = unloadable(codec, "lacking_module")
    assert lacking["message"] == f"no module surely_not_there on {here}, and module lacking_module imports it"
    assert "import surely_not_there" in lacking["traceback"]
    broken = unloadable(codec, "broken_module")
    assert broken["message"] == "module broken_module raised RuntimeError: this module is broken"
    assert broken["traceback"].startswith("Traceback") and 'broken_module.py", line 3' in broken["traceback"]
    assert "<string>" not in broken["traceback"]
    function = unloadable(codec, "sample_tasks", "Nested.nothing")
    assert function["message"] == f"no function Nested.nothing in module sample_tasks ({HERE}/sample_tasks.py)"
    value = unloadable(codec, "sample_tasks", "NOT_A_FUNCTION")
    assert value["message"].endswith("sample_tasks.py) cannot be called: it is of type int")


def test_the_collector_is_tuned(start: Start) -> None:
    node = start("facts")
    assert node.one("collector") == [50_000, True, True]


def test_runs_are_answered_in_order_and_ordinals_go_on(start: Start) -> None:
    node = start("same")
    flying = [node.begin(list(range(n, n + 700))) for n in range(0, 7000, 700)]
    for begun in flying:
        ended = node.collect(begun)
        assert list(ended.values.items()) == [(ordinal, ordinal - 1) for ordinal in begun]
        assert not ended.failures and sum(frame["busy_us"] for frame in ended.frames) < 60e6
    assert node.page[0] == 0 and node.page[2] == 7001


def test_finished_tasks_do_not_wait_for_slow_ones(start: Start) -> None:
    node = start("sleep")
    ended = node.run(0.15, 0, 0, 0.15, 0, 0)
    assert len(ended.frames) > 1 and ended.frames[0]["count"] == 1
    assert ended.frames[0]["busy_us"] >= 150_000
    assert list(ended.values.values()) == [0.15, 0, 0, 0.15, 0, 0]


def test_the_beacon_names_the_running_task(start: Start, fifo: str) -> None:
    node = start("wait")
    node.run("", "", "")
    begun = node.begin(["", fifo, ""])
    with open(fifo, "w") as release:  # opens when the task has opened its end
        assert node.page[0] == 5
        release.write("go")
    assert list(node.collect(begun).values.values()) == ["", "go", ""]
    assert node.page[0] == 0


def test_the_first_value_is_told_before_the_next_task_ends(start: Start, fifo: str) -> None:
    node = start("wait")
    begun = node.begin(["", fifo])
    name, fields, _ = node.receive()
    assert (name, fields["first"], fields["count"]) == ("Ran", begun.start, 1)
    open(fifo, "w").close()
    assert node.receive()[1]["count"] == 1


def test_stop_takes_back_what_is_not_committed(start: Start, fifo: str) -> None:
    node = start("wait")
    begun = node.begin([fifo, *[""] * 99])
    with open(fifo, "w"):
        assert node.page[0] == 1 and node.page[2] == 2
        node.page[1] = 2
    ended = node.collect(begun)
    assert list(ended.values) == [1] and ended.stopped == 2 and node.page[2] == 2
    node.page[1] = NO_BOUND
    assert list(node.run("", "").values) == [101, 102], "the ordinals of the stopped run are not given again"


def test_a_stride_is_cut_at_stop(start: Start) -> None:
    node = start("count")
    node.page[1] = 77
    ended = node.run(*range(200))
    assert list(ended.values.values()) == list(range(1, 77)) and ended.stopped == 77 and node.page[2] == 77
    for _ in range(2):
        ended = node.run(*range(5))
        assert not ended.values and ended.stopped is not None
    node.page[1] = node.next + 3
    assert list(node.run(*range(3)).values.values()) == [77, 78, 79], "a stop at the end of a run is no stop"
    node.page[1] = NO_BOUND
    assert list(node.run(1).values.values()) == [80]


def test_strides_grow_with_fast_tasks_and_shrink_with_slow_ones(start: Start, fifo: str) -> None:
    node = start("wait")
    node.run(*[""] * 2000)
    begun = node.begin([fifo, *[""] * 999])
    with open(fifo, "w"):
        assert node.page[0] == 2001 and 2002 < node.page[2] <= 2001 + 256
    node.collect(begun)
    slow = start("sleep")
    slow.run(*[0.003] * 12)
    begun = slow.begin([0.003] * 3)
    slow.collect(begun)
    assert slow.page[2] == begun.stop


def test_a_failure_tells_its_story(start: Start) -> None:
    node = start("fails")
    ended = node.run("no", ["raise", "sad"], "no", "chain", "no", ["raise"], ["too", "many"], {"wrong": 1})
    assert list(ended.values.items()) == [(1, "no"), (3, "no"), (5, "no")]
    sad = ended.failures[2]
    assert (sad["kind"], sad["type_name"], sad["message"]) == ("Exception", "ValueError", "sad")
    lines = sad["traceback"].splitlines()
    assert lines[0] == "Traceback (most recent call last):" and lines[-1] == "ValueError: sad"
    assert lines[1].startswith(f'  File "{HERE}/sample_tasks.py"') and "<string>" not in sad["traceback"]
    assert (
        "KeyError: 'inner'" in ended.failures[4]["traceback"] and ended.failures[4]["type_name"] == "FileNotFoundError"
    )
    assert ended.failures[6]["message"] == ""
    assert "unexpected keyword argument 'wrong'" in ended.failures[8]["message"]


def test_a_value_that_cannot_be_kept_fails_its_task_alone(start: Start) -> None:
    ended = start("made").run(["set"], ["lock"], ["text", 5], ["own"], ["quits"], ["surrogate"], ["text", 2])
    assert list(ended.values.items()) == [(1, {1, 2}), (3, "xxxxx"), (6, ["a\udc80"]), (7, "xx")]
    assert {failure["kind"] for failure in ended.failures.values()} == {"BadValue"}
    lock, own, quits = ended.failures.values()
    assert lock["type_name"] == "_thread.lock" and "cannot pickle '_thread.lock' object" in lock["message"]
    assert own["type_name"] == "sample_tasks.Lock" and own["message"] == "TypeError: a lock cannot be given away"
    assert quits["type_name"] == "sample_tasks.Quits" and own["traceback"] == ""


def test_a_value_beyond_the_limit_says_its_size(start: Start) -> None:
    node = start("made", value_limit=1000)
    ended = node.run(["bytes", 998], ["bytes", 996], ["bytes", 997], ["text", 1])
    assert [len(value) for value in ended.values.values()] == [996, 997, 1]
    (failure,) = ended.failures.values()
    assert failure["ordinal"] == 1 and failure["kind"] == "BadValue" and failure["type_name"] == "bytes"
    assert failure["message"] == "its 1,001 bytes are more than the limit of 1,000"


def test_many_large_values_travel_in_frames_of_their_own(start: Start) -> None:
    node = start("made", value_limit=64 * MIB)
    sizes = [3 * MIB] * 8 + [60 * MIB] + [3 * MIB]
    ended = node.run(*[["bytes", size] for size in sizes], ["bytes", 70 * MIB])
    assert [len(value) for value in ended.values.values()] == sizes
    assert list(ended.failures) == [11] and ended.failures[11]["message"].endswith("the limit of 67,108,864")
    assert sum(frame["payload"] > 16 * MIB for frame in ended.frames) == 1


def test_many_failures_travel_in_frames_that_a_node_takes(start: Start) -> None:
    ended = start("fails").run(*[["raise", "é" * 30_000]] * 60, *["no"] * 3, *[["raise", "short"]] * 3000)
    assert len(ended.failures) == 3060 and list(ended.values) == [61, 62, 63]
    ended = start("made").run(*[["wordy"]] * 60, *[["set"]] * 3)
    assert len(ended.failures) == 60 and list(ended.values) == [61, 62, 63]


def test_a_key_that_does_not_unpickle_fails_its_task_alone(start: Start) -> None:
    node = start("same")

    class Gone:
        def __reduce__(self) -> Any:
            return (exec, ("raise LookupError('gone')",))

    ended = node.run(1, (Gone(),), {2})
    assert list(ended.values.items()) == [(1, 1), (3, {2})]
    assert ended.failures[2]["type_name"] == "LookupError" and ended.failures[2]["message"] == "gone"


def test_memory_that_runs_out_under_the_limit(start: Start) -> None:
    node = start("allocate", memory=600 * MIB)
    ended = node.run(1000, 2**30, MIB, 2**30, 2000)
    assert list(ended.values.values()) == [1000, MIB, 2000]
    assert [failure["kind"] for failure in ended.failures.values()] == ["OutOfMemory"] * 2
    assert ended.failures[2]["type_name"] == "MemoryError" and "bytearray(size)" in ended.failures[2]["traceback"]
    (hoarded,) = start("hoard", memory=200 * MIB).run([]).failures.values()
    assert hoarded["kind"] == "OutOfMemory" and "kept.append" in hoarded["traceback"]
    (unlimited,) = start("allocate").run(2**60).failures.values()
    assert unlimited["kind"] == "Exception" and unlimited["type_name"] == "MemoryError"


def test_it_ends_quietly_when_the_node_is_gone(start: Start, fifo: str) -> None:
    assert start("same").finish() == (0, "", "")
    node = start("wait")
    node.begin([fifo])
    with open(fifo, "w"):
        node.socket.shutdown(socket.SHUT_RDWR)
    assert node.end() == (0, "", "")
    node = start("same")
    node.outbox.put(struct.pack("<II", 1, 1) + b"\x80")
    node.outbox.put(b"")
    node.sender.join()
    assert node.finish() == (0, "", ""), "a frame that is cut"


def test_nonsense_from_the_node_ends_it_with_a_word(start: Start) -> None:
    node = start("same")
    node.send({"Run": {"first": 1, "count": 2}}, b"\x91\x01")
    code, _, err = node.end()
    assert code == 70 and "1 keys came for 2 tasks" in err
    node = start("same")
    node.outbox.put(struct.pack("<II", 1, 0) + b"\xc1")
    assert node.end()[0] == 70


def test_an_interrupt_from_the_terminal_is_not_its_business(start: Start, fifo: str) -> None:
    node = start("wait")
    begun = node.begin([fifo, ""])
    with open(fifo, "w") as release:
        node.process.send_signal(signal.SIGINT)
        release.write("still here")
    assert list(node.collect(begun).values.values()) == ["still here", ""]
