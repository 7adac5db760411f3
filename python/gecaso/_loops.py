"""How coroutines of users' storages are driven for callers that cannot await.

A coroutine that does not really wait ends at its first step, and needs no loop: that is how most
storages are written. One that waits is begun anew in a loop that runs in a thread of ours (`get`,
`set` and `remove` may be repeated).
"""

import asyncio
import asyncio.events
import concurrent.futures
import contextlib
import sys
import threading
import types

from gecaso import _forks


class Waits(Exception):
    """The coroutine has to wait for something, and so needs a loop."""


def step(coroutine):
    """Runs a coroutine that does not wait to its end, with the running loop hidden.

    Raises Waits if it does.
    """
    running = asyncio.events._get_running_loop()
    if running is not None:
        asyncio.events._set_running_loop(None)
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    except RuntimeError as error:
        if "no running event loop" in str(error):
            raise Waits from None
        raise
    finally:
        if running is not None:
            asyncio.events._set_running_loop(running)
    coroutine.close()
    raise Waits


class _Background:
    """A loop that runs in a thread of ours, once it is needed."""

    def __init__(self):
        self._after_fork()
        _forks.renew_after(self)

    def _after_fork(self):
        self._lock = threading.Lock()
        self._loop = None

    def loop(self):
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                begun = threading.Event()
                loop.call_soon(begun.set)
                threading.Thread(target=loop.run_forever, name="gecaso", daemon=True).start()
                begun.wait()
                self._loop = loop
            return self._loop


_background = _Background()


def in_background(make, deadline, loop=None):
    """Runs what `make()` returns in a loop of another thread; raises TimeoutError after `deadline`
    seconds."""
    if loop is None or not loop.is_running() or loop is asyncio.events._get_running_loop():
        loop = _background.loop()
    future = asyncio.run_coroutine_threadsafe(make(), loop)
    try:
        return future.result(deadline)
    except concurrent.futures.TimeoutError:
        if not future.cancel():
            return future.result()  # its own, or it has just ended
        raise TimeoutError(f"no answer within {deadline:g} s") from None
    except BaseException:
        future.cancel()
        raise


async def bounded(coroutine, deadline):
    """Awaits a coroutine, for `deadline` seconds if it waits at all."""
    try:
        waits_on = coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    if asyncio.events._get_running_loop() is None:
        return await _rest(coroutine, waits_on)
    try:
        async with _timeout(deadline):
            return await _rest(coroutine, waits_on)
    except TimeoutError:
        raise TimeoutError(f"no answer within {deadline:g} s") from None


if sys.version_info >= (3, 11):
    _timeout = asyncio.timeout
else:

    @contextlib.asynccontextmanager
    async def _timeout(deadline):
        task, is_late = asyncio.current_task(), False

        def end():
            nonlocal is_late
            is_late = True
            task.cancel()

        timer = asyncio.get_running_loop().call_later(deadline, end)
        try:
            yield
        except asyncio.CancelledError:
            if is_late:
                raise TimeoutError from None
            raise
        finally:
            timer.cancel()


@types.coroutine
def _rest(coroutine, waits_on):
    """The rest of a coroutine that has yielded once."""
    while True:
        try:
            value = yield waits_on
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:
            try:
                waits_on = coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
        else:
            try:
                waits_on = coroutine.send(value)
            except StopIteration as stop:
                return stop.value
