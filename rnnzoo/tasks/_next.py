"""The answer of a language model: at every character of a text, the likeliest one to come after it."""

import numpy as np

from rnnzoo.errors import InputError
from rnnzoo.tasks._inputs import short
from rnnzoo.tasks._tensorflow import tf


class NextCharacterAnswer:
    """A text as long as the input, whose character at each timestep is the likeliest after those up to there.

    Output k stands for the k-th character of the alphabet, from 0; fed back, it is token id k + 1.

    Args:
        name: what the answer is called in the SavedModel's signature.
        alphabet: the characters that can come.
    """

    kind = "characters"
    per_timestep = True
    generated = False

    def __init__(self, name, alphabet):
        self.name, self.alphabet = name, alphabet

    @property
    def labels(self):
        """What each output stands for."""
        return list(self.alphabet)

    def describe(self):
        """The back in values that JSON has, for programs that have no TensorFlow."""
        return {"kind": self.kind, "name": self.name, "labels": self.labels}

    def model_arguments(self, architecture):
        return {"outputs": len(self.alphabet)}

    def parse(self, text):
        """The text itself, if it can be an answer."""
        if not text:
            raise InputError("the answer is empty")
        for position, character in enumerate(text, 1):
            if character not in self.alphabet:
                raise InputError(f"'{short(character)}' at position {position} of the answer '{short(text)}' never comes")
        return text

    def targets(self, answers):
        """Answers -> numbers of characters (batch, timesteps), 0 after the end, and their weights."""
        index = {character: i for i, character in enumerate(self.alphabet)}
        lengths = np.array([len(answer) for answer in answers])
        targets = np.zeros((len(answers), lengths.max()), np.int32)
        for row, answer in zip(targets, answers, strict=True):
            row[: len(answer)] = [index[character] for character in answer]
        return targets, (np.arange(lengths.max()) < lengths[:, None]).astype(np.float32)

    def correct(self, targets, outputs, weights):
        """Targets (batch, timesteps), outputs (batch, timesteps, characters) -> (batch,) bool. Runs in a graph."""
        right = tf.argmax(outputs, axis=-1, output_type=tf.int32) == targets
        return tf.reduce_all(right | (weights == 0), axis=-1)

    def back(self, outputs, inputs):
        """Outputs (batch, timesteps, characters) and token ids -> a dict of named answers. Runs in a graph."""
        lengths = tf.reduce_sum(tf.cast(inputs != 0, tf.int32), axis=1)
        points = tf.gather(tf.constant([*map(ord, self.alphabet)]), tf.argmax(outputs, axis=-1))
        return {self.name: tf.strings.unicode_encode(tf.RaggedTensor.from_tensor(points, lengths), "UTF-8")}

    def answers(self, named):
        """What `back` gave -> a list of strings."""
        return [text.decode() for text in named[self.name].tolist()]
