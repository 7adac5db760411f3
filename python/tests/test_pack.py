"""`pack` and `unpack`: what goes in comes out; what anybody may have written does nothing."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import functools
import os
import pathlib
import pickle
import random
import subprocess
import sys
import threading
import time
import tracemalloc
import types
import zoneinfo
from typing import Any

import packed
import pytest
from packed import Color, Frozen, IntPerm, Pair, Perm, Point, Values, nested, same, value_of, wrap

import gecaso
from gecaso import PickleCodec, UnpackError

FIXTURES = pathlib.Path(__file__).resolve().parents[2] / "fixtures" / "envelopes"


def again(value: Any, **params: Any) -> Any:
    return gecaso.unpack(gecaso.pack(value, **params))[0]


@pytest.mark.parametrize("value", packed.VALUES, ids=lambda value: type(value).__name__)
def test_what_goes_in_comes_out(value: Any) -> None:
    assert same(again(value), value)


def test_whatever_is_packed_is_unpacked_as_it_was(rng: random.Random) -> None:
    values = Values(rng)
    for _ in range(10_000):
        value = values.value()
        assert same(again(value), value), value


def test_equal_values_of_different_types_stay_what_they_are() -> None:
    value = again([1, 1.0, True, {1: "a"}, {1.0: "a"}, {True: "a"}, (1,), [1], Pair(1, None)])
    assert [type(item) for item in value[:3]] == [int, float, bool]
    assert [type(next(iter(item))) for item in value[3:6]] == [int, float, bool]
    assert [type(item) for item in value[6:]] == [tuple, list, Pair]
    assert not same((1,), [1]) and not same([1], [True]) and not same({1: 1}, {1.0: 1})


def test_members_of_enums_are_themselves() -> None:
    for member in [Color.RED, Perm.R, Perm.R | Perm.W, Perm(0), IntPerm.R | IntPerm.W]:
        assert again(member) is member


def test_flags_that_nobody_has_combined_yet() -> None:
    data = gecaso.pack(Perm.R | Perm.X)
    Perm._value2member_map_.pop(5)
    assert gecaso.unpack(data)[0].value == 5
    for value in (8, 2**70, -1, 9):
        forged = value_of(data)[:-1] + value_of(gecaso.pack(value))
        head = 3 if forged[0] == 0xC7 else 2
        with pytest.raises(UnpackError):
            gecaso.unpack(wrap(bytes([0xC7, len(forged) - head, forged[head - 1]]) + forged[head:]))
        assert value not in Perm._value2member_map_


def test_a_dataclass_is_put_together_without_running_anything_of_it() -> None:
    data = gecaso.pack(Point(1, [2]))
    packed.RAN.clear()
    value = gecaso.unpack(data)[0]
    assert not packed.RAN and vars(value) == {"x": 1, "y": [2]}


# Parameters


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (100, 100), (0, 0), (0.5, 0.5), (100.0, 100), ("1h 30m", 5400), ("250ms", 0.25),
        ("1d", 86_400), (dt.timedelta(minutes=2), 120), (dt.timedelta(microseconds=5), 5e-6),
    ],
)  # fmt: skip
def test_lifetimes_come_back_in_seconds(given: Any, kept: Any) -> None:
    assert gecaso.unpack(gecaso.pack(1, ttl=given)) == (1, {"ttl": kept})


@pytest.mark.parametrize(
    "given",
    [-1, -0.5, float("nan"), float("inf"), 2**64, "", "10", "1x", "1.5s", "1h 1h", "-1s",
     dt.timedelta(-1)],
)  # fmt: skip
def test_a_lifetime_that_is_none_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="ttl"):
        gecaso.pack(1, ttl=given)


@pytest.mark.parametrize("given", [True, [1], b"1h", 1j])
def test_a_lifetime_of_another_type_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match="`ttl` is a .*give seconds"):
        gecaso.pack(1, ttl=given)


def test_parameters_come_back() -> None:
    params = {
        "some_additional_cool_param": "Hell yeah!", "value": None, "self": True, "n": -(2**63),
        "x": 0.5, "raw": b"\0", "many": [1, ["a", (2,)], None],
    }  # fmt: skip
    assert gecaso.unpack(gecaso.pack(1, **params)) == (1, params)
    assert gecaso.unpack(gecaso.pack(1, ttl=None)) == (1, {})


@pytest.mark.parametrize(
    "given", [{}, 2**63, 1j, {1}, object(), "\ud800", dt.timedelta(1), [[{}]], Color.RED]
)
def test_a_parameter_that_is_no_plain_data_is_refused_by_name(given: Any) -> None:
    with pytest.raises(TypeError, match="the parameter `cool`"):
        gecaso.pack(1, cool=given)


# What is not packed


class Connection:
    pass


class Numbers(list):  # type: ignore[type-arg]
    pass


class OddDate(dt.date):
    pass


@dataclasses.dataclass
class OfList(list):  # type: ignore[type-arg]
    x: int = 1


@dataclasses.dataclass
class Cached:
    x: int

    @functools.cached_property
    def double(self) -> int:
        return 2 * self.x


def local_class() -> Any:
    @dataclasses.dataclass
    class Local:
        x: int

    return Local(1)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (Connection(), "value cannot"),
        ({"user": Point(1, Connection())}, "value['user'].y cannot"),
        ([0, (1, {2: Connection()})], "value[1][1][2] cannot"),
        ({Connection(): 1}, "value (a key) cannot"),
        ({Frozen(Connection())}, "value (an element).x cannot"),
        ({Color.RED: Connection()}, "value[<a `packed.Color`>] cannot"),
        (Pair(1, len), "value.y cannot"),
        (Numbers(), "value cannot"),
        (OddDate(2020, 1, 1), "value cannot"),
        (OfList(), "value cannot"),
        (collections.OrderedDict(), "value cannot"),
        (collections.deque(), "value cannot"),
        (local_class(), "not to be found"),
        (int, "value cannot"),
        (threading.Lock(), "value cannot"),
        (iter([]), "value cannot"),
        (memoryview(b""), "value cannot"),
        (types.SimpleNamespace(), "value cannot"),
        (ValueError(), "value cannot"),
        (dt.datetime(2020, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC")), "value.tzinfo cannot"),
    ],
)
def test_what_is_no_plain_data_is_refused_with_its_place(value: Any, place: str) -> None:
    with pytest.raises(TypeError) as raised:
        gecaso.pack(value)
    assert place in str(raised.value)
    assert "PickleCodec" in str(raised.value)


def test_what_a_dataclass_has_beside_its_fields_is_not_lost_but_refused() -> None:
    point = Point(1)
    point.extra = 2  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="`extra` that is no field"):
        gecaso.pack(point)
    cached = Cached(2)
    assert cached.double == 4
    assert vars(again(cached)) == {"x": 2}
    del point.extra, point.x  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="`x` has no value"):
        gecaso.pack(point)


def test_a_class_that_has_taken_anothers_name_is_refused(monkeypatch: Any) -> None:
    value = Point(1)
    monkeypatch.setattr(packed, "Point", Frozen)
    with pytest.raises(TypeError, match="not to be found"):
        gecaso.pack(value)


def test_limits() -> None:
    assert again(nested(128)) == nested(128)
    with pytest.raises(ValueError, match="nested more than 128 deep"):
        gecaso.pack(nested(129))
    endless: dict[str, Any] = {}
    endless["me"] = endless
    with pytest.raises(ValueError, match="contains itself"):
        gecaso.pack(endless)
    with pytest.raises(ValueError, match="takes more than 16777216 bytes"):
        gecaso.pack(b"x" * (16 << 20))
    assert len(again(b"x" * ((16 << 20) - 5))) == (16 << 20) - 5
    with pytest.raises(ValueError, match="the parameter `p`.* 65536 bytes"):
        gecaso.pack(1, p="x" * (64 << 10))


def test_a_list_that_changes_meanwhile_does_not_break_the_bytes() -> None:
    items: list[Any] = []

    @dataclasses.dataclass
    class Sly:
        x: int

        def __getattribute__(self, name: str) -> Any:
            items.clear()
            return object.__getattribute__(self, name)

    Sly.__qualname__ = "Sly"
    Sly.__module__ = __name__
    globals()["Sly"] = Sly
    items += [Sly(1), 2, 3]
    assert again(items)[1:] == [2, 3]
    table: dict[Any, Any] = {"a": Sly(1), "b": 2}
    items = table  # type: ignore[assignment]
    assert list(again(table)) == ["a", "b"]


# numpy


def test_arrays_and_scalars_of_numpy() -> None:
    np = pytest.importorskip("numpy")
    arrays = [
        np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.zeros((0, 3)), np.array(["ab", "c"]), np.array([b"ab"]), np.array(5), np.array([True]),
        np.arange(10)[::2], np.array(["2020"], "M8[s]"), np.array([1], "m8[25us]"),
        np.arange(3, dtype=">u2"), np.array([1j], "c8"), np.array([1.5], "f2"),
    ]  # fmt: skip
    for array in arrays:
        value = again(array)
        assert type(value) is np.ndarray and value.dtype == array.dtype
        assert value.shape == array.shape and (value == array).all()
        assert value.flags.owndata and value.flags.writeable
        if array.flags.contiguous or array.flags.f_contiguous:
            assert value.flags.f_contiguous == array.flags.f_contiguous
    scalars = [np.float64(1.5), np.int8(-3), np.bool_(True), np.datetime64("2020-01-01"),
               np.str_("abc"), np.complex64(1j), np.timedelta64(3, "s")]  # fmt: skip
    for scalar in scalars:
        value = again(scalar)
        assert type(value) is type(scalar) and value == scalar and value.dtype == scalar.dtype
    value = again({"a": [np.float32(0.5)]})
    assert type(value["a"][0]) is np.float32


def test_arrays_of_objects_are_refused() -> None:
    np = pytest.importorskip("numpy")
    for array in (np.array([object()]), np.array([(1, 2)], "i4,i4"), np.ma.array([1])):
        with pytest.raises(TypeError):
            gecaso.pack(array)


def test_arrays_that_lie_are_refused() -> None:
    np = pytest.importorskip("numpy")
    kind = value_of(gecaso.pack(np.array([True])))[2:3]

    def array(items: str, shape: list[int], data: bytes, order: Any = False) -> bytes:
        parts = b"".join(value_of(gecaso.pack(part)) for part in (items, order, shape, data))
        return wrap(b"\xc7" + bytes([len(parts)]) + kind + parts)

    assert gecaso.unpack(array("<i4", [1], b"1234"))[0].shape == (1,)
    lies: list[tuple[Any, ...]] = [
        ("<i4", [2], b"1234"), ("<i4", [-1], b"1234"), ("|O", [1], b"12345678"),
        ("O8", [1], b"x" * 8),
        ("|b1", [1], b"\2"), ("<U1", [1], b"\xff" * 4), ("<i4,<i4", [1], b"12345678"),
        ("<U0", [2**60], b""), ("<i4", [2**62, 4], b""), ("<i4", [2**61, 0], b"1"),
        ("<i3", [1], b"123"), ("<M8[ns]x", [1], b"12345678"), ("<M8[zz]", [1], b"12345678"),
        ("<f8", [1] * 99, b"12345678"),
        ("<V4", [1], b"1234"), ("<i4", [True], b"1234"), ("<i4", [1], b"1234", 1),
    ]  # fmt: skip
    for lie in lies:
        with pytest.raises(UnpackError):
            gecaso.unpack(array(*lie))


# What anybody may have written


def test_what_is_no_envelope_is_refused() -> None:
    whole = gecaso.pack({"a": 1}, ttl=1)
    cut = [whole[:-1], whole[:40], whole[:4], b""]
    for data in [*cut, whole + b"x", pickle.dumps(1), b"x" * 200]:
        with pytest.raises(UnpackError):
            gecaso.unpack(data)
    for place in range(len(whole)):
        broken = bytearray(whole)
        broken[place] ^= 1
        with pytest.raises(UnpackError):
            gecaso.unpack(broken)
    assert gecaso.unpack(bytearray(whole)) == ({"a": 1}, {"ttl": 1})
    assert gecaso.unpack(memoryview(whole)) == ({"a": 1}, {"ttl": 1})
    for other in ("text", None, 1, [1]):
        with pytest.raises(TypeError, match="takes bytes"):
            gecaso.unpack(other)  # type: ignore[arg-type]
    assert issubclass(UnpackError, ValueError)


def test_announced_lengths_are_held_against_what_is_there() -> None:
    huge = b"\xff\xff\xff\xff"
    lies = [
        b"\xdd" + huge, b"\xdf" + huge, b"\xdb" + huge, b"\xc6" + huge, b"\xc9" + huge + b"\x07",
        b"\xdc\xff\xff" + b"\x90" * 100, b"\x92\x92\x92\x92",
    ]  # fmt: skip
    tracemalloc.start()
    try:
        for lie in lies:
            with pytest.raises(UnpackError):
                gecaso.unpack(wrap(lie))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_depth_is_bounded_whatever_it_is_made_of() -> None:
    some = b"\1"
    for _ in range(300):
        some = b"\xc8" + len(some).to_bytes(2, "big") + b"\1" + some
    for level in (b"\x91", b"\xdc\0\1", b"\x81\0"):
        with pytest.raises(UnpackError, match="deep"):
            gecaso.unpack(wrap(level * 100_000 + b"\0"))
    with pytest.raises(UnpackError, match="deep"):
        gecaso.unpack(wrap(some))


def test_costly_numbers_are_refused_or_cheap() -> None:
    start = time.process_time()
    number = gecaso.unpack(wrap(b"\xc9" + (10**6).to_bytes(4, "big") + b"\2" + b"\x7f" * 10**6))[0]
    assert number.bit_length() == 8 * 10**6 - 1
    part = b"\xc9" + (10**6).to_bytes(4, "big") + b"\2" + b"\x7f" * 10**6
    with pytest.raises(UnpackError):
        gecaso.unpack(wrap(b"\xc9" + (2 * len(part)).to_bytes(4, "big") + b"\x10" + 2 * part))
    with pytest.raises(ValueError, match="8192 bytes"):
        gecaso.pack([__import__("fractions").Fraction(1, 3**60_000)])
    digits = b"1" * 10**6
    gecaso.unpack(wrap(b"\xc9" + (10**6).to_bytes(4, "big") + b"\x0f" + digits))
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "value",
    [
        "a1 02 c0",  # something follows
        "d4 02 00 c1",  # no item
        "82 01 c0 01 c0",  # a key twice
        "81 81 01 02 c0",  # a dict as a key
        "81 d4 05 00 c0",  # a bytearray as a key
        "d5 07 01 01",  # an element twice
        "d4 07 80",  # a dict in a set
        "c7 03 09 01 02 00",  # a range with a step of 0
        "c7 03 0b cd 07 00",  # a date without a day
        "c7 05 0b cd 07 e4 0d 01",  # a 13th month
        "c7 03 0a 01 ce 00",  # a timedelta that is cut
        "c7 07 0a 00 ce 00 01 51 80 00",  # 86,400 seconds
        "c7 03 0a c3 01 01",  # true days
        "c7 03 0f 31 5f 31",  # a decimal with an underscore
        "c7 03 0f 20 31 20",  # with spaces
        "c7 03 0f 6e 6f 70",
        "d5 10 02 04",  # a fraction that can be reduced
        "d5 10 01 00",
        "c7 03 10 01 01 01",
        "d4 11 00",  # a UUID of a byte
        "c7 03 12 09 a1 61",  # a path of no kind
        "d4 04 ff",  # no text
        "d4 03 00",
        "c7 05 0e ce 00 02 a3 00",
        "c7 06 15 a1 61 a1 62 a1 63",  # an enum of a module that nobody has imported
        "d4 18 00",  # an extension that is not known
        "d4 ff 00",  # the specification's own: a timestamp
    ],
)
def test_bytes_that_are_no_value_are_refused(value: str) -> None:
    with pytest.raises(UnpackError):
        gecaso.unpack(wrap(bytes.fromhex(value)))


@pytest.mark.parametrize(
    "params", ["90", "81 01 01", "81 a1 61 80", "81 a1 61 d4 05 00", "80 00", "81", "c0"]
)
def test_parameters_that_are_none_are_refused(params: str) -> None:
    with pytest.raises(UnpackError):
        gecaso.unpack(wrap(b"\xc0", bytes.fromhex(params)))


def instance(kind: int, module: str, name: str, *parts: Any) -> bytes:
    data = b"".join(value_of(gecaso.pack(part)) for part in (module, name, *parts))
    return wrap(b"\xc8" + len(data).to_bytes(2, "big") + bytes([kind]) + data)


ENUM, DATACLASS, NAMEDTUPLE = 21, 22, 23


def test_what_is_forged_here_is_what_pack_writes() -> None:
    for forged, value in [
        (instance(ENUM, "packed", "Color", "RED"), Color.RED),
        (instance(DATACLASS, "packed", "Point", "x", 1, "y", 2), Point(1, 2)),
        (instance(NAMEDTUPLE, "packed", "Pair", "x", 1, "y", 2), Pair(1, 2)),
    ]:
        assert gecaso.unpack(forged)[0] == value


class Evil(type):
    """Finds whatever attribute it is asked for."""

    def __getattr__(cls, name: str) -> Any:
        raise AssertionError(f"{name} was asked for")


class Trap(metaclass=Evil):
    pass


@pytest.mark.parametrize(
    "data",
    [
        instance(ENUM, "os", "system", "id"),
        instance(ENUM, "packed", "Color", "__class__"),
        instance(ENUM, "packed", "Color", "PURPLE"),
        instance(ENUM, "packed", "Color", 1),
        instance(ENUM, "packed", "Color", 1.5),
        instance(ENUM, "packed", "Point", "x"),
        instance(ENUM, "packed", "Color.RED", "x"),
        instance(ENUM, "packed", "", "x"),
        instance(ENUM, "packed", "Color."),
        instance(DATACLASS, "packed", "Pair", "x", 1, "y", 2),
        instance(DATACLASS, "packed", "Point", "x", 1),
        instance(DATACLASS, "packed", "Point", "y", 1, "x", 2),
        instance(DATACLASS, "packed", "Point", "x", 1, "y", 2, "z", 3),
        instance(DATACLASS, "packed", "Point", "x", 1, "x", 2),
        instance(DATACLASS, "packed", "Point", "x"),
        instance(DATACLASS, "packed", "Point", 1, 1),
        instance(DATACLASS, "subprocess", "Popen", "args", "id"),
        instance(DATACLASS, "builtins", "object"),
        instance(DATACLASS, "builtins", "list"),
        instance(DATACLASS, "test_pack", "OfList", "x", 1),
        instance(DATACLASS, "test_pack", "Trap", "x", 1),
        instance(NAMEDTUPLE, "test_pack", "Trap", "x", 1),
        instance(ENUM, "test_pack", "Trap.x", "x"),
        instance(NAMEDTUPLE, "packed", "Pair", "x", 1),
        instance(NAMEDTUPLE, "packed", "Point", "x", 1, "y", 2),
        instance(NAMEDTUPLE, "builtins", "tuple"),
        instance(NAMEDTUPLE, "time", "struct_time"),
        instance(DATACLASS, "no.such.module", "X"),
        instance(DATACLASS, "antigravity", "X"),
    ],
    ids=lambda data: "forged",
)
def test_only_classes_that_are_what_they_were_are_made(data: bytes) -> None:
    with pytest.raises(UnpackError):
        gecaso.unpack(data)


def test_a_class_that_has_changed_is_refused(monkeypatch: Any) -> None:
    data = gecaso.pack([Point(1, 2), Pair(1, 2), Color.RED])

    @dataclasses.dataclass
    class Changed:
        y: int
        x: int

    monkeypatch.setattr(packed, "Point", Changed)
    with pytest.raises(UnpackError, match="the fields of"):
        gecaso.unpack(data)
    monkeypatch.setattr(packed, "Point", 7)
    with pytest.raises(UnpackError, match="import it"):
        gecaso.unpack(data)


UNPACKER = """
import sys, gecaso
data = sys.stdin.buffer.read()
seen = []
sys.addaudithook(lambda event, arguments: seen.append(event) if ARMED else None)
ARMED = True
for line in data.split(b"\\n"):
    try:
        gecaso.unpack(bytes.fromhex(line.decode()))
    except ValueError:
        pass
