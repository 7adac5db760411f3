"""Keys of Python's values: the frozen examples, and what must be the same key or another one."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import json
import math
import os
import pathlib
import struct
import sys
import threading
import uuid
from collections import namedtuple
from typing import Any, NamedTuple

import pytest

from gecaso import _gecaso

FIXTURE = pathlib.Path(__file__).resolve().parents[2] / "fixtures" / "keys.json"
FIXTURES = json.loads(FIXTURE.read_text())


class Unknown(Exception):
    """A value that Python does not have."""


class Told:
    """Says itself what it is."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __gecaso_key__(self) -> Any:
        return self.value


def built(plain: Any) -> Any:
    """The value of a row, as `docs/format.md` describes it."""
    if plain is None or isinstance(plain, bool):
        return plain
    [(kind, said)] = plain.items()
    return BUILDERS[kind](said)


def built_set(said: list[Any]) -> Any:
    values = [built(value) for value in said]
    try:
        made = frozenset(values)
    except TypeError:
        raise Unknown from None
    if len(made) != len(values):
        raise Unknown
    return made


def built_map(said: list[Any]) -> Any:
    entries = [(built(key), built(value)) for key, value in said]
    try:
        made = dict(entries)
    except TypeError:
        raise Unknown from None
    if len(made) != len(entries):
        raise Unknown
    return made


def built_struct(said: Any) -> Any:
    name, fields = said
    if [field for field, _ in fields] == ["0"]:
        return type(name, (Told,), {})(built(fields[0][1]))
    try:
        made = dataclasses.make_dataclass(name, [field for field, _ in fields])
    except TypeError:
        raise Unknown from None
    return made(*(built(value) for _, value in fields))


def built_variant(said: Any) -> Any:
    name, variant, fields = said
    if fields:
        raise Unknown
    return enum.Enum(name, [variant])[variant]


def built_span(said: Any) -> dt.timedelta:
    seconds, nanoseconds = int(said[0], 0), said[1]
    if nanoseconds % 1000:
        raise Unknown
    try:
        return dt.timedelta(seconds=seconds, microseconds=nanoseconds // 1000)
    except OverflowError:
        raise Unknown from None


def built_time(said: Any) -> dt.datetime:
    try:
        return dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc) + built_span(said)
    except OverflowError:
        raise Unknown from None


def built_path(said: str) -> pathlib.PurePath:
    name = os.fsdecode(bytes.fromhex(said))
    # To Python `./a` is `a`, and nothing is `.`.
    if name.startswith("./") or not name:
        raise Unknown
    return pathlib.PurePosixPath(name)


def unknown(_: Any) -> Any:
    raise Unknown


BUILDERS = {
    "int": lambda said: int(said, 0),
    "float": lambda said: struct.unpack(">d", bytes.fromhex(said))[0],
    "float32": unknown,
    "text": str,
    "bytes": bytes.fromhex,
    "path": built_path,
    "os_text": unknown,
    "tuple": lambda said: tuple(built(value) for value in said),
    "list": lambda said: [built(value) for value in said],
    "set": built_set,
    "map": built_map,
    "struct": built_struct,
    "variant": built_variant,
    "some": unknown,
    "ok": unknown,
    "err": unknown,
    "duration": built_span,
    "time": built_time,
    "ip": ipaddress.ip_address,
}


def encoded(value: Any) -> bytes:
    """Of one value, without the tuple around it."""
    whole = _gecaso._encode_arguments((value,))
    assert whole[:2] == b"\x0b\x01"
    return whole[2:]


def test_the_frozen_examples() -> None:
    known = 0
    for row in FIXTURES["rows"]:
        try:
            value = built(row["plain"])
        except Unknown:
            continue
        known += 1
        key = bytes.fromhex(row["hex"])
        assert encoded(value) == key, row
        assert _gecaso._storage_key("f", 0, key) == row["key"], row
        assert _gecaso._storage_key("f", 0, key, False) == row["readable"], row
    assert known >= 83, f"only {known} of {len(FIXTURES['rows'])} rows are values of Python's"


def test_the_frozen_identities() -> None:
    arguments = _gecaso._encode_arguments((1, "a"))
    for row in FIXTURES["identities"]:
        identity = row["name"], row["version"]
        assert _gecaso._storage_key(*identity, arguments) == row["key"]
        assert len(row["key"]) == 65
        assert _gecaso._storage_key(*identity, arguments, False) == row["readable"]
        assert _gecaso._epoch_key(*identity) == row["reserved"]
        assert _gecaso._epoch_key(*identity, False) == row["reserved_readable"]


class Color(enum.Enum):
    RED = 1
    CRIMSON = 1
    GREEN = 2


class Size(enum.IntEnum):
    SMALL = 1


class Perm(enum.Flag):
    R = 1
    W = 2
    X = 4


