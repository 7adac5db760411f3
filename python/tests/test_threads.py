"""Many threads on few entries, forks, and Ctrl-C: no wrong value, and no hang."""

import asyncio
import gc
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from conftest import PATIENCE
from storages import Plain, Waiting

import gecaso

THREADS = 8
SECONDS = 0.6
LONG = 20


def storm(work, rng, seconds):
    """Runs `work(random generator)` in threads until the time is over; raises what one raised."""
    end = time.monotonic() + seconds
    errors, rounds = [], []

    def go_on(seed):
        own = random.Random(seed)
        done = 0
        try:
            while time.monotonic() < end and not errors:
                work(own)
                done += 1
        except BaseException as error:
            errors.append(error)
        rounds.append(done)

    threads = [
        threading.Thread(target=go_on, args=(rng.random(),), daemon=True) for _ in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE + seconds)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]
    assert min(rounds) > 0
    return sum(rounds)


STORAGES = {
    "memory": lambda: gecaso.MemoryStorage(maxsize=100),
    "lru": lambda: gecaso.LRUStorage(maxsize=100),
    "tiny": lambda: gecaso.LRUStorage(maxsize=2),
    "plain": Plain,
    "lru around": lambda: gecaso.LRUStorage(Plain(), maxsize=100),
}


@pytest.fixture(params=STORAGES)
def storage(request):
    return STORAGES[request.param]()


def change(f, own, key):
    """Something from the side, now and then."""
    roll = own.random()
    if roll < 0.002:
        f.cache_clear()
    elif roll < 0.01:
        f.invalidate(key)
    elif roll < 0.015:
        f.insert((key, str(key)), key)


@pytest.mark.usefixtures("quick_switches")
@pytest.mark.parametrize("ttl", [None, 0.02])
def test_synchronous_functions(storage, ttl, rng, soak):
    if ttl is not None and isinstance(storage, Plain):
        pytest.skip("has its own idea of ttl")
    words = {} if ttl is None else {"ttl": ttl}

    @gecaso.cached(storage, **words)
    def f(key):
        return key, str(key)

    def work(own):
        for _ in range(50):
            key = own.randrange(400)
            assert f(key) == (key, str(key))
            change(f, own, key)

    storm(work, rng, LONG if soak else SECONDS)


@pytest.mark.usefixtures("quick_switches")
def test_asynchronous_functions(storage, rng, soak):
    @gecaso.cached(storage)
    async def f(key):
        if key % 3:
            await asyncio.sleep(0)
        return key, str(key)

    async def some(own):
        async def one():
            key = own.randrange(400)
            answer = f(key) if own.random() < 0.9 else asyncio.wait_for(f(key), PATIENCE)
            assert await answer == (key, str(key))
            change(f, own, key)

        tasks = [asyncio.ensure_future(one()) for _ in range(20)]
        own.choice(tasks).cancel()
        for answer in await asyncio.gather(*tasks, return_exceptions=True):
            if answer is not None and not isinstance(answer, asyncio.CancelledError):
                raise answer

    storm(lambda own: asyncio.run(some(own)), rng, LONG if soak else SECONDS)


@pytest.mark.usefixtures("quick_switches")
def test_methods_of_instances_that_come_and_go(rng, soak):
    storage = gecaso.LRUStorage(maxsize=50)

    class C:
        def __init__(self, number):
            self.number = number

        @gecaso.cached(storage)
        def method(self, x):
            return self.number, x

    shared = [C(number) for number in range(10)]

    def work(own):
        instance = C(own.random())
        for x in range(3):
            assert instance.method(x) == (instance.number, x)
            other = own.choice(shared)
            assert other.method(x) == (other.number, x)

    storm(work, rng, LONG if soak else SECONDS)
    shared.clear()
    gc.collect()
    assert len(storage) == 0


@pytest.mark.usefixtures("quick_switches")
def test_lru_cache(rng, soak):
    @gecaso.lru_cache(maxsize=50)
    def f(key, *, name=None):
        return key, name

    def work(own):
        for _ in range(50):
            key = own.randrange(200)
            assert f(key) == (key, None)
            assert f(key, name=key) == (key, key)
        if own.random() < 0.01:
            f.cache_clear()

    storm(work, rng, LONG if soak else SECONDS)
    assert f.cache_info().currsize <= 50


@pytest.mark.usefixtures("quick_switches")
def test_re_entry_from_many_threads(rng, soak):
    """Circles of calls across threads: nobody waits for somebody who waits for them."""

    @gecaso.cached(gecaso.LRUStorage(maxsize=5))
    def f(key, depth):
        if depth == 0:
            return 0
        return 1 + f((key * 7 + 3) % 6, depth - 1)

    def work(own):
        depth = own.randrange(8)
        assert f(own.randrange(6), depth) == depth

    storm(work, rng, LONG if soak else SECONDS)


