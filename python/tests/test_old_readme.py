"""What the README of gecaso 0.4 promised in 2017, sentence by sentence.

The two storages are written as they were there, apart from typing slips: a class body that was
left open (`remove`), a line that was two (`get`), a name without its module.
"""

import asyncio
import hashlib
import inspect
import re

import pytest

import gecaso

HASHED = r"[0-9a-f]{32}_[0-9a-f]{32}"


class RedisStorage(gecaso.BaseStorage):
    def __init__(self, redis_url):
        import redis

        self._storage = redis.from_url(redis_url)

    async def get(self, key):
        value, params = gecaso.unpack(self._storage[key])
        return value

    async def set(self, key, value, **params):
        self._storage[key] = gecaso.pack(value, **params)

    async def remove(self, *keys):
        self._storage.delete(*keys)


class LocalMemoryStorage(gecaso.BaseStorage):
    def __init__(self):
        self._storage = dict()  # Python's dict is a nice basic storage of data

    async def set(self, key, value):  # We don't want any additional parameters
        params = dict()
        self._storage[key] = gecaso.pack(value, **params)

    async def get(self, key):
        value, params = gecaso.unpack(self._storage[key])  # KeyError if key is not present
        return value

    async def remove(self, *keys):
        for key in keys:
            self._storage.pop(key, None)  # Not going to throw error if some keys do not exist


class Recording(gecaso.BaseStorage):
    """Keeps values as they are, and what each `set` was given."""

    def __init__(self):
        self.kept = {}
        self.params = []

    async def get(self, key):
        return self.kept[key]

    async def set(self, key, value, **params):
        self.kept[key] = value
        self.params.append(params)

    async def remove(self, *keys):
        for key in keys:
            self.kept.pop(key, None)


@pytest.fixture(params=["memory", "local", "redis"])
def storage(request):
    """Each storage that the README shows."""
    if request.param == "memory":
        return gecaso.MemoryStorage()
    if request.param == "local":
        return LocalMemoryStorage()
    storage = RedisStorage(request.getfixturevalue("redis_url"))
    storage._storage.flushdb()
    request.addfinalizer(storage._storage.close)
    return storage


# The first screen.


def test_the_first_example():
    runs = []

    @gecaso.cached(gecaso.LRUStorage(maxsize=16), ttl=100)
    def long_and_boring_function(time_to_sleep):
        runs.append(time_to_sleep)
        return f"I have slept for {time_to_sleep} second(s)!"

    assert long_and_boring_function(1) == "I have slept for 1 second(s)!"
    assert long_and_boring_function(1) == "I have slept for 1 second(s)!"
    assert runs == [1]


def test_redis_as_written(redis_url):
    redis_storage = RedisStorage(redis_url)
    redis_storage._storage.flushdb()
    runs = []

    @gecaso.cached(redis_storage, some_additional_cool_param="Hell yeah!")
    def long_and_boring_function(time_to_sleep):
        runs.append(time_to_sleep)
        return f"I have slept for {time_to_sleep} second(s)!"

    assert long_and_boring_function(1) == "I have slept for 1 second(s)!"
    assert long_and_boring_function(1) == "I have slept for 1 second(s)!"
    assert runs == [1]
    kept = redis_storage._storage[long_and_boring_function.key(1)]
    value, params = gecaso.unpack(kept)
    assert value == "I have slept for 1 second(s)!"
    assert params == {"some_additional_cool_param": "Hell yeah!"}
    redis_storage._storage.close()


def test_local_memory_as_written():
    local_storage = LocalMemoryStorage()
    runs = []

    @gecaso.cached(local_storage)
    def foo(bar):
        runs.append(bar)
        return bar * 2

    assert (foo(2), foo(2), foo("2")) == (4, 4, "22")
    assert runs == [2, "2"]
    assert gecaso.unpack(local_storage._storage[foo.key(2)]) == (4, {})


def test_one_storage_serves_many_functions(storage):
    """An instance is given to the decorator whenever it is called."""

    @gecaso.cached(storage)
    def one(x):
        return ["one", x]

    @gecaso.cached(storage)
    def two(x):
        return ["two", x]

    assert (one(1), two(1)) == (["one", 1], ["two", 1])
    assert (one(1), two(1)) == (["one", 1], ["two", 1])
    assert one.stats().hits == two.stats().hits == 1


