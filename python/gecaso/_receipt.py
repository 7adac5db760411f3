"""What `invalidate`, `insert` and `clear` return."""


class Receipt:
    """Says when a storage outside of this process has what this process knows already.

    `invalidate`, `insert` and `cache_clear` take effect in this process before they return. Their
    receipt may be dropped; awaited or waited for, it raises what the storage raised. A removal that
    failed is tried again, and until then this process does not believe the storage about that key.
    """

    __slots__ = ("_error", "_task")

    def __init__(self, task=None, error=None):
        self._task = task
        self._error = error

    def __await__(self):
        if self._task is not None:
            self._error = yield from self._task.__await__()
            self._task = None
        if self._error is not None:
            raise self._error

    def wait(self):
        """Waits until the storage has it, outside of a loop.

        Raises what the storage raised, and RuntimeError if it can only be awaited.
        """
        if self._task is not None:
            if not self._task.done():
                raise RuntimeError("the storage is asked in the running loop: await the receipt")
            self._error = self._task.result()
            self._task = None
        if self._error is not None:
            raise self._error

    def __repr__(self):
        state = "pending" if self._task is not None else "failed" if self._error else "done"
        return f"<gecaso.Receipt {state}>"