def test_storages_that_wait_from_many_threads(rng):
    f = gecaso.cached(Waiting())(lambda key: (key, str(key)))

    def work(own):
        key = own.randrange(50)
        assert f(key) == (key, str(key))

    storm(work, rng, SECONDS)


# Forks.


def forked(act):
    """What `act()` returned in a child: an exit status."""
    import warnings

    with warnings.catch_warnings():
        # Python warns of forks beside threads, which is the very thing here.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(int(PATIENCE))
            status = 0 if act() else 2
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("kind", ["memory", "lru", "plain", "waiting"])
def test_a_child_works_while_calls_run(kind):
    storage = {**STORAGES, "waiting": Waiting}[kind]()
    begun, go = threading.Event(), threading.Event()

    @gecaso.cached(storage)
    def f(x):
        if x == "slow":
            begun.set()
            assert go.wait(PATIENCE)
        return [x]

    @gecaso.cached(storage)
    async def g(x):
        await asyncio.sleep(0)
        return [x]

    assert f(1) == [1]
    assert asyncio.run(g(1)) == [1]
    stop = threading.Event()

    def busy():
        x = 0
        while not stop.is_set():
            x += 1
            f(x % 500)

    threads = [threading.Thread(target=busy) for _ in range(3)]
    threads.append(threading.Thread(target=f, args=("slow",)))
    for thread in threads:
        thread.start()
    assert begun.wait(PATIENCE)

    def act():
        answers = [f(1), f(-1), f(-1), asyncio.run(g(1)), asyncio.run(g(2))]
        f.invalidate(1)
        return answers == [[1], [-1], [-1], [1], [2]] and f(1) == [1]

    try:
        for _ in range(5):
            assert forked(act) == 0
    finally:
        stop.set()
        go.set()
        for thread in threads:
            thread.join(PATIENCE)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_runs_what_ran_in_its_parent():
    """The thread that was loading a key does not exist there: nobody waits for it."""
    begun, go = threading.Event(), threading.Event()
    parent = os.getpid()

    @gecaso.cached(gecaso.MemoryStorage())
    def f(x):
        if os.getpid() == parent:
            begun.set()
            assert go.wait(PATIENCE)
        return [x]

    thread = threading.Thread(target=f, args=(1,))
    thread.start()
    try:
        assert begun.wait(PATIENCE)
        assert forked(lambda: f(1) == [1]) == 0
    finally:
        go.set()
        thread.join(PATIENCE)
    assert f(1) == [1]


# Ends.


def run_program(text, *, interrupt_after=None):
    program = subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", textwrap.dedent(text)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    try:
        if interrupt_after is not None:
            assert program.stdout.readline().strip() == interrupt_after
            program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=PATIENCE)
    finally:
        program.kill()
        program.wait()
    return program.returncode, out, err


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_waiting_for_another_thread():
    status, out, err = run_program(
        """
        import gecaso, threading, os, signal

        # Whoever runs the tests in the background may have it ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        begun, go = threading.Event(), threading.Event()

        @gecaso.cached(gecaso.MemoryStorage())
        def f(x):
            begun.set()
            go.wait()

        thread = threading.Thread(target=f, args=(1,), daemon=True)
        thread.start()
        begun.wait()
        try:
            print("ready", flush=True)
            f(1)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        go.set()
        thread.join()
        print(f(1))
        """,
        interrupt_after="ready",
    )
    assert (status, out.split()) == (0, ["interrupted", "None"]), err


def test_an_interpreter_that_ends_with_calls_under_way():
    status, _, err = run_program(
        """
        import asyncio, gecaso, threading

        class Waiting(gecaso.BaseStorage):
            async def get(self, key):
                await asyncio.sleep(0)
                raise KeyError(key)
            async def set(self, key, value, **params):
                await asyncio.sleep(0)
            async def remove(self, *keys):
                pass

        begun = threading.Event()

        @gecaso.cached(Waiting())
        def far(x):
            return [x]

        @gecaso.cached(gecaso.MemoryStorage())
        def f(x):
            begun.set()
            threading.Event().wait()

        @gecaso.cached(gecaso.MemoryStorage())
        async def g(x):
            await asyncio.Event().wait()

        class Late:
            def __del__(self):
                try:
                    far(5)
                except Exception:
                    pass

        late = Late()
        far(1)
        for _ in range(3):
            threading.Thread(target=f, args=(1,), daemon=True).start()
        begun.wait()
        async def main():
            task = asyncio.create_task(g(1))
            await asyncio.sleep(0)
        asyncio.run(main())
        """
    )
    assert status == 0, err
    assert "gecaso failed" not in err and "panicked" not in err


def test_subinterpreters_are_refused_or_work():
    """The extension does not claim them; it must not crash there."""
    if sys.version_info < (3, 12):
        pytest.skip("their module has another name")
    name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    status, _, err = run_program(
        f"""
        import gecaso
        import {name} as interpreters
        one = interpreters.create()
        try:
            interpreters.run_string(one, "import gecaso")
        except Exception as error:
            print(error)
        """
    )
    assert status == 0, err
