"""Checkpoints of a training run: all that the rest of it depends on, in TensorFlow's own format, which has checksums."""

import io
import json
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rnnzoo.bounded import first_line
from rnnzoo.errors import InputError, WorkerLost
from rnnzoo.files import fresh_output, remove
from rnnzoo.runs import CHECKPOINTS, checkpoint_numbers, resume_line

# A checkpoint is written when so many seconds went by since the last one, and so many times what that took.
SECONDS, TIMES = 1.0, 20
KEPT = 2
PREFIX = "variables"


class Position(NamedTuple):
    """Where a run is.

    Attributes:
        depth: 0 in the recipe itself, 1 in the one that it is pretrained by, and so on.
        done: finished epochs of that recipe, all stages together.
        history: a row for each finished epoch, pretraining included.
        examples: how many examples each stage that was begun trains on.
        seconds: how long it took so far.
    """

    depth: int
    done: int
    history: list
    examples: list
    seconds: float = 0.0


class Checkpoints:
    """The checkpoints of a run, of which the last two are kept; where there is no folder, none is written.

    Args:
        folder: the run's `unfinished/`, or `None`.
        stop: a `Stop`, or `None`.
        notice: called with a line where a checkpoint is damaged.

    Attributes:
        at: the `Position` of the last checkpoint that is whole, or `None`.
        stop: as given.

    Raises:
        InputError: there are checkpoints, and each is damaged.
    """

    def __init__(self, folder=None, stop=None, notice=lambda line: None):
        self.folder, self.stop, self.at = folder, stop, None
        self._number, self._cost, self._unsaved = None, 0.0, False
        if folder is not None:
            self._number, self.at, damaged = _newest(folder)
            for path, what in damaged:
                notice(f"{path}: {what}; going on from the one before, of epoch {self._number}")
                remove(path)
        self._began = self._saved = time.perf_counter()
        self._before = self.at.seconds if self.at else 0.0

    @property
    def seconds(self):
        """How long the run took so far, what was lost to kills not counted."""
        return self._before + time.perf_counter() - self._began

    @property
    def epochs(self):
        """How many epochs, pretraining included, the last checkpoint has behind it."""
        return self._number or 0

    def check(self):
        """Raises `Stopped` where a stop was asked for, unless finished epochs would be lost.

        Then the epoch that runs, as short as they were, comes to its end first, and all of them are saved.
        """
        if self.stop is not None and not self._unsaved:
            self.stop.check()

    def position(self, depth):
        """The `Position` to go on from in the recipe of a depth, or `None` where that is to begin."""
        return self.at if self.at and self.at.depth == depth else None

    def due(self, at_any_rate=False):
        """Whether to save now, after an epoch: at any rate, because a stop was asked for, or because it is time."""
        due = self._due(at_any_rate)
        self._unsaved = not due
        return due

    def _due(self, at_any_rate):
        if self.folder is None:
            return at_any_rate
        waited = time.perf_counter() - self._saved
        return at_any_rate or (self.stop is not None and self.stop.asked) or waited > max(SECONDS, TIMES * self._cost)

    def save(self, model, optimizer, position):
        """Writes a checkpoint, whole or not at all; the one before it stays until then, and beside it.

        Nothing is written where no epoch was finished since the last one, which leads to the same bits.

        Raises:
            OSError: it cannot be written: the disk is full, say.
        """
        number, began = len(position.history), time.perf_counter()
        if self.folder is None or number == self._number:
            return
        # A copy: the run's own history grows.
        position = position._replace(history=list(position.history), seconds=self.seconds)
        path = _path(self.folder, number)
        try:
            with fresh_output(path, force=True, folder=True) as partial:
                _checkpoint(model, optimizer, _Kept(position)).write(str(partial / PREFIX))
            for old in path.parent.iterdir():  # what a kill has left of one, too
                if not old.name.isdecimal() or int(old.name) not in checkpoint_numbers(self.folder)[-KEPT:]:
                    remove(old)
        except (tf.errors.OpError, OSError, InputError) as error:
            run = self.folder.parent
            if not self.epochs:  # of a run that has just begun nothing is left
                raise OSError(f"{run}: no checkpoint can be written: {_reason(error)}") from None
            what = f"{run}: the checkpoint after {number} epochs cannot be written: {_reason(error)}"
            raise OSError(f"{what}; when it can be, go on with `{resume_line(run)}`") from None
        self.at, self._number = position, number
        self._saved = time.perf_counter()
        self._cost = self._saved - began

    def restore(self, model, optimizer=None):
        """Gives the variables the values of the checkpoint at `at`.

        Raises:
            InputError: they are not the checkpoint's.
        """
        _restore(_path(self.folder, self._number), model, optimizer)


