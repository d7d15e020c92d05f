"""Text files of the user's, line by line, so that what is no text is told of by its line and the rest can be read."""

import codecs
import re

from rnnzoo.errors import InputError

# What other encodings begin with; UTF-32's little-endian mark begins with that of UTF-16.
MARKS = {
    "UTF-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
    "UTF-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
}
NOT_UTF8, NUL = "not UTF-8", "a NUL character, which is no text"
_KEPT = re.compile("[\udc80-\udcff]")  # what `surrogateescape` makes of bytes that are no UTF-8


def open_text(path, newline=None):
    """A text file, opened for reading. Bytes that are no UTF-8 are kept, for `wrong_in` to find.

    Raises:
        InputError: it begins as UTF-16 or UTF-32 does.
    """
    with open(path, "rb") as file:
        first = file.read(4)
    for name, marks in MARKS.items():
        if first.startswith(marks):
            raise InputError(f"{path}: {name}; expected text in UTF-8")
    return open(path, encoding="utf-8-sig", errors="surrogateescape", newline=newline)


def wrong_in(text):
    """What is wrong with a text that `open_text` read, or with what was made of it; `None` where nothing is."""
    if "\0" in text:
        return NUL
    if not text.isascii() and _KEPT.search(text):
        return NOT_UTF8
    return None
