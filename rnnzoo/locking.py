"""A lock that one process holds: the system's, on an open file, so that it is gone with the process, however that ends."""

import os
import time

from rnnzoo.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: there, nothing keeps two processes apart
    fcntl = None

# For so long somebody who only asks whether a lock is held may hold it.
PATIENCE = 0.5
# The lock is a file in its folder: no link to one elsewhere, and no pipe, which would be waited for.
HERE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def take_lock(path, run, doing="is training"):
    """The lock of a run as an open file, which `os.close` lets go of.

    Args:
        path: the file, which is made where there is none.
        run: the run's folder, for messages.
        doing: what another process does with it, for messages.

    Raises:
        InputError: another process has it, or the file cannot be written.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | HERE, 0o644)
        except FileNotFoundError:
            raise InputError(f"{run}: another process has just completed or replaced it") from None
        except OSError as error:
            raise InputError(f"{run}: cannot be written: {error.strerror}") from None
        try:
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.stat(path), os.fstat(lock)):
                return lock
        except FileNotFoundError:
            pass  # as below
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(lock)
                raise InputError(f"{run}: another process {doing} it") from None
            time.sleep(0.05)
        except OSError as error:  # a file system that has no locks
            os.close(lock)
            raise InputError(f"{run}: cannot be locked: {error.strerror}") from None
        os.close(lock)  # it was held, or the file is no longer the one at this path


def locked(path):
    """Whether a process holds the lock."""
    if fcntl is None:
        return False
    try:
        lock = os.open(path, os.O_RDONLY | HERE)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(lock)
    return False
