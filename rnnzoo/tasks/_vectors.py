"""Real vectors, alone or a timestep each, as inputs and as answers."""

import numbers
import re

import numpy as np

from rnnzoo.bounded import from_json
from rnnzoo.errors import InputError
from rnnzoo.tasks._inputs import short
from rnnzoo.tasks._task import decimal
from rnnzoo.tasks._tensorflow import tf

LARGEST = float(np.finfo(np.float32).max)


class VectorInput:
    """A real vector, `0.05 0.1`: (batch, width) -> the same; or a sequence of them, `1:0.5 0:1`: (batch, timesteps, width).

    Args:
        name: what the input is called, in messages and in the SavedModel's signature.
        width: how many numbers a vector has.
        sequence: whether there are timesteps.
        example: an input that is right, as text.
        mask_value: no vector of a right input is of nothing but this, so that such ones are padding; `None` where every
            value can occur: then the sequences of a batch are of one length.
    """

    kind = "vectors"

    def __init__(self, name, width, sequence, example, mask_value=None):
        self.name, self.width, self.sequence, self.example, self.mask_value = name, width, sequence, example, mask_value
        self.pads = mask_value is not None
        numbers = f"{width} number{'' if width == 1 else 's'}"
        self.hint = f"timesteps of {numbers} each" if sequence else numbers

    @property
    def spec(self):
        return tf.TensorSpec([None, None, self.width] if self.sequence else [None, self.width], tf.float32)

    def describe(self):
        """The front in values that JSON has, for programs that have no TensorFlow."""
        keys = ("kind", "name", "width", "sequence", "hint", "example")
        return {**{key: getattr(self, key) for key in keys}, "padding": self.mask_value}

    def model_arguments(self, architecture):
        return {"features": self.width, **({"mask_value": self.mask_value} if self.pads else {})}

    def check(self, raw):
        """`raw`, text or numbers, as a float32 array (width,), or (timesteps, width) where there are timesteps.

        Raises:
            InputError: it is empty, no finite number (which, and where), or of another width.
        """
        whole = isinstance(raw, np.ndarray) and raw.dtype == np.float32 and raw.ndim == 1 + self.sequence and raw.size
        if whole and raw.shape[-1] == self.width and np.isfinite(raw).all():  # many of them: not number by number
            return raw
        if isinstance(raw, bytes):
            raw = raw.decode("utf-8", "replace")
        expected = f"expected {self.hint}, for example '{self.example}'"
        rows = parse(raw, self.sequence, expected)
        for t, row in enumerate(rows, 1):
            if len(row) != self.width:
                where = f"timestep {t} of the {self.name}" if self.sequence else f"the {self.name}"
                raise InputError(f"{where}: {len(row)} number{'' if len(row) == 1 else 's'}; {expected}")
        return np.array(rows if self.sequence else rows[0], np.float32)

    def timestep(self, raw):
        """One timestep of a sequence, text such as `1:0.5` or numbers -> a float32 array (width,).

        Raises:
            InputError: it is no finite number (which), of another width, or what padding looks like.
        """
        if isinstance(raw, bytes):
            raw = raw.decode("utf-8", "replace")
        if isinstance(raw, str) and not raw.lstrip().startswith("["):
            raw = raw.replace(":", " ")
        plural = "" if self.width == 1 else "s"
        expected = f"expected {self.width} number{plural}, for example '{self.example.split()[0]}'"
        raw = [raw] if isinstance(raw, numbers.Real) and not isinstance(raw, bool) else raw
        (row,) = parse(raw, False, expected)
        if len(row) != self.width:
            raise InputError(f"{len(row)} number{'' if len(row) == 1 else 's'}; {expected}")
        frame = np.array(row, np.float32)
        if self.pads and (frame == self.mask_value).all():
            raise InputError(f"a timestep of nothing but {self.mask_value:g} is padding; {expected}")
        return frame

    def join(self, symbols, padded):
        """A row of numbers, or of rows of them, as it is; without the padding at the end where there may be some."""
        if padded and self.pads:
            rows = np.asarray(symbols, np.float32)
            used = np.flatnonzero((rows != self.mask_value).any(axis=-1)) if rows.ndim == 2 else []
            return tuple(symbols)[: used[-1] + 1] if len(used) else ()
        return tuple(symbols)

    def tensor(self, checked):
        """A list of what `check` returned -> float32 (batch, ..., width), padded at the end where that can be told."""
        if not self.pads:
            return tf.constant(np.array(checked, np.float32).reshape(len(checked), *[-1] * self.sequence, self.width))
        return tf.constant(filled_up(checked, [self.width], self.mask_value))

    def steps(self, checked):
        """How many timesteps one checked input takes."""
        return len(checked) if self.sequence else 1

    def front(self, raw):
        """float32 (batch, ..., width) -> the same. Runs in a graph."""
        message = [f"expected {self.hint}, all of them finite; got", raw]
        checks = [tf.debugging.Assert(tf.reduce_all(tf.math.is_finite(raw)), message)]
        if self.sequence:
            batch, timesteps = tf.unstack(tf.shape(raw)[:2])
            some = (timesteps > 0) | (batch == 0)
            checks.append(tf.debugging.Assert(some, [f"expected {self.hint}; got no timesteps"]))
        with tf.control_dependencies(checks):
            return tf.identity(raw)


