"""The input of what says nothing: every example begins alike, and all that is learned is how answers are distributed."""

from rnnzoo.errors import InputError
from rnnzoo.tasks._inputs import short
from rnnzoo.tasks._tensorflow import tf


class ConstantInput:
    """The word `start`, the one input that there is: (batch,) strings -> (batch, 1) ones.

    Args:
        name: what the input is called, in messages and in the SavedModel's signature.
        what: what begins with it, in words.
    """

    kind = "constant"
    pads = True
    example = "start"

    def __init__(self, name, what):
        self.name = name
        self.hint = f"the word {self.example}: nothing else goes into {what}"

    @property
    def spec(self):
        return tf.TensorSpec([None], tf.string)

    def describe(self):
        """The front in values that JSON has, for programs that have no TensorFlow."""
        return {key: getattr(self, key) for key in ("kind", "name", "hint", "example")}

    def model_arguments(self, architecture):
        return {"features": 1}

    def check(self, raw):
        """`raw`, if it is the word.

        Raises:
            InputError: it is not.
        """
        if isinstance(raw, bytes):
            raw = raw.decode("utf-8", "replace")
        if raw != self.example:
            given = "nothing" if raw == "" else f"'{short(str(raw))}'"
            raise InputError(f"{given}; expected {self.hint}")
        return raw

    def join(self, symbols, padded):
        """A row of characters -> the word they write."""
        return "".join(s.decode("utf-8", "replace") if isinstance(s, bytes) else str(s) for s in symbols)

    def tensor(self, checked):
        """A list of what `check` returned -> (batch,) strings."""
        return tf.constant(checked, tf.string, shape=(len(checked),))

    def steps(self, checked):
        """One input is one timestep."""
        return 1

    def front(self, raw):
        """(batch,) strings -> (batch, 1) float32, ones. Runs in a graph."""
        right = raw == self.example
        # Cut, and made UTF-8: a message that is neither short nor text could not be read, nor raised by Python.
        wrong = tf.strings.unicode_transcode(tf.strings.substr(tf.boolean_mask(raw, ~right), 0, 40), "UTF-8", "UTF-8")
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(right), [f"expected {self.hint}; got", wrong])]):
            return tf.ones([tf.shape(raw)[0], 1])
