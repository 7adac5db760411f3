"""Values of every kind that `pack` takes, and a generator of more; envelopes made by hand."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import math
import pathlib
import random
import struct
import uuid
from typing import Any, NamedTuple

from gecaso import _gecaso


class Color(enum.Enum):
    RED = 1
    GREEN = "g"


class Outer:
    class Shade(enum.IntEnum):
        DARK = 1


class Perm(enum.Flag):
    R = 1
    W = 2
    X = 4


class IntPerm(enum.IntFlag):
    R = 1
    W = 2


class Pair(NamedTuple):
    x: Any
    y: Any = None


@dataclasses.dataclass
class Point:
    x: Any
    y: Any = None

    def __post_init__(self) -> None:
        RAN.append("__post_init__")


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: Any
    made: Any = dataclasses.field(default=0, init=False)


@dataclasses.dataclass(frozen=True)
class Slotted(Frozen):
    __slots__ = ("z",)
    z: Any


# What the classes above run.
RAN: list[str] = []

ZONE = dt.timezone(dt.timedelta(hours=-5, microseconds=3), "here")

# What `fixtures/envelopes/v1/python-values.bin` holds: never changed, as that is not.
FROZEN: list[Any] = [
    None, True, False, 0, 1, -1, -32, -33, 127, 128, -128, 255, 256, 65_535, 65_536, 2**32,
    2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64 - 1, 2**64, 2**100, -(2**100), 2**127 - 1,
    2**127, -(2**127), -(2**127) - 1, 2**128 - 1, 2**128, -(2**128), 10**1000, -(10**1000),
    0.0, -0.0, 1.5, math.inf, -math.inf, math.nan, 5e-324, 1j, complex(-0.0, math.inf),
    "", "a", "\u00e4" * 40, "x" * 300, "\U0001f600", "\ud800", "a\udcffb",
    b"", b"a", b"x" * 16, b"x" * 300, bytearray(), bytearray(b"abc"),
    (), (1,), (1, (2, [3])), tuple(range(15)), tuple(range(16)), [], [1], [()], [[]],
    list(range(16)), {}, {"a": 1},
    {1: "a", -1: "b", "1": "c", None: (), (1, (2,)): [3], b"x": 1, 1.5: 2},
    {frozenset({(1, (2,))}): {1}}, set(), frozenset(),
    range(3), range(10, 0, -3), range(2**70),
    dt.timedelta(0), dt.timedelta(-1, 5, 7), dt.timedelta.max, dt.timedelta.min,
    dt.date.min, dt.date.max, dt.time(1, 2, 3, 4, fold=1), dt.time(0, tzinfo=dt.timezone.utc),
    dt.datetime.min, dt.datetime.max, dt.datetime(2020, 1, 1, fold=1),
    dt.datetime(2020, 1, 1, tzinfo=ZONE), dt.timezone.utc, ZONE, dt.timezone(dt.timedelta(0), "x"),
    decimal.Decimal("1.10"), decimal.Decimal("1E+500"), decimal.Decimal("-0"),
    decimal.Decimal("Infinity"), decimal.Decimal("sNaN12"), decimal.Decimal("1" * 500),
    fractions.Fraction(3, -7), fractions.Fraction(2**900, 3), uuid.UUID(int=7),
    pathlib.PurePosixPath("/a/../b"), pathlib.PureWindowsPath("C:/x"),
    pathlib.PurePosixPath("\udcff"), pathlib.PurePosixPath(),
    Color.RED, Color.GREEN, Outer.Shade.DARK, Perm.R, Perm.R | Perm.W, Perm(0),
    IntPerm.R | IntPerm.W,
    Point(1, [2]), Point(Point(None), {}), Frozen((1,)), Slotted(1, [2]),
    Pair(1), Pair([], Pair(1)),
    {Color.RED: 1, Frozen(1): Pair(2), Pair(1, 2): 3},
]  # fmt: skip

VALUES: list[Any] = [
    *FROZEN,
    "x" * 70_000, b"x" * 70_000, tuple(range(65_535)), tuple(range(65_536)), list(range(65_536)),
    dict.fromkeys(range(70_000)), {1, "a", (1, 2)}, frozenset({frozenset({1}), (1,)}),
    decimal.Decimal("0.1") * 3, decimal.Decimal("1" * 5000), pathlib.Path("a"),
]  # fmt: skip


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def same(one: Any, other: Any) -> bool:
    """Equal, of the same type, and so is everything inside."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        # In the same order, too.
        return same(list(one.items()), list(other.items()))
    if isinstance(one, (set, frozenset)):
        # By pairs: a NaN is not found by its hash.
        return len(one) == len(other) and all(
            any(same(element, candidate) for candidate in other) for element in one
        )
    if isinstance(one, decimal.Decimal):
        return one.as_tuple() == other.as_tuple()
    if isinstance(one, (dt.datetime, dt.time)):
        return repr(one) == repr(other)
    if dataclasses.is_dataclass(one):
        names = [field.name for field in dataclasses.fields(one)]
        return all(same(getattr(one, name), getattr(other, name)) for name in names)
    return bool(one == other)