class RealAnswer:
    """One real number, right where it is off by no more than `tolerance`.

    Args:
        name: what the answer is called in the SavedModel's signature.
        tolerance: how far off it may be.
    """

    kind = "real"
    per_timestep = False
    generated = False

    def __init__(self, name, tolerance):
        self.name, self.tolerance = name, tolerance

    def describe(self):
        """The back in values that JSON has."""
        return {"kind": self.kind, "name": self.name}

    def model_arguments(self, architecture):
        return {"outputs": 1}

    def parse(self, text):
        """The number that `text` writes."""
        expected = "expected one number, for example '0.5'"
        (row,) = parse(text, False, expected)
        if len(row) != 1:
            raise InputError(f"{len(row)} numbers; {expected}")
        return row[0]

    def targets(self, answers):
        """Answers -> targets (batch, 1) and their weights (batch,)."""
        return np.array(answers, np.float32)[:, None], np.ones(len(answers), np.float32)

    def correct(self, targets, outputs, weights):
        """Targets and outputs (batch, 1) -> (batch,) bool. Runs in a graph."""
        return tf.abs(outputs - targets)[:, 0] <= self.tolerance

    def back(self, outputs, inputs):
        """Outputs (batch, 1) -> a dict of named answers. Runs in a graph."""
        return {self.name: tf.cast(outputs[:, 0], tf.float32)}

    def answers(self, named):
        """What `back` gave -> a list of numbers."""
        return [decimal(number) for number in np.asarray(named[self.name], np.float32)]


