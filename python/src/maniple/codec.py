"""Values to MessagePack and back: the one place that says what becomes of a Python value.

A node executes the text of this file, with that of ``child.py`` and what it needs behind it, in an interpreter
where nothing needs to be installed: it imports the standard library only. All of MessagePack that is needed is here;
the library msgpack, where it is installed, does the ordinary cases faster, and both give the same bytes. It knows
nothing of tasks.

None, bool, int, float, str, bytes, list, dict, of exactly these types, are plain MessagePack; numpy's scalars of these
kinds, up to 64 bits, become Python's. Anything else is an extension type (for readers: ``docs/values.md``):
1  tuple: the MessagePack array of its elements
2  int beyond 64 bits: two's complement, little-endian
3  any other object: pickle protocol 5
4  numpy's array of numbers: dtype, shape, elements
5  pandas' series of float64 or int64 by distinct texts: name, labels, values

Invariants
- What comes back equals what was given, type for type; only numpy's scalars come back as Python's.
- Nothing is pickled or unpickled but by ``one`` and ``each``, which hold a single task's value or key in hand.
- numpy and pandas are imported by those who have their values, and to read one.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import struct
import sys
from collections.abc import Iterator
from itertools import chain
from typing import Any, Callable

TUPLE, INTEGER, PICKLE, ARRAY, SERIES = 1, 2, 3, 4, 5
DEEPEST = 510  # levels below a value, as many as readers follow; what is deeper, or holds itself, is pickled whole
LARGEST_KEPT = 16 << 20  # bytes that a packer may keep allocated

CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
NUMBERS = {0xCA + place: struct.Struct(">" + code) for place, code in enumerate("fdBHIQbhiq")}
SMALL = (("map", 0x80, 16), ("array", 0x90, 16), ("str", 0xA0, 32))  # first marker, how many: they hold the size
LARGE = (("bin", 0xC4, 1), ("ext", 0xC7, 1), ("str", 0xD9, 1), ("array", 0xDC, 2), ("map", 0xDE, 2))  # bytes of size
HEADS = {first + size: (kind, 0, size) for kind, first, room in SMALL for size in range(room)}
HEADS |= {first + place: (kind, least << place, 0) for kind, first, least in LARGE for place in range(4 - least)}
HEADS |= {0xD4 + power: ("ext", 0, 1 << power) for power in range(5)}
MARKERS = {meaning: marker for marker, meaning in HEADS.items()}


class Unkeepable(Exception):
    """A value that does not encode: the name of the type to blame, and why."""


class OneByOne(Exception):
    """There are objects to pickle or unpickle: take the values or keys one by one."""


class Undecodable:
    """Stands for a key whose decoding raised an exception."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def name_of(kind: type) -> str:
    """The qualified name of a type, plain for a builtin."""
    with contextlib.suppress(BaseException):  # a metaclass may do anything
        return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return "a type without a name"


def exit_of(error: SystemExit) -> str:
    """The call that raised it."""
    return "sys.exit()" if error.code is None else f"sys.exit({error.code!r})"


def text_of(error: BaseException) -> str:
    """The text of an exception, even of one that raises when it is asked for it."""
    try:
        return f"the task called {exit_of(error)}" if isinstance(error, SystemExit) else str(error)
    except BaseException as other:
        return f"<its text raised {name_of(type(other))}>"


def head(kind: str, size: int) -> bytes:
    """The marker and the size of something that has one, as short as possible."""
    if marker := MARKERS.get((kind, 0, size)):
        return bytes([marker])
    width = next((width for width in (1, 2) if not size >> 8 * width and (kind, width, 0) in MARKERS), 4)
    return bytes([MARKERS[kind, width, 0]]) + size.to_bytes(width, "big")


def extension(code: int, data: bytes) -> bytes:
    return head("ext", len(data)) + bytes([code]) + data


def is_unicode(text: str) -> bool:
    """Whether UTF-8 can say it: not if it has lone surrogates."""
    return text == text.encode(errors="ignore").decode()


def holds(value: Any, unwanted: set[type]) -> bool:
    """Whether lists, tuples and dicts within a value hold any of these types, or are nested almost too deep."""
    level, nesting = [value], {list, tuple, dict}
    for _ in range(DEEPEST):
        kinds = set(map(type, level))
        if kinds.isdisjoint(nesting | unwanted):
            return False
        if not kinds.isdisjoint(unwanted):
            return True
        level = gc.get_referents(*(level if kinds <= nesting else [held for held in level if type(held) in nesting]))
    return True


def is_plain(dtype: Any) -> bool:
    """Whether numpy's elements of this type are numbers that a name of two or three characters says all about."""
    widest = {"b": 1, "i": 8, "u": 8, "f": 8, "c": 16}.get(dtype.kind, 0)
    return bool(dtype.isbuiltin == 1 and dtype.itemsize <= widest and dtype.str[0] != ">" and not dtype.metadata)


