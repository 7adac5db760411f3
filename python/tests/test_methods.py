"""Methods: entries of each instance's own, which end with it; and nothing else is kept alive."""

import asyncio
import contextlib
import dataclasses
import functools
import gc
import weakref

import pytest
from conftest import PATIENCE
from storages import Plain

import gecaso


@pytest.fixture(params=[gecaso.MemoryStorage, gecaso.LRUStorage])
def local(request):
    return request.param()


def test_instances_are_apart(local):
    class C:
        def __init__(self, number):
            self.number = number

        @gecaso.cached(local)
        def method(self, x, y=1):
            runs.append((self.number, x, y))
            return self.number + x + y

    runs = []
    one, two = C(1), C(100)
    for _ in range(2):
        assert (one.method(1), two.method(1), one.method(x=1, y=1)) == (3, 102, 3)
        assert C.method(one, 1) == 3
    assert runs == [(1, 1, 1), (100, 1, 1)]
    one.number = 5
    assert one.method(1) == 3, "what an instance holds is no part of the key"


def test_asynchronous_methods(local):
    class C:
        def __init__(self, number):
            self.number = number

        @gecaso.cached(local)
        async def method(self, x):
            runs.append(x)
            await asyncio.sleep(0)
            return self.number + x

    async def main():
        one, two = C(1), C(100)
        assert await asyncio.gather(one.method(1), one.method(1), two.method(1)) == [2, 2, 101]
        assert await one.method(1) == 2

    runs = []
    asyncio.run(main())
    assert runs == [1, 1]


def test_a_bound_method_is_as_pythons(local):
    class C:
        @gecaso.cached(local)
        def method(self, x):
            """Said."""
            return [x]

    instance = C()
    bound = instance.method
    assert bound(1) is instance.method(1)
    assert bound.__self__ is instance
    assert bound.__func__ is C.method
    assert bound.__name__ == "method"
    assert bound.__doc__ == "Said."
    assert bound == instance.method
    assert C.__dict__["method"] is C.method


def test_the_handle_of_a_method(local):
    class C:
        @gecaso.cached(local)
        def method(self, x):
            return [x]

    one, two = C(), C()
    kept = one.method(1)
    other = two.method(1)
    C.method.invalidate(one, 1)
    assert one.method(1) is not kept
    assert two.method(1) is other
    C.method.insert("put", one, 1)
    assert one.method(1) == "put" == C.method.peek(one, 1)
    assert C.method.refresh(one, 1) == [1]


def test_instances_are_not_kept_alive(local):
    class C:
        @gecaso.cached(local)
        def method(self, x):
            return [x]

        @gecaso.cached(local)
        async def asynchronous(self, x):
            return [x]

    instances = [C() for _ in range(40)]
    for instance in instances:
        instance.method(1), instance.method(2)
        asyncio.run(instance.asynchronous(1))
    assert len(local) == 120
    gone = [weakref.ref(instance) for instance in instances]
    kept = weakref.ref(instances[0].method(1).__class__)
    del instances, instance
    assert all(reference() is None for reference in gone), "at once: no collection is needed"
    assert len(local) == 0, "and their entries went with them"
    assert kept() is list
    assert C().method(1) == [1]


def test_a_value_that_holds_its_instance(local):
    """A ring through the cache is found by the collector, if the storage is unreachable with it."""

    def make():
        storage = type(local)()

        class C:
            @gecaso.cached(storage)
            def method(self):
                return {"self": self}

        instance = C()
        assert instance.method()["self"] is instance
        return weakref.ref(instance), weakref.ref(C.method)

    instance, function = make()
    gc.collect()
    assert instance() is None
    assert function() is None


@pytest.mark.parametrize("decorate", [gecaso.cached(), gecaso.lru_cache])
def test_rings_through_cached_values_are_collected(decorate):
    def make():
        @decorate
        def f(x):
            return {"me": f, "x": x}

        f(1), f(2)
        return weakref.ref(f)

    reference = make()
    gc.collect()
    assert reference() is None


def test_rings_through_asynchronous_calls_are_collected():
    def make():
        class Here:
            pass

        here = Here()

        @gecaso.cached(gecaso.MemoryStorage())
        async def f(x):
            here.call = call  # noqa: F821
            await asyncio.sleep(0)

        call = f(1)
        here.f = f
        with contextlib.closing(call):
            pass
        here.calls = [f(2)]
        here.calls[0].close()
        return weakref.ref(here)

    reference = make()
    gc.collect()
    assert reference() is None


def test_a_function_that_goes_takes_its_entries_with_it(local):
    class Value:
        pass

    def make():
        f = gecaso.cached(local)(lambda x: Value())
        return weakref.ref(f(1))

    value = make()
    gc.collect()
    assert value() is None
    assert len(local) == 0


def test_arguments_by_identity_are_not_kept_alive(local):
    class Client:
        pass

    f = gecaso.cached(local)(lambda client, x: [x])
    one = Client()
    kept = f(one, 1)
    assert f(one, 1) is kept
    gone = weakref.ref(one)
    del one
    assert gone() is None
    assert len(local) == 0


def test_a_body_may_keep_its_argument(local):
    class Client:
        pass

    f = gecaso.cached(local)(lambda client: client)
    one = Client()
    assert f(one) is one
    gone = weakref.ref(one)
    del one
    f.cache_clear()
    gc.collect()
    assert gone() is None


