"""The answer of a language model: at every character of a text, the likeliest one to come after it."""

from rnnzoo.errors import InputError
from rnnzoo.tasks._answers import control, quoted
from rnnzoo.tasks._inputs import short
from rnnzoo.tasks._labels import LabelsAnswer
from rnnzoo.tasks._tensorflow import tf


class NextCharacterAnswer(LabelsAnswer):
    """A text as long as the input, whose character at each timestep is the likeliest after those up to there.

    Output k stands for the k-th character of the alphabet, from 0; fed back, it is token id k + 1.

    Args:
        name: what the answer is called in the SavedModel's signature.
        alphabet: the characters that can come.
        open: whether any can: of examples that they are to be learned from.
    """

    kind = "characters"

    def __init__(self, name, alphabet, open=False):
        super().__init__(name, alphabet, joined=True)
        self.alphabet, self.open = alphabet, open

    def describe(self):
        """The back in values that JSON has, for programs that have no TensorFlow."""
        return {"kind": self.kind, "name": self.name, "labels": self.labels}

    def parse(self, text):
        """The text itself, if it can be an answer."""
        if not text:
            raise InputError("the answer is empty")
        for position, character in enumerate(text, 1):
            if not self.comes(character):
                raise InputError(f"{quoted(character)} at position {position} of the answer '{short(text)}' never comes")
        return text

    def comes(self, character):
        """Whether a character can be an answer."""
        return not control(character) if self.open else character in self.alphabet

    def back(self, outputs, inputs):
        """Outputs (batch, timesteps, characters) and token ids -> a dict of named answers. Runs in a graph."""
        lengths = tf.reduce_sum(tf.cast(inputs != 0, tf.int32), axis=1)
        points = tf.gather(tf.constant([*map(ord, self.alphabet)]), tf.argmax(outputs, axis=-1))
        return {self.name: tf.strings.unicode_encode(tf.RaggedTensor.from_tensor(points, lengths), "UTF-8")}

    def answers(self, named):
        """What `back` gave -> a list of strings."""
        return [text.decode() for text in named[self.name].tolist()]
