"""A label at every timestep: phases of a movement, tags of words, symbols that are said again."""

import numpy as np

from rnnzoo.errors import InputError
from rnnzoo.tasks._inputs import short
from rnnzoo.tasks._tensorflow import tf


class LabelsAnswer:
    """One of a few labels at every timestep, the one with the largest output.

    The SavedModel's tensor holds texts, empty ones at padding, and `lengths` says how many timesteps count.

    Args:
        name: what the answer is called in the SavedModel's signature.
        labels: the labels, texts.
        padding: what every number of a padded timestep of the model's input is: 0 of token ids; `None` where there is none.
        joined: whether an answer is one text of all labels, which are characters, and not a list.
        open: whether a text that is none of them is a label, too: of examples that labels are still to be learned from.
    """

    kind = "labels"
    per_timestep = True
    generated = False

    def __init__(self, name, labels, padding=0, joined=False, open=False):
        self.name, self.labels, self.padding, self.joined, self.open = name, list(labels), padding, joined, open

    def describe(self):
        """The back in values that JSON has, for programs that have no TensorFlow."""
        return {key: getattr(self, key) for key in ("kind", "name", "labels", "padding")}

    def model_arguments(self, architecture):
        return {"outputs": len(self.labels)}

    def parse(self, text):
        """The labels that `text` writes, with spaces between them unless they are joined."""
        labels = list(text) if self.joined else text.split()
        if not labels:
            raise InputError("the answer is empty")
        for t, label in enumerate(labels, 1):
            if label not in self.labels and not self.open:
                raise InputError(
                    f"'{short(label)}' (timestep {t}) is no label; expected one of {', '.join(map(repr, self.labels))}"
                )
        return text if self.joined else labels

    def targets(self, answers):
        """Answers -> class numbers (batch, timesteps), 0 at padding, and their weights, 0 there and else 1."""
        index = {label: i for i, label in enumerate(self.labels)}
        lengths = np.array([len(answer) for answer in answers])
        targets = np.zeros((len(answers), lengths.max()), np.int32)
        for row, answer in zip(targets, answers, strict=True):
            row[: len(answer)] = [index[label] for label in answer]
        return targets, (np.arange(lengths.max()) < lengths[:, None]).astype(np.float32)

    def correct(self, targets, outputs, weights):
        """Targets (batch, timesteps), outputs (batch, timesteps, labels) -> (batch,) bool: every one. Runs in a graph."""
        right = tf.argmax(outputs, axis=-1, output_type=tf.int32) == targets
        return tf.reduce_all(right | (weights == 0), axis=-1)

    def back(self, outputs, inputs):
        """Outputs (batch, timesteps, labels) and what the model was given -> a dict of named answers. Runs in a graph."""
        used = tf.ones(tf.shape(outputs)[:2], bool)
        if self.padding is not None:
            used = inputs != tf.cast(self.padding, inputs.dtype)
            used = used if len(inputs.shape) == 2 else tf.reduce_any(used, axis=-1)
        labels = tf.gather(tf.constant(self.labels), tf.argmax(outputs, axis=-1))
        return {self.name: tf.where(used, labels, ""), "lengths": tf.reduce_sum(tf.cast(used, tf.int64), axis=1)}

    def answers(self, named):
        """What `back` gave -> a list of answers: lists of labels, or texts."""
        rows = [row[:length].tolist() for row, length in zip(named[self.name], named["lengths"], strict=True)]
        rows = [[label.decode() if isinstance(label, bytes) else label for label in row] for row in rows]
        return ["".join(row) for row in rows] if self.joined else rows


class EachLabel(LabelsAnswer):
    """Labels of which the share that is right counts, not whether all of a sequence are."""

    def correct(self, targets, outputs, weights):
        """Targets (batch, timesteps), outputs (batch, timesteps, labels) -> (batch,) the share that is right, of 1."""
        right = tf.cast(tf.argmax(outputs, axis=-1, output_type=tf.int32) == targets, tf.float32)
        return tf.math.divide_no_nan(tf.reduce_sum(right * weights, axis=-1), tf.reduce_sum(weights, axis=-1))
