"""The user's files, read whole."""

import os
import stat
from pathlib import Path

from rnnzoo.errors import InputError


def read_whole(path, most):
    """The bytes of a regular file of at most so many.

    Raises:
        InputError: there is no such file, or it cannot be read, is larger or is none. It does not name the file.
    """
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)  # a pipe would be waited for
        content = Path(path).read_bytes() if regular and os.path.getsize(path) <= most else None
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise InputError("no such file") from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from None
    if content is None:
        raise InputError(f"over {most:,} bytes" if regular else "no file")
    return content


def beside(name, folder):
    """The path of a file by its name in a folder; where there is none, or it is no name, what was given."""
    path = os.path.join(folder, name) if isinstance(name, str) else None
    return path if path and os.path.isfile(path) else name
