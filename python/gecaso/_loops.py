"""How coroutines of users' storages are driven for callers that cannot await.

A coroutine that does not really wait ends at its first step, and needs no loop: that is how most
storages are written. One that waits is begun anew in a loop that runs in a thread of ours (`get`,
`set` and `remove` may be repeated).
"""

import asyncio
import concurrent.futures
import sys
import threading
import time
import weakref
from asyncio.events import _get_running_loop, _set_running_loop

from gecaso import _forks


class Waits(Exception):
    """The coroutine has to wait for something, and so needs a loop."""


def step(coroutine):
    """Runs a coroutine that does not wait to its end, with the running loop hidden.

    Raises Waits if it does.
    """
    running = _get_running_loop()
    if running is not None:
        _set_running_loop(None)
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
            _set_running_loop(running)
    coroutine.close()
    raise Waits


class _Background:
    """A loop that runs in a thread of ours, once it is needed."""

    def __init__(self):
        self._after_fork()
        _forks.renew_after(self)

    def _after_fork(self):
        # A collection or a signal may run anything while it is held, in the thread that holds it.
        self._lock = threading.RLock()
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
    if loop is None or not loop.is_running() or loop is _get_running_loop():
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


class Late:
    """Ends operations in a loop that take longer than `deadline` seconds.

    One timer for all of them, set anew when it rings: an operation itself sets none.
    """

    def __init__(self, loop, deadline):
        self.loop = weakref.ref(loop)
        self._deadline = deadline
        # Tasks that wait, in their order: until when, and how often they were cancelled before.
        self._waiting = {}
        # Those that have been cancelled for being late, and that number.
        self._late = {}
        self._timer = None

    def begin(self, task):
        """An operation of a task's begins; a task has one at a time."""
        until = time.monotonic() + self._deadline
        self._waiting[task] = until, task.cancelling() if _COUNTS else 0
        if self._timer is None:
            loop = self.loop()
            self._timer = loop.call_later(self._deadline, self._ring)

    def end(self, task):
        """It has ended."""
        if self._waiting.pop(task, None) is None:
            self.has_ended(task)

    def has_ended(self, task):
        """Whether it was cancelled for being late, and for nothing else. That cancellation is taken
        back, once."""
        before = self._late.pop(task, None)
        if before is None:
            return False
        return not _COUNTS or task.uncancel() <= before

    def _ring(self):
        self._timer = None
        now = time.monotonic()
        for task, (until, before) in list(self._waiting.items()):
            if until > now:
                self._timer = self.loop().call_later(until - now, self._ring)
                return
            del self._waiting[task]
            self._late[task] = before
            task.cancel()


_COUNTS = sys.version_info >= (3, 11)
"""Whether tasks count how often they were cancelled."""
