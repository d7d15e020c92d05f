"""Data sets that are not generated: downloaded once from a pinned address, verified, and found offline from then on.

They lie in the folder that the environment variable `RNNZOO_DATA` names, else in `~/.cache/rnnzoo`, as `FOLDER/FILE`.
Whatever is read was verified first, and nothing is unpacked to disk: what is in an archive is read by its name.
"""

import contextlib
import gzip
import hashlib
import http.client
import io
import os
import stat
import urllib.error
import urllib.request
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

from rnnzoo.archives import UNPACKING, check_zip
from rnnzoo.errors import DataError, MissingDataError
from rnnzoo.files import fresh_output

CACHE, VARIABLE = "~/.cache/rnnzoo", "RNNZOO_DATA"
# How long a server may say nothing; and how much larger than its content a compressed file may be, which is but a header.
SECONDS, HEADER = 30, 2**16
UNPACKED = 2**32  # bytes that all members of an archive may have together


class DataFile(NamedTuple):
    """A file of a data set.

    Attributes:
        path: `FOLDER/FILE`, in the cache.
        url: where it is downloaded from, by https.
        sha256: of its content, in hexadecimal; of a `.gz` that is what it unpacks to, since headers differ between copies.
        size: of its content in bytes; no more is ever read, downloaded or unpacked.
    """

    path: str
    url: str
    sha256: str
    size: int


def cache():
    """The folder that data sets lie in."""
    return Path(os.environ.get(VARIABLE) or CACHE).expanduser()


def read(file):
    """The content of a `DataFile`, unpacked where it is a `.gz`; downloaded if it is not in the cache yet.

    Returns:
        bytes.

    Raises:
        MissingDataError: it is absent and could not be downloaded; it says what to fetch and where to put it.
        DataError: it is another file, or damaged.
        InputError: it was downloaded, and cannot be put into the cache.
    """
    path = cache() / file.path
    try:
        with path.open("rb") as there:
            stored = there.read(file.size + HEADER + 1)
    except FileNotFoundError:
        return _download(file, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    return _verified(file, stored, f"{path}", f"remove it, and it is downloaded again from {file.url}")


def read_member(file, name, size):
    """One member of a `DataFile` that is a zip archive.

    Args:
        file: the `DataFile`.
        name: the member's whole name in the archive.
        size: how many bytes it may have.

    Returns:
        bytes.

    Raises:
        DataError: the archive has no such regular file, it is larger or damaged; else as `read`.
    """
    where, content = f"{cache() / file.path}, member {name}", read(file)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            check_zip(archive, UNPACKED)
            info = archive.getinfo(name)
            mode = info.external_attr >> 16  # as Unix has it; 0 where the archive was written elsewhere
            if info.is_dir() or (mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG)):
                raise DataError(f"{where}: no regular file")
            with archive.open(info) as member:
                content = member.read(size + 1)
    except KeyError:
        raise DataError(f"{where}: not in the archive") from None
    except DataError:
        raise
    except UNPACKING as error:
        raise DataError(f"{where}: cannot be unpacked: {error}") from None
    if len(content) > size:
        raise DataError(f"{where}: larger than {size:,} bytes")
    return content


def _verified(file, stored, where, remedy):
    """The content of a file's bytes, if it is the right one."""
    content = stored
    if file.path.endswith(".gz"):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(stored)) as unpacked:
                content = unpacked.read(file.size + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{where}: cannot be unpacked ({error}); {remedy}") from None
    if len(content) != file.size or hashlib.sha256(content).hexdigest() != file.sha256:
        raise DataError(
            f"{where}: not the file that is expected, {file.size:,} bytes with the sha256 {file.sha256}; {remedy}"
        )
    return content


def _download(file, path):
    """Downloads a file to its place in the cache; what is wrong never gets there."""
    by_hand = f"download {file.url} to {path}, or set {VARIABLE} to a folder that has it as {file.path}"
    try:
        with contextlib.closing(open_url(file.url)) as answer:
            stored = answer.read(file.size + HEADER + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = " ".join(str(getattr(error, "reason", "") or error).split()) or type(error).__name__
        raise MissingDataError(f"{path}: missing, and the download failed ({reason}); {by_hand}") from None
    content = _verified(file, stored, file.url, f"nothing was kept; {by_hand}")
    with fresh_output(path, force=True) as partial:
        partial.write_bytes(stored)
    return content


class _HttpsAlone(urllib.request.HTTPRedirectHandler):
    """Follows no redirection to what is not https."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        _check_https(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_url(url):
    """What `url` answers with, as a file that is open for reading.

    Raises:
        ValueError: the address, or what it redirects to, is not https.
        OSError: there is no such host or page, or it says nothing.
    """
    _check_https(url)
    request = urllib.request.Request(url, headers={"User-Agent": "rnnzoo"})
    return urllib.request.build_opener(_HttpsAlone).open(request, timeout=SECONDS)


def _check_https(url):
    if not url.startswith("https://"):
        raise ValueError(f"{url} is not https")