ARMED = False
harmless = {"object.__getattr__", "object.__setattr__", "object.__delattr__"}
print(sorted(set(seen) - harmless), len(seen), "packed" in sys.modules)
"""


def test_unpacking_does_nothing_that_an_audit_would_see() -> None:
    values = [value for value in packed.VALUES if len(gecaso.pack(value)) < 3000]
    data = [gecaso.pack(value) for value in values]
    data += [instance(DATACLASS, "antigravity", "X"), instance(ENUM, "os", "system", "id")]
    data += [PickleCodec(b"x" * 32).pack(1)]
    lines = b"\n".join(line.hex().encode() for line in data)
    for prelude in ("", "import packed\n"):
        run = subprocess.run(
            [sys.executable, "-c", prelude + "ARMED = False\n" + UNPACKER],
            input=lines,
            capture_output=True,
            check=False,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        assert run.returncode == 0, run.stderr.decode()
        events, imported = run.stdout.decode().rsplit(maxsplit=1)
        assert events.startswith("[] "), events
        assert imported == str(bool(prelude))


def mutated(chance: random.Random, data: bytes) -> bytes:
    broken = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 3, 8])):
        place = chance.randrange(len(broken)) if broken else 0
        how = chance.randrange(5)
        if how == 0 and broken:
            broken[place] ^= 1 << chance.randrange(8)
        elif how == 1 and broken:
            broken[place] = chance.choice([0, 0x7F, 0x80, 0x90, 0xC1, 0xD4, 0xDC, 0xFF])
        elif how == 2:
            del broken[place : place + chance.randrange(1, 5)]
        elif how == 3:
            broken[place:place] = chance.randbytes(chance.randrange(1, 5))
        else:
            broken[place:place] = broken[: chance.randrange(1, 20)]
    return bytes(broken)


def test_200_000_mutations_are_values_or_refused(rng: random.Random) -> None:
    values = Values(rng)
    sources = [value_of(gecaso.pack(values.value())) for _ in range(500)]
    sources += [value_of(gecaso.pack(value)) for value in packed.VALUES]
    sources = [source for source in sources if len(source) < 2000]
    taken = 0
    for _ in range(200_000):
        source = mutated(rng, rng.choice(sources))
        data = wrap(source) if rng.random() < 0.9 else wrap(b"\xc0", source)
        try:
            value = gecaso.unpack(data)[0]
        except UnpackError:
            continue
        taken += 1
        # What is read can be written, and is read as the same.
        assert same(again(value), value)
    assert 1000 < taken < 199_000


# Rust's


def test_what_rust_has_packed_is_plain_data() -> None:
    value, params = gecaso.unpack((FIXTURES / "v1" / "rust.bin").read_bytes())
    assert params == {
        "ttl": 100, "many": [None, True, -5, 0.5], "raw": b"\0\xff",
        "some_additional_cool_param": "Hell yeah!",
    }  # fmt: skip
    assert value["id"] == 2**64 - 1 and value["name"] == "gecaso" and value["tags"] == ["a", "b"]
    assert value["parent"]["parent"] is None
    assert value["kind"] == {"Placed": {"x": -70_000, "y": None}}, "a `Some(None)` is None here"
    assert value["pair"] == [127, -2.25]
    assert value["wide"] == (-(2**100)).to_bytes(16, "big", signed=True)
    # Written as another language does; a float is one of 64 bits.
    other, _ = gecaso.unpack((FIXTURES / "v1" / "python.bin").read_bytes())
    assert other == value


def test_a_later_version_is_refused() -> None:
    with pytest.raises(UnpackError, match="another version"):
        gecaso.unpack((FIXTURES / "v2" / "unknown.bin").read_bytes())


def test_version_1_is_read_and_written_as_it_was() -> None:
    frozen = (FIXTURES / "v1" / "python-values.bin").read_bytes()
    assert gecaso.pack(packed.FROZEN, ttl="1h", cool=("Hell", "yeah!")) == frozen
    value, params = gecaso.unpack(frozen)
    assert same(value, packed.FROZEN)
    assert params == {"ttl": 3600, "cool": ("Hell", "yeah!")}


def test_keys_that_are_arrays_are_tuples() -> None:
    assert gecaso.unpack(wrap(bytes.fromhex("81 92 01 91 02 c0")))[0] == {(1, (2,)): None}
    assert gecaso.unpack(wrap(bytes.fromhex("c7 03 07 92 01 02")))[0] == {(1, 2)}


# Pickle


def test_a_pickle_is_only_read_with_its_secret() -> None:
    codec = PickleCodec(b"a secret that nobody can guess!!")
    data = codec.pack(collections.OrderedDict(a=Connection), ttl="1m", cool=1)
    value, params = codec.unpack(data)
    assert type(value) is collections.OrderedDict and value["a"] is Connection
    assert params == {"ttl": 60, "cool": 1}
    with pytest.raises(UnpackError, match="another secret"):
        PickleCodec(b"a secret that nobody can guess??").unpack(data)
    with pytest.raises(UnpackError, match="PickleCodec"):
        gecaso.unpack(data)
    with pytest.raises(UnpackError):
        codec.unpack(gecaso.pack(1))
    with pytest.raises(ValueError, match="32"):
        PickleCodec(b"short")
    assert "secret" not in repr(codec)


class Bomb:
    def __reduce__(self) -> Any:
        return os.mkdir, ("/nowhere/at/all",)


def test_nothing_is_unpickled_before_its_signature_is_compared() -> None:
    codec = PickleCodec(b"x" * 32)
    bomb = pickle.dumps(Bomb())
    with pytest.raises(FileNotFoundError):
        codec.unpack(codec.pack(Bomb()))
    for forged in (b"\0" * 32 + bomb, bomb, b"", b"\0" * 31):
        with pytest.raises(UnpackError):
            codec.unpack(wrap(forged, codec=2))
    whole = codec.pack([1, 2, 3], ttl=1)
    # Nobody looks at the shape, nor whether there is one.
    unseen = {6, *range(16, 24)}
    for place in set(range(len(whole) - 8)) - unseen:
        broken = bytearray(whole[:-8])
        broken[place] ^= 1
        with pytest.raises(UnpackError):
            codec.unpack(packed.signed(bytes(broken)))


def test_unpack_does_not_import_what_it_is_told_to() -> None:
    assert "antigravity" not in sys.modules
    with pytest.raises(UnpackError, match="import it before"):
        gecaso.unpack(instance(DATACLASS, "antigravity", "X"))
    assert "antigravity" not in sys.modules


class LateEnum(enum.Enum):
    A = 1


def test_a_module_that_makes_its_attributes_when_asked_is_not_asked(monkeypatch: Any) -> None:
    module = types.ModuleType("lazy")
    asked: list[str] = []

    def find(name: str) -> Any:
        asked.append(name)
        return LateEnum

    module.__getattr__ = find  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "lazy", module)
    with pytest.raises(UnpackError):
        gecaso.unpack(instance(ENUM, "lazy", "LateEnum", "A"))
    assert not asked
