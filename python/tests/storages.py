"""Storages as users write them, for the tests: plain, waiting, and misbehaving ones."""

from __future__ import annotations

import asyncio
import collections

import gecaso


class Plain(gecaso.BaseStorage):
    """Keeps values as they are, and what it was asked last."""

    def __init__(self):
        self.kept = {}
        self.asked = collections.deque(maxlen=100)

    async def get(self, key):
        self.asked.append(("get", key))
        return self.kept[key]

    async def set(self, key, value, **params):
        self.asked.append(("set", key))
        self.kept[key] = value

    async def remove(self, *keys):
        self.asked.append(("remove", *keys))
        for key in keys:
            self.kept.pop(key, None)

    def count(self, what, key):
        """How often a key was got, set or removed."""
        return self.asked.count((what, key))


class Packing(Plain):
    """Keeps bytes, as a storage outside of this process does."""

    async def get(self, key):
        value, _ = gecaso.unpack(await super().get(key))
        return value

    async def set(self, key, value, **params):
        await super().set(key, gecaso.pack(value, **params))


class Waiting(Plain):
    """Really waits, as a client of asyncio's does."""

    async def get(self, key):
        await asyncio.sleep(0)
        return await super().get(key)

    async def set(self, key, value, **params):
        await asyncio.sleep(0)
        await super().set(key, value, **params)

    async def remove(self, *keys):
        await asyncio.sleep(0)
        await super().remove(*keys)


class Failing(Plain):
    """Raises what it is told to, where it is told to."""

    def __init__(self, error=None, methods=("get", "set", "remove")):
        super().__init__()
        self.error = error
        self.methods = methods

    def _fail(self, method):
        if self.error is not None and method in self.methods:
            raise self.error

    async def get(self, key):
        self._fail("get")
        return await super().get(key)

    async def set(self, key, value, **params):
        self._fail("set")
        await super().set(key, value, **params)

    async def remove(self, *keys):
        self._fail("remove")
        await super().remove(*keys)


class Stalling(Plain):
    """Answers no question, until it is let."""

    stalls = True

    async def _stall(self):
        while self.stalls:
            await asyncio.sleep(0.001)

    async def get(self, key):
        await self._stall()
        return await super().get(key)

    async def set(self, key, value, **params):
        await self._stall()
        await super().set(key, value, **params)
