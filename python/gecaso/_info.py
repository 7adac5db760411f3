"""What functions say about their caches."""

import typing


class CacheInfo(typing.NamedTuple):
    """As functools has it."""

    hits: int
    misses: int
    maxsize: "int | None"
    currsize: int


class Stats(typing.NamedTuple):
    """How a function's cache has done so far; times in seconds."""

    hits: int
    misses: int
    loads: int
    load_time: float
    evictions: int
    expirations: int
    entries: int
