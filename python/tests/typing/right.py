"""What a user writes, and type checkers must have nothing to say about."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Coroutine
from typing import Any, assert_type

import gecaso


@gecaso.cached(gecaso.LRUStorage(maxsize=16), ttl=100)
def f(a: int, b: str = "x") -> bytes:
    return b""


@gecaso.cached(gecaso.MemoryStorage(), ttl="1h 30m", _skip="connection", _name="g")
async def g(connection: object, a: int) -> list[str]:
    return []


@gecaso.cached
def bare(a: int) -> float:
    return 1.0


@gecaso.cached()
async def bare_async(a: int) -> float:
    return 1.0


class Storage(gecaso.BaseStorage):
    """With parameters of its own."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def get(self, key: str) -> Any:
        value, params = gecaso.unpack(self.kept[key])
        assert_type(params, dict[str, Any])
        return value

    async def set(self, key: str, value: Any, *, cool: str = "") -> None:
        self.kept[key] = gecaso.pack(value, cool=cool)

    async def remove(self, *keys: str) -> None:
        for key in keys:
            self.kept.pop(key, None)


class Plain(Storage):
    async def set(self, key: str, value: Any, **params: Any) -> None:
        self.kept[key] = gecaso.pack(value, **params)


@gecaso.cached(Storage(), cool="Hell yeah!", ttl=datetime.timedelta(1), _copy=True)
def far(x: tuple[int, ...]) -> dict[str, int]:
    return {}


class C:
    @gecaso.cached(gecaso.MemoryStorage())
    def method(self, a: int, *, b: str = "") -> bytes:
        return b""

    @gecaso.cached(gecaso.MemoryStorage())
    async def asynchronous(self, a: int) -> bytes:
        return b""

    @staticmethod
    @gecaso.cached(gecaso.MemoryStorage())
    def static(a: int) -> bytes:
        return b""

    @property
    @gecaso.cached(gecaso.MemoryStorage())
    def costly(self) -> bytes:
        return b""

    @gecaso.lru_cache(maxsize=5)
    def lru(self, a: int) -> bytes:
        return b""


@gecaso.lru_cache
def lru_bare(a: int) -> bytes:
    return b""


@gecaso.lru_cache(maxsize=None, typed=True)
def lru(a: int) -> bytes:
    return b""


@gecaso.cache
def everything(a: int) -> bytes:
    return b""


def takes(function: gecaso.Cached[[int], float]) -> float:
    function.invalidate(1).wait()
    return function(1)


async def main() -> None:
    assert_type(f(1, b="y"), bytes)
    assert_type(f.invalidate(1), gecaso.Receipt)
    f.invalidate(1, b="y").wait()
    f.insert(b"put", 1, "y")
    assert_type(f.refresh(1), bytes)
    assert_type(f.peek(1), bytes)
    assert_type(f.key(1), str)
    assert_type(f.stats(), gecaso.Stats)
    assert_type(f.cache_info().hits, int)
    f.cache_clear().wait()
    assert_type(f.__wrapped__(1), bytes)

    assert_type(await g(None, 1), list[str])
    await g.invalidate(None, 1)
    await g.insert(["put"], None, 1)
    assert_type(await g.refresh(None, a=1), list[str])
    assert_type(g.peek(None, 1), list[str])
    task = asyncio.create_task(g(None, 1))
    assert_type(await task, list[str])
    call: Coroutine[Any, Any, list[str]] = g(None, 1)
    await asyncio.gather(call, g(None, 2))

    assert_type(takes(bare), float)
    assert_type(await bare_async(1), float)
    assert_type(far((1, 2)), dict[str, int])

    c = C()
    assert_type(c.method(1, b="y"), bytes)
    assert_type(await c.asynchronous(1), bytes)
    assert_type(C.static(1), bytes)
    assert_type(c.costly, bytes)
    assert_type(c.lru(1), bytes)
    C.method.invalidate(c, 1)
    C.method.insert(b"", c, 1)
    c.method.cache_clear()
    C.lru.cache_clear()

    assert_type(lru_bare(1), bytes)
    assert_type(lru(1), bytes)
    assert_type(everything(1), bytes)
    lru.cache_info()
    everything.cache_clear()

    assert_type(gecaso.pack(1, ttl=5), bytes)
    codec = gecaso.PickleCodec(b"0" * 32)
    assert_type(codec.unpack(codec.pack(object())), tuple[Any, dict[str, Any]])


asyncio.run(main())
