"""`gecaso.lru_cache` beside `functools.lru_cache`: the same calls, the same answers, whatever
comparing and hashing do."""

import functools
import gc
import weakref

import pytest

import gecaso

# CPython's hash of a whole number is its remainder by this.
MODULUS = 2**61 - 1


class Same:
    """Equal to another one by its name, with a hash that many share."""

    def __init__(self, name, before_eq=lambda: None):
        self.name = name
        self.before_eq = before_eq

    def __hash__(self):
        return hash(self.name) % 3

    def __eq__(self, other):
        self.before_eq()
        return isinstance(other, Same) and self.name == other.name


def some_argument(rng):
    small = rng.randrange(12)
    choices = [small, small + MODULUS, small - MODULUS, float(small), str(small), (small,), None]
    return rng.choice([*choices, True, Same(small), frozenset([small]), small + 2**40])


def some_call(rng):
    args = [some_argument(rng) for _ in range(rng.choice([0, 1, 1, 1, 1, 2, 3, 9]))]
    names = rng.sample(["a", "b", "c", "d"], rng.choice([0, 0, 0, 1, 2, 3]))
    return args, {name: some_argument(rng) for name in names}


@pytest.mark.parametrize("maxsize", [0, 1, 2, 7, 100, None])
@pytest.mark.parametrize("typed", [False, True])
def test_the_same_as_functools(rng, maxsize, typed):
    runs = []

    def body(*args, **kwargs):
        runs.append((args, kwargs))
        return len(runs)

    ours = gecaso.lru_cache(maxsize, typed)(body)
    theirs = functools.lru_cache(maxsize, typed)(body)
    calls = [some_call(rng) for _ in range(200)]
    for _ in range(3000):
        args, kwargs = rng.choice(calls)
        before = len(runs)
        ours(*args, **kwargs)
        between = len(runs)
        theirs(*args, **kwargs)
        assert between - before == len(runs) - between, (args, kwargs)
        assert tuple(ours.cache_info()) == tuple(theirs.cache_info())
        if rng.random() < 0.002:
            ours.cache_clear()
            theirs.cache_clear()


def test_many_entries_stay_in_order():
    @gecaso.lru_cache(maxsize=5000)
    def twice(number):
        return 2 * number

    for number in range(10_000):
        assert twice(number) == 2 * number
    assert twice.cache_info()[:2] == (0, 10_000)
    for number in reversed(range(5000, 10_000)):
        assert twice(number) == 2 * number
    assert twice.cache_info() == (5000, 10_000, 5000, 5000)
    twice(10_000)
    hits = twice.cache_info().hits
    twice(9998)
    assert twice.cache_info().hits == hits + 1
    misses = twice.cache_info().misses
    twice(9999)
    assert twice.cache_info().misses == misses + 1, "it was the oldest"


@pytest.mark.parametrize("act", ["clear", "call", "raise"])
def test_comparing_may_change_the_cache(rng, act):
    @gecaso.lru_cache(maxsize=4)
    def name_of(one):
        return one.name

    class Refused(Exception):
        pass

    depth = 0

    def disturb():
        nonlocal depth
        if depth or rng.random() < 0.5:
            return
        depth += 1
        try:
            if act == "clear":
                name_of.cache_clear()
            elif act == "call":
                name_of(Same(rng.randrange(20), disturb))
            else:
                raise Refused
        finally:
            depth -= 1

    for _ in range(3000):
        name = rng.randrange(8)
        try:
            assert name_of(Same(name, disturb)) == name
        except Refused:
            assert act == "raise"
        assert name_of.cache_info().currsize <= 4


def test_a_value_that_leaves_may_call_the_cache():
    class Value:
        def __init__(self, number):
            self.number = number

        def __del__(self):
            if self.number > 0:
                value(self.number - 50)

    @gecaso.lru_cache(maxsize=10)
    def value(number):
        return Value(number)

    for number in range(200):
        assert value(number).number == number
        assert value.cache_info().currsize <= 10
    value.cache_clear()
    assert value.cache_info().currsize <= 10
    for number in (3, 2, 1):
        value(-number)
    assert value(-1).number == -1


def test_a_key_that_comes_while_its_body_runs():
    @gecaso.lru_cache(maxsize=2)
    def count_down(number):
        if len(runs) < 3:
            runs.append(number)
            return count_down(number)
        runs.append(number)
        return object()

    runs = []
    value = count_down(1)
    assert len(runs) == 4
    assert count_down(1) is value
    assert count_down.cache_info() == (1, 4, 2, 1)


@pytest.mark.parametrize("maxsize", [None, 8])
def test_of_two_results_for_one_key_the_same_stays_as_with_functools(maxsize):
    def calls(lru_cache):
        runs = []

        @lru_cache(maxsize)
        def body(number):
            runs.append(number)
            mine = len(runs)
            if mine == 1:
                body(number)
            return mine

        return body(1), body(1), tuple(body.cache_info())

    assert calls(gecaso.lru_cache) == calls(functools.lru_cache)


def test_a_comparison_that_puts_other_keys_in_ends():
    @gecaso.cache
    def name_of(key):
        return getattr(key, "name", None)

    others = iter(range(1000, 2000))
    for _ in range(3):
        assert name_of(Same("a", lambda: name_of(next(others)))) == "a"
    assert name_of.cache_info().hits == 2


def test_a_type_may_lose_its_last_object_to_the_body():
    class Now:
        pass

    seen = []

    @gecaso.lru_cache(typed=True)
    def change(thing):
        seen.append(weakref.ref(type(thing)))
        thing.__class__ = Now
        gc.collect()
        return 1

    for _ in range(20):
        thing = type("Then", (), {})()
        assert change(thing) == 1
    change.cache_clear()
    gc.collect()
    assert not any(one() for one in seen)
