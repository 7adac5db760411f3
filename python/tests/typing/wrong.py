"""Mistakes that type checkers must find: each line that ends in WRONG, and no other."""

from __future__ import annotations

from typing import Any

import gecaso


@gecaso.cached(gecaso.LRUStorage(maxsize=16), ttl=100)
def f(a: int, b: str = "x") -> bytes:
    return b""


@gecaso.cached(gecaso.MemoryStorage())
async def g(a: int) -> list[str]:
    return []


@gecaso.lru_cache(maxsize=16)
def lru(a: int) -> bytes:
    return b""


class C:
    @gecaso.cached(gecaso.MemoryStorage())
    def method(self, a: int) -> bytes:
        return b""

    @gecaso.lru_cache
    def lru(self, a: int) -> bytes:
        return b""


class Lacking(gecaso.BaseStorage):
    async def get(self, key: str) -> Any: ...


async def main() -> None:
    f("no")  # WRONG
    f()  # WRONG
    f(1, c=2)  # WRONG
    n1: int = f(1)  # WRONG
    f.invalidate("no")  # WRONG
    f.insert("no", 1)  # WRONG
    f.insert(b"")  # WRONG
    f.refresh()  # WRONG
    n2: int = f.peek(1)  # WRONG
    f.key(b=1)  # WRONG
    f.nothing()  # WRONG

    await g("no")  # WRONG
    n3: int = await g(1)  # WRONG
    n4: list[str] = g(1)  # WRONG
    await g.insert([1], 1)  # WRONG

    lru("no")  # WRONG
    n5: int = lru(1)  # WRONG

    C().method("no")  # WRONG
    C().method()  # WRONG
    n6: int = C().method(1)  # WRONG
    C.method.invalidate(1)  # WRONG
    C().lru("no")  # WRONG

    gecaso.cached(gecaso.MemoryStorage(), _hash_key="yes")  # WRONG
    gecaso.cached(gecaso.MemoryStorage(), ttl=[1])  # WRONG
    gecaso.cached(gecaso.MemoryStorage(), _skip=3)  # WRONG
    gecaso.cached(gecaso.MemoryStorage)  # RUNTIME: a class is callable, which a checker takes
    gecaso.LRUStorage("16")  # WRONG
    gecaso.MemoryStorage(maxsize="16")  # WRONG
    Lacking()  # WRONG
    gecaso.unpack("text")  # WRONG
    print(n1, n2, n3, n4, n5, n6)