def test_classmethods(local):
    class C:
        @classmethod
        @gecaso.cached(local)
        def make(cls, x):
            return [cls.__name__, x]

    class D(C):
        pass

    assert C.make(1) == C().make(1) == ["C", 1]
    assert D.make(1) == D().make(1) == ["D", 1]
    assert C.make(1) is C.make(x=1)
    C.make.__func__.invalidate(C, 1)


def test_staticmethods(local):
    class C:
        @staticmethod
        @gecaso.cached(local)
        def make(x):
            return [x]

    assert C.make(1) is C().make(1)
    C.make.invalidate(1)
    assert C.make(1) == [1]


def test_properties(local):
    class C:
        def __init__(self, number):
            self.number = number

        @property
        @gecaso.cached(local)
        def costly(self):
            runs.append(self.number)
            return [self.number]

    runs = []
    one, two = C(1), C(2)
    assert (one.costly, two.costly, one.costly, two.costly) == ([1], [2], [1], [2])
    assert runs == [1, 2]


def test_inheritance(local):
    class Base:
        number = 1

        @gecaso.cached(local)
        def method(self, x):
            return [self.number, x]

    class Derived(Base):
        number = 2

        @gecaso.cached(local)
        def method(self, x):
            return ["derived", *super().method(x)]

    class Plainly(Base):
        number = 3

    base, derived, plainly = Base(), Derived(), Plainly()
    for _ in range(2):
        assert base.method(1) == [1, 1]
        assert derived.method(1) == ["derived", 2, 1]
        assert plainly.method(1) == [3, 1]
        assert Base.method(derived, 1) == [2, 1]


def test_slots_with_weak_references(local):
    class C:
        __slots__ = ("__weakref__", "x")

        @gecaso.cached(local)
        def method(self):
            return [1]

    instance = C()
    assert instance.method() is instance.method()
    del instance
    assert len(local) == 0


def test_slots_without_weak_references(local):
    """Nothing says when such an instance goes: its entries keep it, as functools does."""

    class C:
        __slots__ = ("number",)

        def __init__(self, number):
            self.number = number

        @gecaso.cached(local)
        def method(self):
            return [self.number]

    for number in range(100):
        assert C(number).method() == [number], "an address is never used again"
    one = C(1)
    assert one.method() is one.method()
    C.method.cache_clear()
    assert len(local) == 0


@dataclasses.dataclass
class ByValue:
    x: int

    @gecaso.cached(gecaso.MemoryStorage())
    def method(self):
        return [self.x]


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: int

    @gecaso.cached(gecaso.MemoryStorage())
    def method(self):
        runs.append(self.x)
        return [self.x]


runs: list = []


def test_dataclasses():
    """Frozen ones are told apart by their values, others cannot be hashed."""
    assert Frozen(1).method() is Frozen(1).method()
    assert Frozen(2).method() == [2]
    assert runs == [1, 2]
    with pytest.raises(TypeError, match="self.*unhashable"):
        ByValue(1).method()


def test_methods_over_a_storage_of_ones_own():
    storage = Plain()

    class C:
        """Has no value that another process could know."""

        def __init__(self, number):
            self.number = number

        @gecaso.cached(storage)
        def refused(self, x):
            return x

        @gecaso.cached(storage, _skip="self")
        def for_all(self, x):
            return [x]

        @gecaso.cached(storage, _key=lambda self, x: (self.number, x))
        def by_number(self, x):
            return [self.number, x]

    with pytest.raises(TypeError, match="self|argument 1"):
        C(1).refused(1)
    assert C(1).for_all(1) == C(2).for_all(1) == [1]
    assert C.for_all.stats().loads == 1
    assert C(1).by_number(1) == C(1).by_number(1) == [1, 1]
    assert C(2).by_number(1) == [2, 1]
    assert C.by_number.stats().loads == 2


def test_lru_cache_as_a_method():
    class C:
        @gecaso.lru_cache(maxsize=10)
        def method(self, x):
            return [x]

    instance = C()
    assert instance.method(1) is instance.method(1)
    assert C.method.cache_info().hits == 1


def test_partials_and_cached_properties(local):
    class C:
        @gecaso.cached(local)
        def method(self, x, y):
            return [x, y]

        with_one = functools.partialmethod(method, 1)

        @functools.cached_property
        def costly(self):
            return self.method(1, 2)

    instance = C()
    assert instance.with_one(2) is instance.costly


def test_an_instance_that_goes_while_its_method_runs(local):
    class C:
        @gecaso.cached(local)
        async def method(self):
            await asyncio.sleep(0)
            return [1]

    async def main():
        task = asyncio.create_task(C().method())
        assert await asyncio.wait_for(task, PATIENCE) == [1]

    asyncio.run(main())
    gc.collect()
    assert len(local) == 0


@pytest.mark.usefixtures("eager_collection")
def test_instances_come_and_go_under_collection(local):
    class C:
        def __init__(self, number):
            self.number = number
            self.ring = self

        @gecaso.cached(local)
        def method(self, x):
            return [self.number, x]

    for number in range(150):
        instance = C(number)
        assert instance.method(1) == instance.method(1) == [number, 1]
    del instance
    gc.collect()
    assert len(local) == 0