# 1) gecaso.cached


def test_caches_synchronous_functions(storage):
    runs = []

    @gecaso.cached(storage)
    def f(x):
        runs.append(x)
        return [x]

    assert (f(1), f(1), f(2)) == ([1], [1], [2])
    assert runs == [1, 2]


def test_caches_asynchronous_functions(storage):
    runs = []

    @gecaso.cached(storage)
    async def f(x):
        await asyncio.sleep(0)
        runs.append(x)
        return [x]

    async def main():
        return await f(1), await f(1), await f(2)

    assert inspect.iscoroutinefunction(f)
    assert asyncio.run(main()) == ([1], [1], [2])
    assert runs == [1, 2]


def test_the_single_positional_argument_is_an_instance_of_a_storage():
    assert str(inspect.signature(gecaso.cached)).startswith("(cache_storage")

    @gecaso.cached(cache_storage=gecaso.MemoryStorage())
    def f():
        return 1

    assert f() == 1


@pytest.mark.parametrize(
    "what", [{}, object(), gecaso.MemoryStorage, LocalMemoryStorage, "redis://", 16], ids=repr
)
def test_what_is_no_storage_is_a_value_error(what):
    with pytest.raises(ValueError, match="BaseStorage"):
        gecaso.cached(what)


@pytest.mark.parametrize("word", ["loop", "_loop"])
def test_takes_an_event_loop(word, storage):
    loop = asyncio.new_event_loop()
    try:

        @gecaso.cached(storage, **{word: loop})
        def f(x):
            return x

        @gecaso.cached(storage, **{word: loop})
        async def g(x):
            await asyncio.sleep(0)
            return -x

        assert (f(1), f(1)) == (1, 1)
        assert loop.run_until_complete(g(1)) == -1
        assert asyncio.run(g(1)) == -1, "and is not bound to it"
    finally:
        loop.close()


def test_the_loop_by_position():
    """`cached(storage, loop, hash_key)` was the order."""
    loop = asyncio.new_event_loop()
    loop.close()
    storage = LocalMemoryStorage()
    f = gecaso.cached(storage, None, False)(lambda x: x)
    assert f(1) == 1
    assert not re.fullmatch(HASHED, f.key(1))
    with pytest.raises(TypeError, match="event loop"):
        gecaso.cached(storage, 17)


def test_keys_of_65_symbols():
    storage = Recording()

    @gecaso.cached(storage)
    def f(*args, **kwargs):
        return 1

    for args, kwargs in [((), {}), ((1,), {}), (("x" * 10_000, 2.5, None), {"a": b"b"})]:
        f(*args, **kwargs)
        assert re.fullmatch(HASHED, f.key(*args, **kwargs))
        assert f.key(*args, **kwargs) in storage.kept
    assert len(storage.kept) == 3
    assert {len(key) for key in storage.kept} == {65}


def test_keys_without_the_hash_are_not_of_65_symbols():
    storage = Recording()

    @gecaso.cached(storage, _hash_key=False)
    def f(x):
        return x

    f(1), f("a long text that is longer than any hash could ever be, and then some more of it")
    assert len(storage.kept) == 2
    assert all(type(key) is str and not re.fullmatch(HASHED, key) for key in storage.kept)
    assert any("a long text" in key for key in storage.kept)


def test_more_keywords_reach_every_set():
    storage = Recording()

    @gecaso.cached(storage, ttl=100, cool=["Hell yeah!"])
    def f(x):
        return x

    @gecaso.cached(storage, other=None)
    async def g(x):
        return x

    f(1), f(1), f(2), asyncio.run(g(1))
    f.insert(7, 3).wait()
    f.refresh(1)
    own = {"ttl": 100, "cool": ["Hell yeah!"]}
    assert storage.params == [own, own, {"other": None}, own, own]


def test_keywords_that_a_set_does_not_take():
    """The storage decides: this one takes none. The call does not suffer from it."""
    storage = LocalMemoryStorage()
    f = gecaso.cached(storage, surprise=1)(lambda x: x)
    with pytest.warns(RuntimeWarning, match="surprise"):
        assert f(1) == 1


# 2) gecaso.BaseStorage


