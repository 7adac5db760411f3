"""The types of what `gecaso` has: a decorated function keeps its own signature."""

import abc
import asyncio
import datetime
from collections.abc import Callable, Coroutine, Generator, Hashable, Iterable
from types import GenericAlias
from typing import Any, Concatenate, Generic, NamedTuple, ParamSpec, Protocol, final, overload

from typing_extensions import Self, TypeVar

__all__ = [
    "BaseStorage",
    "CacheInfo",
    "Cached",
    "LRUStorage",
    "MemoryStorage",
    "PickleCodec",
    "Receipt",
    "Stats",
    "UnpackError",
    "__version__",
    "cache",
    "cached",
    "lru_cache",
    "pack",
    "unpack",
]

__version__: str

_P = ParamSpec("_P")
_Q = ParamSpec("_Q")
# What a call returns, and what is kept of it: of an asynchronous function, what its coroutine does.
_R = TypeVar("_R")
_T = TypeVar("_T", default=_R)
_S = TypeVar("_S")

_Lifetime = float | str | datetime.timedelta

# Receipts, figures.

class Receipt:
    def __init__(
        self,
        task: asyncio.Task[BaseException | None] | None = None,
        error: BaseException | None = None,
    ) -> None: ...
    def __await__(self) -> Generator[Any, Any]: ...
    def wait(self) -> None: ...

class CacheInfo(NamedTuple):
    hits: int
    misses: int
    maxsize: int | None
    currsize: int

class Stats(NamedTuple):
    hits: int
    misses: int
    loads: int
    load_time: float
    evictions: int
    expirations: int
    entries: int

# Decorated functions.

class _Handle:
    """What can be asked of a function, and of a method of an instance."""

    def stats(self) -> Stats: ...
    def cache_info(self) -> CacheInfo: ...
    def cache_clear(self) -> Receipt: ...
    def clear(self) -> Receipt: ...
    def cache_parameters(self) -> dict[str, Any]: ...

class _Method(_Handle, Generic[_P, _R]):
    __name__: str
    __qualname__: str
    __self__: object
    __func__: Callable[..., _R]
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R: ...

class Cached(_Handle, Generic[_P, _R, _T]):
    __name__: str
    __qualname__: str
    __wrapped__: Callable[_P, _R]
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R: ...
    def invalidate(self, *args: _P.args, **kwargs: _P.kwargs) -> Receipt: ...
    def insert(self, value: _T, /, *args: _P.args, **kwargs: _P.kwargs) -> Receipt: ...
    def refresh(self, *args: _P.args, **kwargs: _P.kwargs) -> _R: ...
    def peek(self, *args: _P.args, **kwargs: _P.kwargs) -> _T: ...
    def key(self, *args: _P.args, **kwargs: _P.kwargs) -> str: ...
    @overload
    def __get__(self, instance: None, owner: type | None = None, /) -> Self: ...
    @overload
    def __get__(
        self: Cached[Concatenate[_S, _Q], _R, _T], instance: _S, owner: type | None = None, /
    ) -> _Method[_Q, _R]: ...
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, memo: dict[int, Any]) -> Self: ...
    def __class_getitem__(cls, item: Any, /) -> GenericAlias: ...

class _Decorator(Protocol):
    @overload
    def __call__(
        self, function: Callable[_P, Coroutine[Any, Any, _S]], /
    ) -> Cached[_P, Coroutine[Any, Any, _S], _S]: ...
    @overload
    def __call__(self, function: Callable[_P, _S], /) -> Cached[_P, _S, _S]: ...

@overload
def cached(
    cache_storage: Callable[_P, Coroutine[Any, Any, _S]],
) -> Cached[_P, Coroutine[Any, Any, _S], _S]: ...
@overload
def cached(cache_storage: Callable[_P, _S]) -> Cached[_P, _S, _S]: ...
@overload
def cached(
    cache_storage: BaseStorage | None = None,
    _loop: asyncio.AbstractEventLoop | None = None,
    _hash_key: bool = True,
    *,
    loop: asyncio.AbstractEventLoop | None = None,
    ttl: _Lifetime | None = None,
    _key: Callable[..., Hashable] | None = None,
    _skip: str | Iterable[str] = (),
    _name: str = ...,
    _version: int = 0,
    _copy: bool | Callable[[Any], Any] = False,
    _deadline: _Lifetime = 5.0,
    **params: Any,
) -> _Decorator: ...

# The drop-ins of functools.

@final
class _LruCached(Generic[_P, _R]):
    __name__: str
    __qualname__: str
    __wrapped__: Callable[_P, _R]
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R: ...
    def cache_info(self) -> CacheInfo: ...
    def cache_clear(self) -> None: ...
    def cache_parameters(self) -> dict[str, Any]: ...
    @overload
    def __get__(self, instance: None, owner: type | None = None, /) -> Self: ...
    @overload
    def __get__(
        self: _LruCached[Concatenate[_S, _Q], _R], instance: _S, owner: type | None = None, /
    ) -> _LruMethod[_Q, _R]: ...

class _LruMethod(Generic[_P, _R]):
    __self__: object
    __func__: Callable[..., _R]
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R: ...
    def cache_info(self) -> CacheInfo: ...
    def cache_clear(self) -> None: ...

@overload
def lru_cache(maxsize: Callable[_P, _R], typed: bool = False) -> _LruCached[_P, _R]: ...
@overload
def lru_cache(maxsize: int | None = 128, typed: bool = False) -> _LruDecorator: ...

class _LruDecorator(Protocol):
    def __call__(self, function: Callable[_P, _R], /) -> _LruCached[_P, _R]: ...

def cache(user_function: Callable[_P, _R], /) -> _LruCached[_P, _R]: ...

# Storages.

class BaseStorage(abc.ABC):
    @abc.abstractmethod
    async def get(self, key: str) -> Any: ...
    # Which parameters a storage takes is its own affair, so any signature after these overrides it.
    @abc.abstractmethod
    async def set(self, key: str, value: Any, *args: Any, **params: Any) -> None: ...
    @abc.abstractmethod
    async def remove(self, *keys: str) -> None: ...

class _Native(BaseStorage):
    @property
    def maxsize(self) -> int | None: ...
    def __len__(self) -> int: ...
    async def get(self, key: str) -> Any: ...
    async def set(self, key: str, value: Any, *args: Any, **params: Any) -> None: ...
    async def remove(self, *keys: str) -> None: ...

class MemoryStorage(_Native):
    def __init__(self, maxsize: int | None = 10_000) -> None: ...

class LRUStorage(_Native):
    def __init__(self, storage: BaseStorage | None = None, maxsize: int | None = 128) -> None: ...

# Bytes.

def pack(value: Any, /, **params: Any) -> bytes: ...
def unpack(data: bytes | bytearray | memoryview, /) -> tuple[Any, dict[str, Any]]: ...

class UnpackError(ValueError): ...

@final
class PickleCodec:
    def __new__(cls, secret: bytes) -> Self: ...
    def pack(self, value: Any, /, **params: Any) -> bytes: ...
    def unpack(self, data: bytes | bytearray | memoryview, /) -> tuple[Any, dict[str, Any]]: ...