def array_of(dtype: str, shape: list[int], data: bytes) -> Any:
    """A numpy array of its own memory."""
    numpy = importlib.import_module("numpy")
    if is_plain(kind := numpy.dtype(dtype)):
        array = numpy.ndarray(shape, kind, data)
        if list(array.shape) == shape and array.nbytes == len(data):
            return array.copy()
    raise ValueError("malformed array")


def series_parts(series: Any, index_type: Any) -> list[Any] | None:
    """Name, labels and values of a pandas series, if they are all there is to it."""
    index, labels = series.index, []
    if type(index) is index_type and index.name is None and getattr(series.dtype, "str", "") in ("<f8", "<i8"):
        labels = index.tolist()
    if set(map(type, labels)) != {str} or len(set(labels)) < len(labels) or index.dtype != index_type(labels[:1]).dtype:
        return None
    if series.attrs or not series.flags.allows_duplicate_labels or not is_unicode("".join(labels)):
        return None
    return [series.name, labels, series.to_numpy()]


def series_of(name: Any, labels: list[str], values: Any) -> Any:
    if getattr(values, "shape", None) != (len(labels),):
        raise ValueError("malformed series")
    pandas = importlib.import_module("pandas")
    return pandas.Series(values, index=pandas.Index(labels), name=name)


