"""Run folders: what one says of itself, who trains it, and how a finished run takes its place.

While a run is trained, all that belongs to it is in `RUN/unfinished/`: `preset.toml`, the user's data, `learned.json`,
`state.json`, `checkpoints/`, and `lock`, which the process that trains it holds. What is to be the run folder is put
together there too, as `result/`, and then moved up. So a folder with `metadata.json` at its top is a complete run, and
stays one until a run that replaces it is complete.
"""

import contextlib
import functools
import json
import os
import shlex
import shutil
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rnnzoo.bounded import JSON_BYTES, from_json, regular
from rnnzoo.errors import InputError
from rnnzoo.files import fresh_output, matching, not_written, remove, sha256, sha256_of, sync_entries
from rnnzoo.locking import locked, take_lock
from rnnzoo.registry import (
    CARD,
    DATA,
    HISTORY,
    LEARNED,
    METADATA,
    PRESET,
    SEEDS,
    STATE,
    UNFINISHED,
    WEIGHTS,
    load_preset,
)

CHECKPOINTS, RESULT, LOCK, PLACING = "checkpoints", "result", "lock", "placing"
SAVED_MODEL, LOGS = "saved_model", "logs"
# What a complete run holds beside its metadata, or may hold.
PARTS = (WEIGHTS, LEARNED, CARD, f"{DATA}.csv", SEEDS, HISTORY, SAVED_MODEL, LOGS, PRESET)
RUNNING, INTERRUPTED, FAILED, COMPLETE = "running", "interrupted", "failed", "complete"


class RunState(NamedTuple):
    """What a run folder says of itself.

    Attributes:
        state: "running", "interrupted", "failed" or "complete".
        epochs: how many are finished, pretraining included, and kept in a checkpoint; of a complete run `None`.
        of_epochs: how many there are to be; of a complete run `None`.
        error: why it failed, or `None`.
    """

    state: str
    epochs: int | None = None
    of_epochs: int | None = None
    error: str | None = None


def run_state(folder):
    """The `RunState` of a run folder, `None` where the folder is none.

    A run that says "running" and whose process is gone was interrupted.
    """
    folder = Path(folder)
    unfinished, complete = folder / UNFINISHED, (folder / METADATA).is_file()
    try:
        about = read_state(folder)
    except InputError as error:
        return RunState(FAILED, error=str(error))
    if about is None or (complete and (unfinished / PLACING).exists()):
        return RunState(COMPLETE) if complete and (folder / PRESET).is_file() else None
    state = about["state"]
    if locked(unfinished / LOCK):
        state = RUNNING
    elif state == RUNNING:
        state = INTERRUPTED
    return RunState(state, max(checkpoint_numbers(unfinished), default=0), about["epochs"], about.get("error"))


def read_state(folder):
    """What `state.json` of an unfinished run holds, or `None` where there is none.

    Raises:
        InputError: it is damaged.
    """
    path = Path(folder) / UNFINISHED / STATE
    try:
        about = from_json(regular(path, JSON_BYTES))
        _state()(**about)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise InputError(f"{path}: damaged ({key}: {first['msg']}); train anew with --force") from None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: damaged ({type(error).__name__}: {error}); train anew with --force") from None
    return about


def checkpoint_numbers(unfinished):
    """The numbers of a run's checkpoints: how many epochs were finished at each."""
    with contextlib.suppress(OSError):
        return sorted(int(path.name) for path in (unfinished / CHECKPOINTS).iterdir() if path.name.isdecimal())
    return []


def resume_line(folder):
    """The command that goes on with a run."""
    return f"rnnzoo train --resume {shlex.quote(str(folder))}"


@contextlib.contextmanager
def result_of(run):
    """What is inside writes what a run leaves once it is trained; where it cannot be written, it is said how to go on."""
    try:
        yield
    except OSError as error:
        what = f"{run}: it is trained, and its result cannot be written: {error.strerror or error}"
        raise OSError(f"{what}; when it can be, go on with `{resume_line(run)}`") from None


@functools.cache
def _state():
    """What is looked up in `state.json`; there is more in it. Made when it is first needed, which takes a while."""

    class State(BaseModel):
        model_config = ConfigDict(extra="allow", strict=True)
        state: Literal[RUNNING, INTERRUPTED, FAILED]
        epochs: int
        data: str | None = None
        tensorboard: bool = False
        error: str | None = None
        rnnzoo_version: str | None = None
        keras_version: str | None = None
        tensorflow_version: str | None = None
        sha256: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$")], str]

    return State


