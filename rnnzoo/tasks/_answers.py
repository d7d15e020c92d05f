"""Answers: how the right ones become training targets, and how a model's outputs become answers, in a graph too."""

import re
import unicodedata

import numpy as np

from rnnzoo.errors import InputError
from rnnzoo.tasks._inputs import short
from rnnzoo.tasks._tensorflow import tf

# Characters of an answer of a user's own.
LONGEST = 1_000


class NumberAnswer:
    """One whole number, read off one output by rounding.

    Args:
        name: what the answer is called in the SavedModel's signature.
    """

    kind = "number"
    per_timestep = False
    generated = False

    def __init__(self, name):
        self.name = name

    def describe(self):
        """The back in values that JSON has, for programs that have no TensorFlow."""
        return {"kind": self.kind, "name": self.name}

    def model_arguments(self, architecture):
        return {"outputs": 1}

    def parse(self, text):
        """The answer that `text` writes."""
        return _integer(text, "a whole number, for example 16")

    def targets(self, answers):
        """Answers -> targets (batch, 1) and their weights (batch,)."""
        return np.array(answers, np.float32)[:, None], np.ones(len(answers), np.float32)

    def correct(self, targets, outputs, weights):
        """Targets and outputs (batch, 1) -> (batch,) bool. Runs in a graph."""
        return tf.reduce_all(tf.round(outputs) == targets, axis=-1)

    def back(self, outputs, inputs):
        """Outputs (batch, 1) -> a dict of named answers. Runs in a graph."""
        return {self.name: tf.cast(tf.round(outputs[:, 0]), tf.int64)}

    def answers(self, named):
        """What `back` gave, as NumPy arrays -> a list of answers."""
        return named[self.name].tolist()


class SequenceAnswer:
    """`width` whole numbers at every timestep, read off the outputs by rounding.

    The SavedModel's tensor is padded with -1 (no sum is negative), and `lengths` says how many timesteps count.
    """

    kind = "numbers"
    per_timestep = True
    generated = False

    def __init__(self, name, width=1):
        self.name, self.width = name, width

    def describe(self):
        """The back in values that JSON has, for programs that have no TensorFlow."""
        return {"kind": self.kind, "name": self.name, "width": self.width}

    def model_arguments(self, architecture):
        return {"outputs": self.width}

    def parse(self, text):
        """`1 3 12 16`, or `1:16 3:15 12:13 16:4` where there are several numbers at a timestep."""
        hint = " ".join(":".join(["16"] * self.width) for _ in range(2))
        rows = [tuple(_integer(n, f"for example '{hint}'") for n in step.split(":")) for step in text.split()]
        if not rows or any(len(row) != self.width for row in rows):
            raise InputError(f"'{text}' is no answer; expected whole numbers at every timestep, for example '{hint}'")
        return [row[0] for row in rows] if self.width == 1 else rows

    def targets(self, answers):
        """Answers -> targets (batch, timesteps, width) and their weights (batch, timesteps)."""
        lengths = np.array([len(answer) for answer in answers])
        targets = np.zeros((len(answers), lengths.max(), self.width), np.float32)
        for row, answer in zip(targets, answers, strict=True):
            row[: len(answer)] = np.reshape(answer, (-1, self.width))
        return targets, (np.arange(lengths.max()) < lengths[:, None]).astype(np.float32)

    def correct(self, targets, outputs, weights):
        """Targets and outputs (batch, timesteps, width) -> (batch,) bool: right at every timestep. Runs in a graph."""
        right = tf.reduce_all(tf.round(outputs) == targets, axis=-1)
        return tf.reduce_all(right | (weights == 0), axis=-1)

    def back(self, outputs, inputs):
        """Outputs (batch, timesteps, width) and token ids -> a dict of named answers. Runs in a graph."""
        used = inputs != 0
        numbers = tf.cast(tf.round(outputs), tf.int64)
        numbers = tf.where(used[:, :, None], numbers, -1)
        numbers = numbers[:, :, 0] if self.width == 1 else numbers
        return {self.name: numbers, "lengths": tf.reduce_sum(tf.cast(used, tf.int64), axis=1)}

    def answers(self, named):
        """What `back` gave -> a list of answers: lists of numbers, or of tuples of numbers."""
        rows = [row[:length].tolist() for row, length in zip(named[self.name], named["lengths"], strict=True)]
        return rows if self.width == 1 else [[tuple(step) for step in row] for row in rows]


