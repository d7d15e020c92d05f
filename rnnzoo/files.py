"""Outputs that are whole or absent: written under a temporary name, synced, then renamed. And what files are there."""

import contextlib
import errno
import glob
import hashlib
import os
import shutil
from pathlib import Path

from rnnzoo.errors import InputError, RnnzooError

# What writing ends with where there is no room; whoever notices it may not know the file.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class NotWritten(OSError):
    """An output could not be written; its text is one line that says which and why, without temporary names."""

    def __str__(self):
        return f"{self.filename}: cannot be written: {self.strerror}"


def not_written(error, *places):
    """What the system said where an error is one of writing: there was no room, or a path in one of the places is named.

    Args:
        error: any exception; libraries have errors of their own for what the system says, and its words in them.
        places: paths that are written to.

    Returns:
        An error number and its text, or `None`.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number not in FULL:
        number = next((full for full in FULL if os.strerror(full) in str(error)), number)
    names = [Path(os.fsdecode(name)) for name in _names(error)]
    if number in FULL or any(name.is_relative_to(place) for name in names for place in places):
        return number, os.strerror(number) if number else str(error)
    return None


def _names(error):
    names = (getattr(error, "filename", None), getattr(error, "filename2", None))
    return [name for name in names if isinstance(name, str | bytes | os.PathLike)]


def refuse_existing(path, force, marker=None):
    """Refuses an output that is there already, unless it may be replaced: a file, or a folder that holds `marker`."""
    if not path.exists() and not path.is_symlink():
        return
    if not force:
        raise InputError(f"{path}: exists; give another output, or --force to replace it")
    if path.is_dir() and any(path.iterdir()) and not (marker and (path / marker).exists()):
        why = f"that rnnzoo did not write (it holds no {marker})" if marker else "in the place of a file"
        raise InputError(f"{path}: a folder {why} is not replaced")


@contextlib.contextmanager
def fresh_output(path, force=False, marker=None, folder=False):
    """A temporary path beside `path` to write a file or folder at; it takes `path`'s place when all went well, on the disk.

    On any error, an interrupt included, what was written is removed and `path` is as it was. With `force`, a file is
    replaced, and a folder that holds `marker`: what this command writes, not whatever else the path may name. With `folder`
    the temporary path is an empty folder to begin with.

    Raises:
        InputError: `path` exists and may not be replaced, or its parent cannot be written.
        NotWritten: there is no room, or it cannot be written for another reason.
    """
    path = Path(path)
    refuse_existing(path, force, marker)
    partial = path.parent / f".{path.name}.{os.getpid()}.partial{path.suffix}"
    made = []  # parents that were not there
    try:
        for parent in reversed(path.parents):
            if not parent.exists():
                parent.mkdir()
                made.append(parent)
        remove(partial)
        if folder:
            partial.mkdir()
    except OSError as error:
        if error.errno in FULL:
            raise NotWritten(error.errno, error.strerror, str(path)) from None
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
    old = path.parent / f".{path.name}.{os.getpid()}.replaced"
    try:
        yield partial
        refuse_existing(path, force, marker)
        sync(partial)
        if path.is_symlink() or path.is_dir() or partial.is_dir():
            if path.exists() or path.is_symlink():
                os.rename(path, old)
            os.rename(partial, path)
            remove(old)
        else:
            os.replace(partial, path)  # at once: one of the two is there at any moment
        for folder in (path.parent, *(parent.parent for parent in made)):
            sync_entries(folder)
    except RnnzooError as error:
        error.args = (str(error).replace(str(partial), str(path)),)
        raise
    except Exception as error:
        reason = not_written(error, partial, old)
        if reason is None:
            raise
        raise NotWritten(*reason, str(path)) from None
    finally:
        remove(partial)
        if not path.exists():
            for parent in reversed(made):
                with contextlib.suppress(OSError):  # something else was put there in the meantime
                    parent.rmdir()


def sync(path):
    """Has the disk hold a file, or a folder with all that is in it, before this returns."""
    if path.is_dir():
        for entry in path.iterdir():
            sync(entry)
        sync_entries(path)
    elif path.is_file():
        _sync(path)


def sync_entries(folder):
    """Has the disk hold which entries a folder has; where folders cannot be synced (Windows), that is the system's."""
    with contextlib.suppress(OSError):
        _sync(folder)


def _sync(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path):
    """Removes a file, or a folder with all that is in it; nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def matching(pattern):
    """The files that a pattern such as `parts/*.csv` matches, in the order of their names; none where it is no pattern."""
    if not glob.has_magic(str(pattern)):
        return []
    return [path for path in map(Path, sorted(glob.glob(str(pattern), recursive=True))) if path.is_file()]


def sha256(path):
    """The sha256 of a file's content, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of(named):
    """One sha256 of several files, (name, path) each: of their names and checksums."""
    return hashlib.sha256("".join(f"{name} {sha256(path)}\n" for name, path in named).encode()).hexdigest()
