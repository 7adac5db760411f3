"""What a child process has to begin anew: locks and flights of threads that it does not have."""

import os
import weakref

from gecaso import _gecaso

_known = weakref.WeakValueDictionary()


def renew_after(one):
    """Calls `one._after_fork()` in every child process, as long as there is `one`."""
    _known[id(one)] = one


def _renew():
    _gecaso.after_fork()
    for one in list(_known.values()):
        one._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
