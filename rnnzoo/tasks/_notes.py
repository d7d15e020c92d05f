"""Music as frames of notes: which of the piano's 88 keys sound at each, as input and as the answer."""

import functools
import os
import re
from pathlib import Path

import numpy as np

from rnnzoo.errors import InputError
from rnnzoo.tasks import _midi
from rnnzoo.tasks._files import beside
from rnnzoo.tasks._inputs import short
from rnnzoo.tasks._tensorflow import tf
from rnnzoo.tasks._vectors import VectorInput

# The piano's keys, A0 to C8, by their MIDI numbers; middle C, 60, is C4.
LOWEST, KEYS = 21, 88
# What every number of a frame of padding is: a key sounds (1) or does not (0).
PADDING = -1.0
REST = "r"
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
_STEPS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
_NOTE = re.compile(r"([a-gA-G])(#|b|)(-?[0-9])|([0-9]{1,3})")


class NotesInput(VectorInput):
    """A piece up to where it is: float32 (batch, timesteps, 88), 1 where a key sounds, padded with -1 -> the same.

    A timestep is the frame before the one that is to come: the first is a silence, which stands before the piece. Of a MIDI
    file it is put there; in frames that are given it is there already, `r`.

    Args:
        name: what the input is called, in messages and in the SavedModel's signature.
        quarters: how many quarter notes a frame of a MIDI file lasts.
        example: an input that is right, as text.
    """

    kind = "notes"

    def __init__(self, name, quarters, example):
        super().__init__(name, KEYS, True, example, mask_value=PADDING)
        self.quarters = quarters
        self.hint = f"a MIDI file, or frames of notes such as C4:E4:G4 with spaces between them, {REST} where there is none"

    def describe(self):
        """See `VectorInput`."""
        return {**super().describe(), "quarters": self.quarters}

    def names_a_file(self, raw):
        """Whether a text is the name of a MIDI file, by its ending, there or not."""
        return Path(raw).suffix.lower() in _midi.SUFFIXES

    def located(self, raw, folder):
        """See `ImageInput`."""
        return beside(raw, folder)

    def check(self, raw):
        """`raw` as a float32 array (timesteps, 88) of 0 and 1.

        Args:
            raw: the path of a MIDI file, before which a silence is put; frames as text, `r C4:E4:G4`, notes by their names
                or MIDI numbers; or frames of 88 numbers, as nested lists or an array.

        Raises:
            InputError: it is none of that; it says which frame or file.
            MissingExtraError: it is a file, and mido is not installed.
        """
        raw = os.fspath(raw) if isinstance(raw, os.PathLike) else raw
        raw = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
        if isinstance(raw, str) and self.names_a_file(raw):
            try:
                return started(self.read(raw))
            except InputError as error:
                raise InputError(f"{raw}: {error}") from None
        if isinstance(raw, str) and not raw.lstrip().startswith("["):
            return frames_of(raw.split(), f"expected {self.hint}, for example '{self.example}'")
        frames = super().check(raw)
        wrong = (frames != 0) & (frames != 1)
        if wrong.any():
            t, key = np.argwhere(wrong)[0]
            raise InputError(
                f"{frames[t, key]:g} at timestep {t + 1}, key {key + 1}; expected 0 or 1 for each of {KEYS} keys"
            )
        return frames

    def read(self, path):
        """The frames (timesteps, 88) of a MIDI file, without what stands before them; an `InputError` does not name it."""
        return on_keys(_midi.read(path, self.quarters))

    def piece(self, raw):
        """`raw` as `check` takes it, or "" -> its frames (timesteps, 88), without the silence before those of a file."""
        if isinstance(raw, str) and not raw:
            return np.zeros((0, KEYS), np.float32)
        is_file = isinstance(raw, str | os.PathLike) and self.names_a_file(raw)
        return self.check(raw)[1:] if is_file else self.check(raw)

    def timestep(self, raw):
        """One timestep, text such as `C4:E4:G4` or 88 numbers -> a float32 array (88,).

        Raises:
            InputError: it is no such text, or they are no such numbers.
        """
        raw = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
        expected = f"expected notes such as C4:E4:G4, or {REST} for none"
        if isinstance(raw, str) and not raw.lstrip().startswith("["):
            if len(raw.split()) != 1:
                raise InputError(f"'{short(raw)}' is not one frame; {expected}")
            return frames_of([raw.strip()], expected)[0]
        frame = super().timestep(raw)
        if not ((frame == 0) | (frame == 1)).all():
            raise InputError(f"a frame of other numbers than 0 and 1; {expected}, or 0 or 1 for each of {KEYS} keys")
        return frame

    def front(self, raw):
        """float32 (batch, timesteps, 88) -> the same. Runs in a graph."""
        raw = super().front(raw)
        right = (raw == 0) | (raw == 1) | (raw == self.mask_value)
        message = [f"expected 0 or 1 for each of {KEYS} keys, or {self.mask_value:g} for padding; got", raw]
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(right), message)]):
            return tf.identity(raw)