class Workspace:
    """The `unfinished/` of a run folder, held by this process until `close`.

    Attributes:
        run: the run folder.
        folder: its `unfinished/`.
        about: what `state.json` holds.
        new: whether this process began it.
    """

    def __init__(self, run, about, lock, new):
        self.run, self.folder, self.about, self.new, self._lock = run, run / UNFINISHED, about, new, lock

    @classmethod
    def begin(cls, run, preset, data, about, force, learned=None):
        """A new run.

        Args:
            run: its folder.
            preset: the text of its preset.
            data: the path of the user's data, or lines of it, and the name of the copy, a pair; `None` for none.
            about: what its `state.json` is to hold.
            force: whether a run that is there is replaced.
            learned: the text of what its task has learned; `None` for nothing.

        Raises:
            InputError: there is a run folder already and no `force`, or another process trains it.
        """
        run = Path(run)
        check_new(run, force)
        # Where the folder is there, what it holds stays until the new run is complete.
        with contextlib.ExitStack() as stack:
            if run.is_dir():
                if (run / UNFINISHED).is_dir() and not (run / UNFINISHED).is_symlink():
                    old = take_lock(run / UNFINISHED / LOCK, run)
                    stack.callback(os.close, old)
                folder = stack.enter_context(fresh_output(run / UNFINISHED, True, marker=STATE, folder=True))
            else:
                partial = stack.enter_context(fresh_output(run, force, folder=True))
                folder = partial / UNFINISHED
                folder.mkdir()
            (folder / PRESET).write_text(preset, encoding="utf-8")
            names = [PRESET]
            if data is not None:
                what, name = data
                if isinstance(what, (str, Path)):
                    _copy(Path(what), folder / name)
                else:
                    with (folder / name).open("w", encoding="utf-8") as file:
                        file.writelines(what)
                names.append(name)
            if learned is not None:
                (folder / LEARNED).write_text(learned, encoding="utf-8")
                names.append(LEARNED)
            checksums = {name: checksum(folder / name) for name in names}
            about = {"state": RUNNING, **about, "sha256": checksums}
            _write_state(folder, about)
            lock = take_lock(folder / LOCK, run)
        return cls(run, about, lock, new=True)

    @classmethod
    def take_over(cls, run, versions):
        """An unfinished run that is to go on, or `None` where it is complete.

        Args:
            run: its folder.
            versions: name -> version of all that its bits depend on.

        Raises:
            InputError: there is no such run, another process trains it, it would fail again, or its files or the versions
                are not those that it began with.
        """
        run = Path(run)
        state = check_resumable(run)
        if not (run / UNFINISHED).is_dir():
            return None
        _refuse_links(run / UNFINISHED)
        lock = take_lock(run / UNFINISHED / LOCK, run)
        try:
            state, about = check_resumable(run), read_state(run)
            if state.state == COMPLETE:  # but for what it was made of
                remove(run / UNFINISHED / STATE)
                remove(run / UNFINISHED)
                os.close(lock)
                return None
            for name, version in versions.items():
                if about.get(name) != version:
                    raise InputError(
                        f"{run}: begun with {name.removesuffix('_version')} {about.get(name)}, and this is {version}; go on "
                        "with the former, or train anew"
                    )
            for name, expected in about["sha256"].items():
                path = run / UNFINISHED / name
                if checksum(path) != expected:
                    raise InputError(f"{path}: changed since the run began; restore it, or train anew")
            work = cls(run, about, lock, new=False)
            work.set_state(RUNNING)
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(lock)
            raise
        return work

    def set_state(self, state, error=None, final=False):
        """Writes how the run stands, unless it is complete; `final`: it would fail again."""
        if not (self.folder / STATE).is_file():
            return
        about = {key: value for key, value in self.about.items() if key not in ("error", "final")}
        self.about = {
            **about,
            "state": state,
            **({} if error is None else {"error": error}),
            **({"final": True} if final else {}),
        }
        _write_state(self.folder, self.about)

    def place(self):
        """Moves what is in `result/` up into the run folder, in place of what was there, and removes the rest.

        It can be cut short anywhere and done again.
        """
        if not (self.folder / PLACING).exists():
            # First of all what makes a run a complete one. What somebody else has put there stays.
            for name in (METADATA, *_own_data(self.run), *PARTS):
                remove(self.run / name)
            for left in self.run.glob(f".{UNFINISHED}.*"):  # by a process that was killed
                remove(left)
            (self.folder / PLACING).touch()
            sync_entries(self.folder)
        result = self.folder / RESULT
        for entry in sorted(result.iterdir(), key=lambda path: path.name == METADATA):  # last: a complete run
            os.rename(entry, self.run / entry.name)
            sync_entries(self.run)
        for name in (CHECKPOINTS, STATE):
            remove(self.folder / name)
        remove(self.folder)
        sync_entries(self.run)

    @property
    def placing(self):
        """Whether the result is whole and was being moved up."""
        return (self.folder / PLACING).exists()

    def discard(self):
        """Removes the run, and its folder if nothing else is in it."""
        remove(self.folder)
        with contextlib.suppress(OSError):
            self.run.rmdir()

    def close(self):
        """Lets go of the run."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def check_resumable(run):
    """The `RunState` of a run that `--resume` takes, complete ones included.

    Raises:
        InputError: the folder is no run, or it would fail again.
    """
    run = Path(run)
    if not run.is_dir():
        raise InputError(
            f"{run}: no such folder; expected the folder of a run (`rnnzoo list --runs DIR` shows those in DIR)"
        )
    about, state = read_state(run), run_state(run)
    if state is None:
        raise InputError(f"{run}: no training run: neither {METADATA} nor {UNFINISHED}/{STATE} is in it")
    if state.state == FAILED and about.get("final"):
        raise InputError(f"{run}: failed, and would again: {state.error}")
    return state


def check_new(run, force):
    """Refuses a folder that is there, unless it is a run, or empty, and may be replaced."""
    if not run.exists() and not run.is_symlink():
        return
    state = run_state(run) if run.is_dir() else None
    if state is not None and state.state == RUNNING:
        raise InputError(f"{run}: another process is training it")
    if not force:
        ways = "give another output, or --force to replace it"
        if state is not None and state.state != COMPLETE:
            raise InputError(f"{run}: exists, a run that {_was(state)}; go on with `{resume_line(run)}`, {ways}")
        raise InputError(f"{run}: exists; {ways}")
    if not run.is_dir():
        return
    if state is None and any(run.iterdir()) and not (run / PRESET).is_file():
        raise InputError(f"{run}: a folder that rnnzoo did not write (it holds no {PRESET}) is not replaced")


def _was(state):
    return "was interrupted" if state.state == INTERRUPTED else state.state


def _write_state(folder, about):
    with fresh_output(folder / STATE, force=True) as partial:
        partial.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _own_data(run):
    """What the copy of the user's data in a complete run is called, if there is one; its preset says so."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, InputError):
        data = load_preset(run).data
        return [] if data is None else [data.file]
    return []


