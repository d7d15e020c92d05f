"""Text that a stranger may have written, as values: JSON and TOML within bounds of size, nesting and numbers."""

import json
import os
import re
import stat
import tomllib
from pathlib import Path

# How deep tables and lists may be in each other, how many names a key in TOML may have (its reader takes the square of that
# many steps), and how many bytes a file may have.
LEVELS, NAMES = 32, 32
TOML_BYTES, JSON_BYTES = 2**20, 2**26
WHOLE = range(-(2**63), 2**64)  # what 64 bits hold
_QUOTED = re.compile(r'"""(?:[^\\]|\\.)*?"""|' r"'''.*?'''|" r'"(?:[^"\\\n]|\\.)*"|' r"'[^'\n]*'", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


def regular(path, most):
    """The bytes of a regular file of at most so many; a pipe would be waited for, and a device has no end.

    Raises:
        OSError: there is no such file, or it cannot be read.
        ValueError: it is larger, or none; it says which.
    """
    about = os.stat(path)
    if not stat.S_ISREG(about.st_mode):
        raise ValueError("no file")
    if about.st_size > most:
        raise ValueError(f"over {most:,} bytes")
    return Path(path).read_bytes()


def from_toml(text):
    """The table that a text writes.

    Raises:
        ValueError: it is no TOML, or out of bounds; it says what and, of TOML, where.
    """
    if len(text) > TOML_BYTES:
        raise ValueError(f"over {TOML_BYTES:,} characters")
    if any(part.count(".") > NAMES for part in re.split(r"[=,\[\]{}\n]", _QUOTED.sub("", text))):
        raise ValueError(f"a key of over {NAMES} names")
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise ValueError(f"over {LEVELS} levels of tables and lists") from None
    return checked(table)


def from_json(text):
    """The value that a text writes in JSON, given as a `str` or as UTF-8.

    Raises:
        ValueError: it is no JSON, or out of bounds; it says what.
    """
    if len(text) > JSON_BYTES:
        raise ValueError(f"over {JSON_BYTES:,} bytes")
    try:
        return checked(json.loads(text))
    except RecursionError:
        raise ValueError(f"over {LEVELS} levels of objects and lists") from None


def checked(value):
    """`value`, if no dict or list in it is too deep, no number too large, and all text can be written as UTF-8.

    Raises:
        ValueError: it is not so.
    """
    level = [value]
    for _ in range(LEVELS + 1):
        below = []
        for one in level:
            if isinstance(one, dict):
                below += [*one, *one.values()]
            elif isinstance(one, list | tuple):
                below += one
            elif isinstance(one, str):
                if _SURROGATE.search(one):
                    raise ValueError("half of a surrogate pair, which is no character")
            elif isinstance(one, int) and one not in WHOLE:
                raise ValueError("a whole number of over 64 bits")
        if not below:
            return value
        level = below
    raise ValueError(f"over {LEVELS} levels of tables and lists")


def first_line(error):
    """What an error of other people's says first; its class where it says nothing."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__).strip()