class Codec:
    """`pack` and `unpack` many values at once; `one` and `each` do it where they may hold objects."""

    def __init__(self) -> None:
        self.is_fast = False  # by msgpack, not by the pure Python below
        self.pickled = False  # a value held objects
        self.alone = False  # a single task's key or value is in hand
        self.broken: BaseException | None = None  # what decoding a part of the key in hand raised
        self.scalars: dict[type, Callable[[Any], Any]] = {}
        self.pack: Callable[[Any], bytes] = self.encode
        self.unpack: Callable[[bytes | bytearray], Any] = self.decode
        with contextlib.suppress(ImportError):
            self.accelerate(importlib.import_module("msgpack"))

    def accelerate(self, msgpack: Any) -> None:
        self.is_fast = True
        spare: list[Any] = []  # the elements of a tuple are packed while what holds it is: one packer a level
        unasked = {bytearray, memoryview, msgpack.ExtType, msgpack.Timestamp}  # which it packs without asking `default`

        def default(value: Any) -> Any:
            convert = self.scalar(type(value))
            return convert(value) if convert else msgpack.ExtType(*self.foreign(value, inner))

        def inner(value: Any) -> bytes:
            packer = spare.pop() if spare else msgpack.Packer(default=default, strict_types=True)
            blob: bytes = packer.pack(value)
            if len(blob) < LARGEST_KEPT:
                spare.append(packer)
            return blob

        def pack(value: Any) -> bytes:
            blob = inner(value)
            return self.encode(value) if holds(value, unasked) else blob

        options = {"ext_hook": self.native, "strict_map_key": False, "unicode_errors": "surrogateescape"}
        self.pack, self.unpack = pack, lambda data: msgpack.unpackb(data, **options)

    def one(self, value: Any) -> bytes:
        """Packs a value that may hold objects; raises Unkeepable, or MemoryError."""
        self.alone = True
        try:
            return self.pack([value])[1:]
        except Exception:  # a text with surrogates, too deep, an object that does not pickle
            with contextlib.suppress(RecursionError):
                return self.encode([value])[1:]
            return extension(PICKLE, self.dumps(value))
        finally:
            self.alone = False

    def each(self, array: bytes | bytearray) -> Iterator[Any]:
        """Unpacks the elements of an array, one at each step; an Undecodable for one that cannot be."""
        _, width, size = HEADS[array[0]]
        size, at = size + int.from_bytes(array[1 : 1 + width], "big"), 1 + width
        for _ in range(size):
            self.alone, self.broken = True, None
            try:
                value, at = self.take(array, at)
            finally:
                self.alone = False
            yield Undecodable(self.broken) if self.broken else value

    def scalar(self, kind: type) -> Callable[[Any], Any] | None:
        """What makes one of Python's scalars of one of numpy's, where nothing is lost by it."""
        if not self.scalars and kind.__module__ == "numpy":
            numpy = sys.modules["numpy"]
            own: dict[str, Any] = {"f": float, "i": int, "u": int, "b": bool, "U": str.__str__, "S": bytes}
            known = map(numpy.dtype, set(numpy.sctypeDict.values()))
            self.scalars = {d.type: own[d.kind] for d in known if d.kind in own and d.itemsize <= 8}
        return self.scalars.get(kind)

    def foreign(self, value: Any, pack: Callable[[Any], bytes]) -> tuple[int, bytes]:
        """The extension type and the data of what MessagePack has no type for."""
        kind, loaded = type(value), sys.modules.get
        if kind is tuple:
            return TUPLE, pack(list(value))
        if kind is int:
            return INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        if kind is getattr(loaded("numpy"), "ndarray", None) and is_plain(value.dtype):
            return ARRAY, pack([value.dtype.str, list(value.shape), value.tobytes()])
        if kind is getattr(loaded("pandas"), "Series", None):
            if parts := series_parts(value, sys.modules["pandas"].Index):
                return SERIES, pack(parts)
        return PICKLE, self.dumps(value)

    def dumps(self, value: Any) -> bytes:
        if not self.alone:
            raise OneByOne
        self.pickled, why, by_name = True, "", b""
        for module in ("pickle", "cloudpickle"):
            try:
                data = bytes(importlib.import_module(module).dumps(value, protocol=5))
            except MemoryError:
                raise
            except BaseException as error:
                why = why or f"{name_of(type(error))}: {text_of(error)}"
                continue
            if module == "cloudpickle" or b"__main__" not in data:
                return data
            by_name = data  # of a class that another process has not got by this name
        if by_name:
            return by_name
        raise Unkeepable(name_of(type(value)), why)

    def native(self, code: int, data: bytes | bytearray) -> Any:
        """The opposite of `foreign`."""
        if code == TUPLE:
            return tuple(self.unpack(data))
        if code == INTEGER:
            return int.from_bytes(data, "little", signed=True)
        if code == ARRAY or code == SERIES:
            return (array_of if code == ARRAY else series_of)(*self.unpack(data))
        if code != PICKLE:
            raise ValueError(f"unknown MessagePack extension type {code}")
        if not self.alone:
            raise OneByOne
        return importlib.import_module("pickle").loads(data)

    def encode(self, value: Any) -> bytes:
        out = bytearray()
        self.put(out, value, -1)
        return bytes(out)

    def put(self, out: bytearray, value: Any, depth: int) -> None:
        """Appends a value, which lies so deep within another."""
        kind = type(value)
        if depth > DEEPEST:
            raise RecursionError
        if value is None or kind is bool:
            out.append(0xC0 if value is None else 0xC2 + value)
        elif kind is int and -32 <= value < 128:
            out.append(value & 0xFF)
        elif kind is int and -(1 << 63) <= value < 1 << 64:
            bits = value.bit_length() if value > 0 else (~value).bit_length() + 1
            power = (bits > 8) + (bits > 16) + (bits > 32)
            out.append((0xCC if value > 0 else 0xD0) + power)
            out += value.to_bytes(1 << power, "big", signed=value < 0)
        elif kind is float:
            out += b"\xcb" + NUMBERS[0xCB].pack(value)
        elif kind is bytes or (kind is str and is_unicode(value)):
            data = value if kind is bytes else value.encode()
            out += head("bin" if kind is bytes else "str", len(data)) + data
        elif kind is list or kind is dict:
            out += head("array" if kind is list else "map", len(value))
            for held in value if kind is list else chain.from_iterable(value.items()):
                self.put(out, held, depth + 1)
        elif convert := self.scalar(kind):
            self.put(out, convert(value), depth)
        else:
            out += extension(*self.foreign(value, self.encode))

    def decode(self, data: bytes | bytearray) -> Any:
        value, end = self.take(data, 0)
        if end != len(data):
            raise ValueError("malformed MessagePack")
        return value

    def take(self, data: bytes | bytearray, at: int) -> tuple[Any, int]:
        """The value at a place, and the place behind it."""
        marker, at = data[at], at + 1
        if marker < 0x80 or marker >= 0xE0:
            return marker - (0x100 if marker >= 0xE0 else 0), at
        if marker in CONSTANTS:
            return CONSTANTS[marker], at
        if number := NUMBERS.get(marker):
            return number.unpack_from(data, at)[0], at + number.size
        kind, width, size = HEADS[marker]
        size, at = size + int.from_bytes(data[at : at + width], "big"), at + width
        if kind == "array" or kind == "map":
            held = []
            for _ in range(size if kind == "array" else 2 * size):
                value, at = self.take(data, at)
                held.append(value)
            return self.built(lambda: held if kind == "array" else dict(zip(held[::2], held[1::2]))), at
        start = at + (kind == "ext")
        body, end = data[start : start + size], start + size
        if end > len(data):
            raise ValueError("cut MessagePack")
        if kind == "ext":
            return self.built(lambda: self.native(int.from_bytes(data[at:start], "big", signed=True), body)), end
        return bytes(body) if kind == "bin" else body.decode("utf-8", "surrogateescape"), end

    def built(self, build: Callable[[], Any]) -> Any:
        """A part of a key; what it raises concerns that key alone."""
        try:
            return build()
        except BaseException as error:
            if not self.alone:
                raise
            self.broken = error
            return None