class VectorAnswer:
    """A real vector, or one at every timestep, right where no number is off by more than `tolerance`.

    Args:
        name: what the answer is called in the SavedModel's signature.
        width: how many numbers a vector has.
        sequence: whether there are timesteps.
        tolerance: how far off a number may be.
    """

    kind = "vectors"
    generated = False

    def __init__(self, name, width, sequence, tolerance):
        self.name, self.width, self.tolerance = name, width, tolerance
        self.per_timestep = sequence

    def describe(self):
        """The back in values that JSON has."""
        return {"kind": self.kind, "name": self.name, "width": self.width, "sequence": self.per_timestep}

    def model_arguments(self, architecture):
        return {"outputs": self.width}

    def parse(self, text):
        """`0.01 0.99`, or `0.6 0.8` (`0.6:0.1 0.8:0.2` where there are several numbers) a timestep."""
        hint = " ".join([":".join(["0.5"] * self.width)] * 2 if self.per_timestep else ["0.5"] * self.width)
        rows = parse(text, self.per_timestep, f"expected numbers, for example '{hint}'")
        if any(len(row) != self.width for row in rows):
            raise InputError(f"'{short(text)}' is no answer; expected {self.width} numbers, for example '{hint}'")
        return self.of_rows(rows)

    def of_rows(self, rows):
        """A tuple of vectors, one where there are no timesteps -> an answer: a list of numbers, or of vectors as tuples."""
        if not self.per_timestep:
            return [*rows[0]]
        return [row[0] for row in rows] if self.width == 1 else [*rows]

    def targets(self, answers):
        """Answers, of one length -> targets (batch, ..., width) and their weights (batch,) or (batch, timesteps)."""
        if len({len(answer) for answer in answers}) > 1:
            raise InputError("the answers are of different lengths; expected as many timesteps in each")
        targets = np.array(answers, np.float32).reshape(len(answers), *[-1] * self.per_timestep, self.width)
        return targets, np.ones(targets.shape[:-1], np.float32)

    def correct(self, targets, outputs, weights):
        """Targets and outputs (batch, ..., width) -> (batch,) bool: every number. Runs in a graph."""
        right = tf.reduce_all(tf.abs(outputs - targets) <= self.tolerance, axis=-1) | (weights == 0)
        return tf.reduce_all(right, axis=-1) if self.per_timestep else right

    def back(self, outputs, inputs):
        """Outputs (batch, ..., width) -> a dict of named answers. Runs in a graph."""
        return {self.name: tf.cast(outputs, tf.float32)}

    def answers(self, named):
        """What `back` gave -> a list of answers: lists of numbers, or of tuples of numbers."""
        outputs = np.asarray(named[self.name], np.float32)
        rows = outputs if self.per_timestep else outputs[:, None]
        return [self.of_rows(tuple(tuple(map(decimal, vector)) for vector in row)) for row in rows]


def filled_up(rows, shape, padding, dtype=np.float32):
    """Arrays (timesteps, *shape) as one, (batch, timesteps, *shape), the shorter ones filled up at the end."""
    padded = np.full((len(rows), max(map(len, rows), default=0), *shape), padding, dtype)
    for row, one in zip(padded, rows, strict=True):
        row[: len(one)] = one
    return padded


def parse(value, sequence, expected):
    """Text or nested numbers -> a tuple of rows, each a tuple of floats; one row where there are no timesteps.

    Args:
        value: the text, or the numbers.
        sequence: whether there are timesteps.
        expected: what would be right, in words.

    Raises:
        InputError: it is empty, or holds what is no finite number; it says which, and where.
    """
    if isinstance(value, str):
        value = _split(value, sequence, expected)
    value = value.tolist() if hasattr(value, "tolist") else value
    rows = [row.tolist() if hasattr(row, "tolist") else row for row in value] if _is_row(value) else value
    rows = rows if sequence else [rows]
    if not _is_row(rows) or not all(_is_row(row) for row in rows):
        raise InputError(
            f"'{short(str(value))}' has another form; {expected}" if value else f"there are no numbers; {expected}"
        )
    found = []
    for t, row in enumerate(rows, 1):
        for i, number in enumerate(row, 1):
            if isinstance(number, bool) or not isinstance(number, numbers.Real) or not abs(number) <= LARGEST:
                where = f"number {i} of timestep {t}" if sequence else f"number {i}"
                raise InputError(f"'{short(str(number))}' ({where}) is no number of 32 bits; {expected}")
        found.append(tuple(map(float, row)))
    return tuple(found)


def _is_row(value):
    return isinstance(value, list | tuple) and len(value) > 0


def _split(text, sequence, expected):
    """Text -> nested lists; what is no number stays text."""
    if text.lstrip().startswith("["):
        try:
            return from_json(text)
        except ValueError:
            raise InputError(f"'{short(text)}' is no JSON; {expected}") from None
    if not sequence:
        return [_number(part) for part in re.split(r"[\s,]+", text.strip()) if part]
    return [[_number(part) for part in step.split(":")] for step in text.split()]


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text