# How deep the values lie that are made by chance.
DEEP = 4


class Values:
    """Makes values by chance."""

    def __init__(self, chance: random.Random) -> None:
        self.random = chance

    def value(self, depth: int = DEEP, hashable: bool = False) -> Any:
        chance = self.random
        if depth == 0 or chance.random() < 0.4:
            return self.leaf(hashable)
        size = chance.choice([0, 1, 2, 3, 17 if depth == DEEP else 2])
        inner = depth - 1
        kinds = ["tuple", "frozenset", "frozen", "pair"]
        if not hashable:
            kinds += ["list", "dict", "set", "point"] * 2
        kind = chance.choice(kinds)
        if kind in ("frozenset", "set"):
            elements = {self.value(inner, True) for _ in range(size)}
            return elements if kind == "set" else frozenset(elements)
        if kind == "dict":
            return {self.value(inner, True): self.value(inner) for _ in range(size)}
        items = [self.value(inner, hashable) for _ in range(size)]
        if kind == "tuple":
            return tuple(items)
        if kind == "frozen":
            return Frozen(self.value(inner, hashable))
        if kind == "pair":
            return Pair(self.value(inner, hashable), self.value(inner, hashable))
        if kind == "point":
            return Point(self.value(inner), self.value(inner))
        return items

    def leaf(self, hashable: bool) -> Any:
        chance = self.random
        kind = chance.randrange(16)
        if kind == 0:
            return chance.choice([None, True, False, Color.RED, Perm.R | Perm.X])
        if kind <= 3:
            return self.whole()
        if kind == 4:
            number = struct.unpack("d", chance.randbytes(8))[0]
            # As a key it would not be found again.
            return 0.5 if hashable and math.isnan(number) else number
        if kind <= 6:
            return "".join(chr(chance.choice([97, 228, 0x20AC, 0xD800])) for _ in self.some())
        if kind == 7:
            return chance.randbytes(chance.choice([0, 1, 16, 300]))
        if kind == 8:
            zone = chance.choice([None, dt.timezone.utc, ZONE])
            second = chance.randrange(86_400 * 365 * 9000)
            return dt.datetime.min.replace(tzinfo=zone) + dt.timedelta(0, second, second % 10**6)
        if kind == 9:
            return dt.timedelta(seconds=chance.uniform(-1e12, 1e12))
        if kind == 10:
            return decimal.Decimal((chance.randrange(2), self.digits(), chance.randrange(-99, 99)))
        if kind == 11:
            return fractions.Fraction(self.whole(), self.whole() or 1)
        if kind == 12:
            return uuid.UUID(int=chance.getrandbits(128))
        if kind == 13:
            return range(self.whole(), self.whole(), chance.choice([1, -3, 2**70]))
        if kind == 14:
            return pathlib.PurePosixPath(*"abc"[: chance.randrange(4)])
        return dt.date.fromordinal(chance.randrange(1, dt.date.max.toordinal()))

    def some(self) -> range:
        return range(self.random.choice([0, 1, 5, 40]))

    def digits(self) -> tuple[int, ...]:
        return (1, *(self.random.randrange(10) for _ in self.some()))

    def whole(self) -> int:
        bits = self.random.choice([1, 6, 8, 16, 32, 63, 64, 65, 127, 128, 129, 200])
        return self.random.getrandbits(bits) * self.random.choice([1, -1])


HEAD = 68


def wrap(value: bytes, params: bytes = b"\x80", codec: int = 1) -> bytes:
    """An envelope by hand, whose checksum is right."""
    head = struct.pack(
        "<4sBBHQQQQQQIII",
        b"\xc1gcs", 1, codec, 0, 0, 0, 0, 0, 2**64 - 1, 0, 0, len(params), len(value),
    )  # fmt: skip
    assert len(head) == HEAD
    return signed(head + params + value)


def signed(covered: bytes) -> bytes:
    return covered + struct.pack("<Q", _gecaso._checksum(covered))


def value_of(packed: bytes) -> bytes:
    """The value's bytes of an envelope."""
    key, params, value = struct.unpack("<III", packed[56:68])
    start = HEAD + key + params
    return packed[start : start + value]