class LabelAnswer:
    """One of a few labels, the one with the largest output.

    Args:
        name: what the answer is called in the SavedModel's signature.
        labels: the labels.
        open: whether a text that is none of them is an answer, too: of examples that labels are still to be learned from.
    """

    kind = "label"
    per_timestep = False
    generated = False

    def __init__(self, name, labels, open=False):
        self.name, self.labels, self.open = name, list(labels), open

    def describe(self):
        """The back in values that JSON has, for programs that have no TensorFlow."""
        return {"kind": self.kind, "name": self.name, "labels": self.labels}

    def model_arguments(self, architecture):
        return {"outputs": len(self.labels)}

    def parse(self, text):
        """The label that `text` writes."""
        for label in self.labels:
            if str(label) == text:
                return label
        if self.open:
            if not text:
                raise InputError(f"the {self.name} is empty; expected a label")
            return text
        raise InputError(f"'{text}' is no answer; expected one of {', '.join(map(str, self.labels))}")

    def targets(self, answers):
        """Answers -> class numbers (batch,) and their weights (batch,)."""
        index = {str(label): i for i, label in enumerate(self.labels)}
        return np.array([index[str(a)] for a in answers], np.int32), np.ones(len(answers), np.float32)

    def correct(self, targets, outputs, weights):
        """Targets (batch,) and outputs (batch, labels) -> (batch,) bool. Runs in a graph."""
        return tf.argmax(outputs, axis=-1, output_type=tf.int32) == targets

    def back(self, outputs, inputs):
        """Outputs (batch, labels) -> a dict of named answers. Runs in a graph."""
        return {self.name: tf.gather(tf.constant(self.labels), tf.argmax(outputs, axis=-1))}

    def answers(self, named):
        """What `back` gave -> a list of labels."""
        return [one.decode() if isinstance(one, bytes) else one for one in named[self.name].tolist()]


class TextAnswer:
    """A text, written token by token up to an end token.

    Id 0 is padding, id k the k-th character of the alphabet, the last id the end token, which also starts a decoder.

    Args:
        name: what the answer is called in the SavedModel's signature.
        alphabet: the characters that can occur.
        max_length: how many characters are written at the most.
        open: whether any text of up to `LONGEST` characters is an answer: of examples that both are to be learned from.
    """

    kind = "text"
    per_timestep = True
    generated = True

    def __init__(self, name, alphabet, max_length, open=False):
        self.name, self.alphabet, self.max_length, self.open = name, alphabet, max_length, open
        self.end_token = len(alphabet) + 1
        self.vocabulary_size = len(alphabet) + 2

    def describe(self):
        """The back in values that JSON has, for programs that have no TensorFlow."""
        return {key: getattr(self, key) for key in ("kind", "name", "alphabet", "max_length", "end_token")}

    def model_arguments(self, architecture):
        if architecture == "one_to_many":
            return {"outputs": self.vocabulary_size, "timesteps": self.max_length + 1, "feedback": "token"}
        return {"outputs": self.vocabulary_size, "target_vocabulary_size": self.vocabulary_size}

    def parse(self, text):
        """The text itself, if it can be written."""
        if not text:
            raise InputError("the answer is empty")
        for position, character in enumerate(text, 1):
            if control(character) if self.open else character not in self.alphabet:
                raise InputError(
                    f"{quoted(character)} at position {position} of the answer '{short(text)}' cannot be written"
                )
        most = LONGEST if self.open else self.max_length
        if len(text) > most:
            raise InputError(f"the answer '{short(text)}' has {len(text)} characters; at most {most} can be written")
        return text

    def pieces(self, text):
        """What a text is written as, token by token: its characters."""
        return [*text]

    def targets(self, answers):
        """Answers -> token ids with the end token (batch, timesteps), 0 after it, and their weights."""
        index = {character: i for i, character in enumerate(self.alphabet, 1)}
        ids = np.zeros((len(answers), max(map(len, answers)) + 1), np.int32)
        for row, answer in zip(ids, answers, strict=True):
            row[: len(answer) + 1] = [index[c] for c in answer] + [self.end_token]
        return ids, (ids != 0).astype(np.float32)

    def correct(self, targets, outputs, weights):
        """Targets (batch, timesteps), outputs (batch, timesteps, ids) -> (batch,) bool: every token. Runs in a graph."""
        right = tf.argmax(outputs, axis=-1, output_type=tf.int32) == targets
        return tf.reduce_all(right | (weights == 0), axis=-1)

    def back(self, ids, inputs):
        """Decoded token ids (batch, timesteps) -> a dict of named answers. Runs in a graph."""
        # Everything before the end token; the rows are filled with 0 after it.
        lengths = tf.reduce_sum(tf.cast((ids != 0) & (ids != self.end_token), tf.int32), axis=1)
        points = tf.gather(tf.constant([0, *map(ord, self.alphabet), 0]), ids)
        return {self.name: tf.strings.unicode_encode(tf.RaggedTensor.from_tensor(points, lengths), "UTF-8")}

    def answers(self, named):
        """What `back` gave -> a list of strings."""
        return [text.decode() for text in named[self.name].tolist()]


def control(character):
    """Whether a character would steer a terminal and stands for nothing that can be seen, a line's end apart."""
    return unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t"


def quoted(character):
    """A character as an error shows it."""
    return f"'{character}'" if character.isprintable() else f"U+{ord(character):04X}"


def _integer(text, hint):
    if not re.fullmatch(r"[+-]?[0-9]{1,15}", text):
        raise InputError(f"'{text}' is no answer; expected {hint}")
    return int(text)
