"""What a coroutine waits on while another call's body runs: something of its own loop's.

Called by the extension module, in the task that waits.
"""

import asyncio
import sys


def waiter():
    """A coroutine to drive to its end, and what ends it: callable from any thread."""
    loop = asyncio._get_running_loop()
    if loop is not None:
        return _in_asyncio(loop)
    if "trio" in sys.modules:
        import trio

        try:
            token = trio.lowlevel.current_trio_token()
        except RuntimeError:
            pass
        else:
            return _in_trio(trio, token)
    raise RuntimeError(
        "this call waits for another one's body, and no loop of asyncio or trio runs that it "
        "could wait on"
    )


def _in_asyncio(loop):
    future = loop.create_future()

    def land():
        if not future.done():
            future.set_result(None)

    async def wait():
        await future

    return wait(), lambda: loop.call_soon_threadsafe(land)


def _in_trio(trio, token):
    event = trio.Event()
    return event.wait(), lambda: token.run_sync_soon(event.set)