def test_storages_inherit_from_base_storage():
    class NotOne:
        get = set = remove = None

    with pytest.raises(ValueError):
        gecaso.cached(NotOne())
    for kind in (gecaso.MemoryStorage, gecaso.LRUStorage, RedisStorage):
        assert issubclass(kind, gecaso.BaseStorage)


@pytest.mark.parametrize("name", ["get", "set", "remove"])
def test_the_three_methods_are_abstract(name):
    methods = {n: getattr(LocalMemoryStorage, n) for n in ("get", "set", "remove") if n != name}
    lacking = type("Lacking", (gecaso.BaseStorage,), methods)
    with pytest.raises(TypeError, match=name):
        lacking()
    with pytest.raises(TypeError):
        gecaso.BaseStorage()


@pytest.mark.parametrize("name", ["get", "set", "remove"])
def test_the_methods_are_asynchronous(name):
    for kind in (gecaso.BaseStorage, gecaso.MemoryStorage, gecaso.LRUStorage):
        assert inspect.iscoroutinefunction(getattr(kind, name))


def test_get_raises_key_error(storage):
    async def main():
        with pytest.raises(KeyError):
            await storage.get("absent")
        await storage.set("present", 1)
        assert await storage.get("present") == 1
        await storage.remove("present")
        with pytest.raises(KeyError):
            await storage.get("present")

    asyncio.run(main())


def test_remove_takes_keys_that_are_not_there(storage):
    async def main():
        await storage.set("a", 1)
        await storage.set("b", 2)
        await storage.remove("a", "absent", "b")
        for key in ("a", "b"):
            with pytest.raises(KeyError):
                await storage.get(key)

    asyncio.run(main())


def test_key_error_of_get_is_a_miss_and_its_value_a_hit():
    storage = Recording()
    f = gecaso.cached(storage)(lambda x: [x])
    assert f(1) == [1]
    storage.kept[f.key(1)] = "put there by hand"
    assert f(1) == "put there by hand"
    del storage.kept[f.key(1)]
    assert f(1) == [1]
    assert f.stats()[:3] == (1, 2, 2)


# 3) pack and unpack


def test_pack_makes_bytes_of_data_and_params():
    packed = gecaso.pack({"any": ["thing", 1, None]}, ttl=10, note="x")
    assert type(packed) is bytes
    assert gecaso.unpack(packed) == ({"any": ["thing", 1, None]}, {"ttl": 10, "note": "x"})


def test_unpack_without_params():
    data, params = gecaso.unpack(gecaso.pack(None))
    assert (data, params) == (None, {})


# 4) The storages of the library


def test_memory_storage_is_a_default():
    f = gecaso.cached(gecaso.MemoryStorage())(lambda x: object())
    assert f(1) is f(1)
    g = gecaso.cached()(lambda x: object())
    assert g(1) is g(1)


@pytest.mark.parametrize("make", [Recording, gecaso.MemoryStorage, LocalMemoryStorage])
def test_lru_around_any_storage(make):
    inner = make()
    storage = gecaso.LRUStorage(inner, maxsize=2)
    runs = []

    @gecaso.cached(storage)
    def f(x):
        runs.append(x)
        return x

    f(1), f(2), f(1), f(3)  # 2 was used longest ago
    assert runs == [1, 2, 3]
    f(1), f(3)
    assert runs == [1, 2, 3]
    f(2)
    assert runs == [1, 2, 3, 2]
    assert len(storage) == 2


def test_lru_alone():
    storage = gecaso.LRUStorage(maxsize=2)
    f = gecaso.cached(storage)(lambda x: object())
    first, second = f(1), f(2)
    assert f(1) is first
    f(3)
    assert f(1) is first
    assert f(2) is not second


def test_the_names_of_the_arguments_of_lru_storage():
    assert str(inspect.signature(gecaso.LRUStorage)) == "(storage=None, maxsize=128)"


def test_the_old_hash_was_of_two_halves():
    """The function's half is the same for all of its calls, and differs between functions."""
    f = gecaso.cached(Recording())(lambda x: x)
    g = gecaso.cached(Recording(), _name="g")(lambda x: x)
    assert f.key(1).split("_")[0] == f.key(2).split("_")[0] != g.key(1).split("_")[0]
    old = hashlib.md5(str((1,)).encode()).hexdigest()
    assert f.key(1).split("_")[1] != old, "but not by the text of the arguments, which collides"