class Pair(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Point:
    x: int
    y: int
    seen: int = dataclasses.field(default=0, compare=False)


@dataclasses.dataclass
class Point3(Point):
    z: int = 0


DAY = dt.datetime(2020, 1, 2, 3, 4, 5, 6)
ZONE = dt.timezone(dt.timedelta(hours=1))

APART: list[Any] = [
    None, True, False, 1, 0, -1, 1.0, 0.0, -0.0, 1j, 0j, "1", b"1", (1,), [1], {1}, {1: 1}, (), [],
    set(), {}, "", b"", (1, 1), ((1,), 1), [[1]], "None", 2**64, 2**200, -(2**200), math.inf,
    range(1), range(2), Color.RED, Color.GREEN, Size.SMALL, Perm.R, Perm.R | Perm.W,
    Perm.R | Perm.X, Perm(0), Pair(1, 2), Point3(1, 2), {"x": 1, "y": 2}, (1, 2),
    decimal.Decimal(1), decimal.Decimal("1.0"), decimal.Decimal("NaN"), fractions.Fraction(1),
    uuid.UUID(int=1), DAY, DAY.replace(fold=1), DAY.replace(tzinfo=dt.timezone.utc), DAY.date(),
    DAY.time(), DAY.time().replace(tzinfo=ZONE), dt.timedelta(1), ZONE,
    pathlib.PurePosixPath("a"), pathlib.PureWindowsPath("a"), "a", b"a",
    ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"), b"\x7f\0\0\1",
    Told(1), Told("1"), Told((1,)),
    {1: "a"}, {1.0: "a"}, {True: "a"}, {"1": "a"}, {1: b"a"}, [1.0], [True], ["1"], (1.0,), {1.0},
]  # fmt: skip


def test_what_is_not_the_same_has_another_key() -> None:
    keys: dict[bytes, Any] = {}
    for value in APART:
        key = encoded(value)
        assert key not in keys, (value, keys[key])
        keys[key] = value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1, 2, 3}, frozenset((3, 2, 1))),
        (math.nan, float("nan")),
        (Color.RED, Color.CRIMSON),
        (Point(1, 2, 3), Point(1, 2, 4)),
        (DAY.replace(tzinfo=ZONE), DAY.replace(tzinfo=ZONE).astimezone(dt.timezone.utc)),
        (pathlib.PurePosixPath("a//b/."), pathlib.Path("a/b")),
        (dt.timedelta(seconds=-0.5), dt.timedelta(days=-1, microseconds=86_399_500_000)),
        (fractions.Fraction(2, 4), fractions.Fraction(1, 2)),
    ],
)
def test_what_is_equal_has_the_same_key(one: Any, other: Any) -> None:
    assert encoded(one) == encoded(other)


def test_what_is_equal_and_not_told_apart_by_type_is_the_key_of_rust() -> None:
    assert encoded(Point(1, 2)) == bytes.fromhex("0f05506f696e74020178050101017905") + b"\1\2"
    assert encoded(Pair(1, 2)).startswith(b"\x0f\x04Pair\x02")
    assert encoded(Color.GREEN) == b"\x10\x05Color\x05GREEN\x00"
    assert encoded(Told(7)) == b"\x0f\x04Told\x01\x010\x05\x01\x07"


def test_moments_of_all_years() -> None:
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
    for day in range(1, dt.date.max.toordinal(), 997):
        moment = dt.datetime.fromordinal(day).replace(hour=5, tzinfo=dt.timezone.utc)
        seconds = (moment - epoch) // dt.timedelta(seconds=1)
        assert encoded(moment) == b"\x16" + encoded(seconds) + b"\0"


class Connection:
    pass


class Thing:
    def __gecaso_key__(self) -> Any:
        return {"inner": Connection()}


class Raises:
    def __gecaso_key__(self) -> Any:
        raise KeyError("as the test says")


class Text(str):
    pass


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (Connection(), "`who` cannot"),
        ({"a": [1, Connection()]}, "`who`['a'][1] cannot"),
        (Point(1, Connection()), "`who`.y cannot"),  # type: ignore[arg-type]
        (Pair(1, Connection()), "`who`.y cannot"),  # type: ignore[arg-type]
        (Thing(), "`who`.__gecaso_key__()['inner'] cannot"),
        ({(1, Connection()): 1}, "`who` (a key)[1] cannot"),
        (frozenset({Connection()}), "`who` (an element) cannot"),
        (Text("a"), "`who` cannot"),
        (bytearray(b"a"), "`who` cannot"),
        (len, "`who` cannot"),
        (int, "`who` cannot"),
        (threading.Lock(), "`who` cannot"),
        ("\ud800", "lone surrogates"),
        (ipaddress.ip_address("fe80::1%eth0"), "scope"),
    ],
)
def test_what_is_no_plain_data_is_refused_by_name_and_with_a_way_out(
    value: Any, place: str
) -> None:
    with pytest.raises(TypeError) as raised:
        _gecaso._encode_arguments((1, value), ["self", "who"])
    message = str(raised.value)
    assert place in message
    assert "_key" in message and "_skip" in message and "__gecaso_key__" in message


def test_what_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="nested more than 128 deep") as raised:
        encoded(endless)
    assert len(str(raised.value)) < 400
    deep: Any = 1
    for _ in range(127):
        deep = (deep,)
    assert encoded(deep)


def test_what_a_class_raises_is_raised() -> None:
    with pytest.raises(KeyError, match="as the test says"):
        encoded([Raises()])


def test_a_list_that_changes_meanwhile_is_the_one_that_there_was() -> None:
    items: list[Any] = []

    class Sly:
        def __gecaso_key__(self) -> int:
            items.clear()
            return 1

    items += [Sly(), 2, 3]
    assert encoded(items) == b"\x0c\x03" + encoded(Told(1)).replace(b"\x04Told", b"\x03Sly") + (
        encoded(2) + encoded(3)
    )


def test_a_number_of_numpys_is_none_of_pythons() -> None:
    numpy = pytest.importorskip("numpy")
    for value in (numpy.int64(1), numpy.float64(1), numpy.arange(3), numpy.str_("a")):
        with pytest.raises(TypeError):
            encoded(value)


def test_no_module_is_imported() -> None:
    before = set(sys.modules)
    for value in APART:
        encoded(value)
    assert set(sys.modules) == before


def test_a_named_tuple_without_a_module() -> None:
    local = namedtuple("local", ["a"])
    assert encoded(local(1)) == b"\x0f\x05local\x01\x01a\x05\x01\x01"
