"""Entries that Rust and Python share: `fixtures/shared`, one folder of files for each writer.

What Rust has written is read here, and what is written here is what `tests/it/far_python.rs` of the
core finds. The function is `report`, version 3, of a number and a text.
"""

from __future__ import annotations

import pathlib
from typing import Any

import pytest

import gecaso
from gecaso import _gecaso

SHARED = pathlib.Path(__file__).resolve().parents[2] / "fixtures" / "shared"
SECOND = 1_000_000_000
# In 2004: before whatever clock reads it.
BEGUN = 1_100_000_000 * SECOND
CENTURY = 100 * 365 * 86_400

IDENTITY = ("report", 3)


def report(title: str) -> dict[str, Any]:
    return {
        "title": title,
        "pages": [1, 300, 70_000],
        "score": 0.5,
        "wide": 2**100,
        "below": -(2**100),
        "parent": None,
        "raw": b"\x00\xff",
        "pair": (-1, True),
        "numbered": {-5: "a", 5: "\u00e4"},
    }


class FileStorage:
    """A storage of somebody's: packs in `set`."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    async def set(self, key: str, value: Any, **params: Any) -> None:
        self.files[key] = gecaso.pack(value, **params)


def drive(coroutine: Any) -> None:
    with pytest.raises(StopIteration):
        coroutine.send(None)


def stored(storage: FileStorage, arguments: tuple[int, str], value: Any, **params: Any) -> None:
    """As a decorated function does it around `set`."""
    encoded = _gecaso._encode_arguments(arguments)
    key = _gecaso._storage_key(*IDENTITY, encoded)
    with _gecaso._sealing(*IDENTITY, encoded, value, BEGUN, 7):
        drive(storage.set(key, value, **params))


def written() -> dict[str, bytes]:
    storage = FileStorage()
    with _gecaso._sealing_epoch(*IDENTITY, BEGUN - 10 * SECOND):
        drive(storage.set(_gecaso._epoch_key(*IDENTITY), None))
    stored(storage, (7, "a"), report("Cats"))
    stored(storage, (8, "b"), report("Dogs"), ttl=CENTURY, cool="Hell yeah!")
    stored(storage, (9, "c"), report("Mice"), ttl="1h")
    return storage.files


def test_what_is_written_is_what_rust_finds() -> None:
    files = {file.name: file.read_bytes() for file in (SHARED / "python").iterdir()}
    assert written() == files


@pytest.mark.parametrize(
    ("arguments", "title", "params"),
    [((7, "a"), "Cats", {}), ((8, "b"), "Dogs", {"cool": "Hell yeah!", "ttl": CENTURY})],
)
def test_what_rust_has_written_is_read(arguments: Any, title: str, params: Any) -> None:
    key = _gecaso._storage_key(*IDENTITY, _gecaso._encode_arguments(arguments))
    value, told = gecaso.unpack((SHARED / "rust" / key).read_bytes())
    # What has no type of its own there is plain data here.
    wide = {name: value.pop(name) for name in ("wide", "below")}
    assert wide == {
        "wide": (2**100).to_bytes(16, "big"),
        "below": (-(2**100)).to_bytes(16, "big", signed=True),
    }
    expected = report(title)
    del expected["wide"], expected["below"]
    expected["pair"] = list(expected["pair"])
    expected["raw"] = list(expected["raw"])
    assert value == expected
    assert told == params


def test_only_the_value_that_is_being_set_says_whose_it_is() -> None:
    value, other = report("Cats"), report("Cats")
    encoded = _gecaso._encode_arguments((7, "a"))
    plain = gecaso.pack(value)
    with _gecaso._sealing(*IDENTITY, encoded, value, BEGUN):
        assert gecaso.pack(other) == plain
        assert gecaso.pack(value) != plain
        with _gecaso._sealing(*IDENTITY, encoded, other, BEGUN):
            assert gecaso.pack(value) == plain
        assert gecaso.pack(value) != plain
    assert gecaso.pack(value) == plain


def test_coroutines_between_whose_steps_others_run_do_not_mix() -> None:
    import asyncio

    async def store(number: int) -> tuple[bytes, bytes]:
        value = [number]
        encoded = _gecaso._encode_arguments((number, "a"))
        with _gecaso._sealing(*IDENTITY, encoded, value, BEGUN):
            alone = gecaso.pack(value)
            await asyncio.sleep(0)
            return alone, gecaso.pack(value)

    async def all_of_them() -> list[tuple[bytes, bytes]]:
        return await asyncio.gather(*(store(number) for number in range(10)))

    results = asyncio.run(all_of_them())
    assert all(alone == together for alone, together in results)
    assert len(set(results)) == 10


def test_arguments_that_are_too_large_to_be_written_down_are_not() -> None:
    value = [1]
    encoded = _gecaso._encode_arguments(("x" * 100_000,))
    with _gecaso._sealing(*IDENTITY, encoded, value, BEGUN):
        assert gecaso.pack(value) == gecaso.pack([1])