class NotesAnswer:
    """At every timestep the notes that are likelier to sound than not: each key for itself, sigmoid(output) over a half.

    An answer is a list of frames as text, `["C4:E4:G4", "r"]`. The SavedModel's tensor holds 1 where a key sounds, 0 where
    it does not and -1 at padding, and `lengths` says how many timesteps count.

    Args:
        name: what the answer is called in the SavedModel's signature.
        keys: the keys that can sound, as MIDI numbers: those of the examples that were learned from; `None` for all.
    """

    kind = "notes"
    per_timestep = True
    generated = False

    def __init__(self, name, keys=None):
        self.name, self.keys = name, keys if keys is None else list(keys)

    def describe(self):
        """The back in values that JSON has, for programs that have no TensorFlow."""
        return {"kind": self.kind, "name": self.name, "keys": self.keys, "padding": PADDING}

    def model_arguments(self, architecture):
        return {"outputs": KEYS, "output_activation": None}

    @property
    def able(self):
        """(88,) bool: which keys can sound."""
        return can_sound(self.keys)

    def parse(self, text):
        """The frames that `text` writes, as they are written here."""
        frames = frames_of(text.split(), f"expected frames of notes such as C4:E4:G4, or {REST} for none")
        return texts_of(frames)

    def targets(self, answers):
        """Answers -> targets (batch, timesteps, 88) and their weights (batch, timesteps), 0 at padding and else 1."""
        lengths = np.array([len(answer) for answer in answers])
        targets = np.zeros((len(answers), lengths.max(), KEYS), np.float32)
        for row, answer in zip(targets, answers, strict=True):
            row[: len(answer)] = frames_of(answer)
        return targets, (np.arange(lengths.max()) < lengths[:, None]).astype(np.float32)

    def correct(self, targets, outputs, weights):
        """Targets and outputs (batch, timesteps, 88) -> (batch,) the share of frames that are right in every key, of 1."""
        right = tf.cast(tf.reduce_all((outputs > 0) == (targets > 0), axis=-1), tf.float32)
        return tf.math.divide_no_nan(tf.reduce_sum(right * weights, axis=-1), tf.reduce_sum(weights, axis=-1))

    def costs(self, targets, outputs):
        """Targets and outputs (..., 88) -> (...) minus the logarithm of the probability of what came, in NumPy.

        Each key is there or not independently of the others, given what came before: the sum of 88 binary cross-entropies.
        """
        outputs = outputs.astype(np.float64)
        return (np.logaddexp(0, outputs) - targets * outputs).sum(axis=-1)

    def back(self, outputs, inputs):
        """Outputs (batch, timesteps, 88) and what the model was given -> a dict of named answers. Runs in a graph."""
        used = tf.reduce_any(inputs != PADDING, axis=-1)
        sounds = tf.cast((outputs > 0) & tf.constant(self.able), tf.int64)
        sounds = tf.where(used[:, :, None], sounds, tf.constant(-1, tf.int64))
        return {self.name: sounds, "lengths": tf.reduce_sum(tf.cast(used, tf.int64), axis=1)}

    def answers(self, named):
        """What `back` gave -> a list of answers."""
        return [texts_of(row[:length]) for row, length in zip(named[self.name], named["lengths"], strict=True)]


def can_sound(keys):
    """MIDI numbers, or `None` for all -> (88,) bool."""
    return np.isin(np.arange(LOWEST, LOWEST + KEYS), range(LOWEST, LOWEST + KEYS) if keys is None else keys)


def started(frames):
    """The frames of a piece with the silence before them."""
    return np.concatenate([np.zeros((1, KEYS), np.float32), frames])


def on_keys(sounds):
    """(timesteps, 128) of what MIDI numbers sound -> float32 (timesteps, 88).

    Raises:
        InputError: one is beyond the piano's keys.
    """
    outside = sounds.any(axis=0)
    outside[LOWEST : LOWEST + KEYS] = False
    if outside.any():
        raise InputError(
            f"note {outside.argmax()} is none of the piano's; expected {LOWEST} (A0) to {LOWEST + KEYS - 1} (C8)"
        )
    return sounds[:, LOWEST : LOWEST + KEYS].astype(np.float32)


def texts_of(frames):
    """(timesteps, 88) -> a list of frames as text, `C4:E4:G4` or `r`."""
    return [_text(row.tobytes()) for row in np.packbits(np.asarray(frames) > 0, axis=1)]


def frames_of(texts, expected=""):
    """A list of frames as text -> float32 (timesteps, 88).

    Raises:
        InputError: there are none, or one is no such text.
    """
    if not texts:
        raise InputError(f"there are no notes; {expected}")
    distinct = {text: i for i, text in enumerate(dict.fromkeys(texts))}  # few, in long pieces and in many
    rows = np.zeros((len(distinct), KEYS), np.float32)
    for row, text in zip(rows, distinct, strict=True):
        keys = _keys(text)
        if keys is None:
            where = texts.index(text) + 1
            raise InputError(f"'{short(text)}' at timestep {where} is no notes of a piano; {expected}")
        row[keys] = 1
    return rows[[distinct[text] for text in texts]]


@functools.lru_cache(maxsize=2**16)
def _keys(text):
    """The keys, from 0, of one frame as text; `None` where it is none."""
    if text == REST:
        return []
    keys = []
    for note in text.split(":"):
        match = _NOTE.fullmatch(note)
        if match is None:
            return None
        step, sign, octave, number = match.groups()
        number = int(number) if number else 12 * (int(octave) + 1) + _STEPS[step.lower()] + {"#": 1, "b": -1, "": 0}[sign]
        if not LOWEST <= number < LOWEST + KEYS:
            return None
        keys.append(number - LOWEST)
    return keys


@functools.lru_cache(maxsize=2**16)
def _text(packed):
    """One frame as text, of the bits of its keys."""
    notes = [key + LOWEST for key in np.flatnonzero(np.unpackbits(np.frombuffer(packed, np.uint8))).tolist()]
    return ":".join(f"{NAMES[note % 12]}{note // 12 - 1}" for note in notes) or REST