def _copy(path, copy):
    """Copies a file, a folder with all that is in it, or the files that a pattern matches into a folder, in their order."""
    try:
        if path.is_dir():
            _check_tree(path)
            shutil.copytree(path, copy)
        elif not path.exists() and (files := matching(path)):
            copy.mkdir()
            for number, file in enumerate(files):
                shutil.copyfile(file, copy / f"{number:05}-{file.name}")
        else:
            copy.write_bytes(path.read_bytes())
    except (OSError, shutil.Error) as error:
        if not_written(error, copy):
            raise
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _refuse_links(folder):
    """Refuses links in what a run writes in, which would lead out of it."""
    places = [(place, name) for place, *found in os.walk(folder) for names in found for name in names]
    for path in (str(folder), *(os.path.join(*place) for place in places)):
        if os.path.islink(path):
            raise InputError(f"{path}: a link, and the run would write beyond its folder; expected files and folders")


def _check_tree(folder):
    """Refuses what a copy of a folder would not end with: links to folders, which may be loops, pipes and devices."""
    for place, folders, files in os.walk(folder):
        for name in folders:
            if os.path.islink(os.path.join(place, name)):
                raise InputError(f"{os.path.join(place, name)}: a link to a folder; expected files, and folders of them")
        for name in files:
            if not os.path.isfile(os.path.join(place, name)):
                raise InputError(f"{os.path.join(place, name)}: no file; expected files, and folders of them")


def checksum(path):
    """The sha256 of a file; of a folder, or of the files that a pattern matches, that of their names and checksums.

    Raises:
        InputError: it is missing, or cannot be read.
    """
    try:
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file())
            return sha256_of((file.relative_to(path).as_posix(), file) for file in files)
        if not path.exists() and (files := matching(path)):
            return sha256_of((file.name, file) for file in files)
        return sha256(path)
    except FileNotFoundError:
        raise InputError(f"{path}: missing, and the run cannot go on without it; restore it, or train anew") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
