"""Locks that a fork waits for.

Owns the list of them. A forked child has only the thread that forked: a lock that another thread
held would stay locked there, and what it guards would stay half done. So a fork takes them all
first. Whoever holds one must not wait for another. Must not know what they guard.
"""

import os
import threading
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from _thread import RLock

_adding = threading.RLock()
_locks: "WeakSet[RLock]" = WeakSet()
_held: "list[RLock]" = []


def lock() -> "RLock":
    """Make a lock that no forked child finds locked.

    A signal handler or a finaliser may run, and fork, in the thread that holds it: that thread may
    take it again.
    """
    try:
        made = threading.RLock()
    except RuntimeError as error:  # what CPython says where it has no memory for a lock
        raise MemoryError(str(error)) from error
    with _adding:
        _locks.add(made)
    return made


def _before() -> None:
    _adding.acquire()
    for each in list(_locks):
        each.acquire()
        _held.append(each)


def _after() -> None:
    while _held:
        _held.pop().release()
    _adding.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
