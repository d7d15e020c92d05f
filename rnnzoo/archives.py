"""Archives that a stranger may have made: what they may hold, and what Python raises where one is damaged."""

import lzma
import re
import stat
import struct
import zipfile
import zlib

MEMBERS = 10_000
# What Python raises where one is damaged.
UNPACKING = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)


def check_zip(archive, most):
    """Refuses a `zipfile.ZipFile` with names that lead out of a folder, with links, or that unpacks to over so many bytes.

    Raises:
        ValueError: it is such an archive; it says which member.
    """
    members = archive.infolist()
    if len(members) > MEMBERS:
        raise ValueError(f"over {MEMBERS:,} members")
    for member in members:
        name = member.filename
        if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or ":" in name:
            raise ValueError(f"its member {name!r:.100} leads out of it")
        kind = stat.S_IFMT(member.external_attr >> 16)  # as Unix has it; 0 where the archive was written elsewhere
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ValueError(f"its member {name!r:.100} is a link or the like")
    if sum(member.file_size for member in members) > most:  # no more than that is ever unpacked of one
        raise ValueError(f"it unpacks to over {most:,} bytes")