class SharedCheckpoints(Checkpoints):
    """The checkpoints of a run that several workers train: the chief writes and reads them, and all go on from them.

    What it is asked, every worker must ask it at the same place, since they answer together.

    Args:
        folder: as for `Checkpoints`, of the chief; `None` of the others.
        stop, notice: as for `Checkpoints`.
        meeting: the `Meeting` of the workers.

    Attributes:
        together: whether they still train; afterwards each is on its own.

    Raises:
        WorkerLost: like everything else here, where a worker is gone.
    """

    def __init__(self, folder, stop, notice, meeting):
        super().__init__(folder, stop, notice)
        self._meeting, self.together = meeting, True
        kept = None if self.at is None else [self._number, self.at._asdict()]
        self._number, at = meeting.exchange(kept)[0] or (None, None)
        self.at = None if at is None else Position(**at)

    def check(self):
        if not self.together:
            super().check()
            return
        asked = self._meeting.exchange(self.stop.asked)
        super().check()
        if any(asked) and not self._unsaved:  # which all agree on
            raise WorkerLost(f"{self._meeting.named(asked.index(True))} was interrupted")

    def _due(self, at_any_rate):
        due, asked = zip(*self._meeting.exchange([super()._due(at_any_rate), self.stop.asked]), strict=True)
        return due[0] or any(asked)

    def save(self, model, optimizer, position):
        number = len(position.history)
        super().save(model, optimizer, position)
        if self.folder is None and number != self._number:
            self.at, self._number = position._replace(history=list(position.history)), number

    def restore(self, model, optimizer=None):
        if self.folder is not None:
            super().restore(model, optimizer)
        variables = [*model.variables, *([] if optimizer is None else optimizer.variables)]
        content = io.BytesIO()
        if self.folder is not None:
            np.savez(content, *(variable.numpy() for variable in variables))
        with np.load(io.BytesIO(self._meeting.from_chief(content.getvalue()))) as values:
            if self.folder is None:
                for variable, array in zip(variables, values.values(), strict=True):
                    variable.assign(array)


def _restore(path, model, optimizer=None):
    checkpoint = _checkpoint(model, optimizer)
    try:
        status = checkpoint.read(str(path / PREFIX))
        status.assert_existing_objects_matched()
        status.expect_partial()
    except (AssertionError, ValueError, tf.errors.OpError) as error:
        raise InputError(f"{path}: not a checkpoint of this model: {first_line(error)}") from None


def restore_last(unfinished, model):
    """Gives a model the weights of the last whole checkpoint of a run.

    Raises:
        InputError: there is none, or the run is still in its pretraining.
    """
    number, at, _ = _newest(unfinished)
    if at is None:
        raise InputError(f"{unfinished}: no checkpoint was written yet")
    if at.depth:
        raise InputError(f"{unfinished}: the run is still in its pretraining, of another model")
    _restore(_path(unfinished, number), model)


def finite(model):
    """Whether all weights are finite."""
    return all(np.isfinite(variable.numpy()).all() for variable in model.trainable_variables)


class _Kept(tf.train.experimental.PythonState):
    """A `Position` inside a checkpoint, so that its checksum is TensorFlow's too."""

    def __init__(self, position=None):
        self.position = position

    def serialize(self):
        return json.dumps(self.position._asdict())

    def deserialize(self, text):
        self.position = Position(**json.loads(text))


def _checkpoint(model, optimizer=None, kept=None):
    """Variables, the state of dropout's random numbers among them, by place and not by name: names count up in a process."""
    parts = {"model": [variable.value for variable in model.variables]}
    if optimizer is not None:
        parts["optimizer"] = [variable.value for variable in optimizer.variables]
    return tf.train.Checkpoint(**parts, **({"position": kept} if kept else {}))


def _path(folder, number):
    return folder / CHECKPOINTS / f"{number:06}"


def _newest(folder):
    """The number and the `Position` of the last checkpoint that is whole, and (path, what is wrong) of those after it."""
    damaged = []
    for number in reversed(checkpoint_numbers(folder)):
        path, kept = _path(folder, number), _Kept()
        try:
            if not all(file.is_file() for file in path.iterdir()):  # a pipe would be waited for
                raise ValueError("something in it is no file")
            reader = tf.train.load_checkpoint(str(path / PREFIX))
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)  # compares the checksum
            tf.train.Checkpoint(position=kept).read(str(path / PREFIX)).expect_partial()
            if kept.position is None:
                raise ValueError("it holds no position")
        except Exception as error:  # what a damaged file raises is anything
            damaged.append((path, f"damaged ({first_line(error)})"))
            continue
        return number, kept.position, damaged
    if damaged:
        path, what = damaged[0]
        raise InputError(f"{path}: {what}, and no other checkpoint is whole; train anew with --force")
    return None, None, []


def _reason(error):
    """What the system said, without what TensorFlow adds."""
    if isinstance(error, InputError):
        return str(error).rpartition(": ")[2]
    text = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
    return text.strip().splitlines()[0].rpartition("; ")[2].partition(" [Op:")[0]
