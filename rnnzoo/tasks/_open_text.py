"""Text of whatever characters: those that are not in the alphabet share one token."""

import numbers

from rnnzoo.errors import InputError
from rnnzoo.tasks._inputs import TextInput, short
from rnnzoo.tasks._tensorflow import tf


class OpenTextInput(TextInput):
    """A string of any characters: (batch,) strings -> (batch, timesteps) token ids.

    Id 0 is padding, id k the k-th character of the alphabet, and the id after its last one every other character. Examples
    to learn from have such characters too, so that the token has learned what to make of them.

    Args:
        name: what the input is called, in messages and in the SavedModel's signature.
        alphabet: the characters that have an id of their own.
        hint: what would be right, in words.
        example: a string that is right.
    """

    open = True

    def __init__(self, name, alphabet, hint, example):
        super().__init__(name, alphabet, "(?s).+", hint, example)

    @property
    def unknown(self):
        """The id of every character that is not in the alphabet."""
        return 1 + len(self.alphabet)

    @property
    def vocabulary_size(self):
        """Padding, the alphabet, and the unknown."""
        return 2 + len(self.alphabet)

    def describe(self):
        """See `TextInput`."""
        return {**super().describe(), "unknown": self.unknown}

    def check(self, raw):
        """`raw` as the string that the front takes; what is no Unicode becomes U+FFFD, which is an unknown character.

        Raises:
            InputError: it is empty, or no text.
        """
        if isinstance(raw, bytes):
            raw = raw.decode("utf-8", "replace")
        if not isinstance(raw, str):
            raise InputError(f"{type(raw).__name__} {raw!r} is no text; expected {self.hint}")
        if not raw:
            raise InputError(f"the {self.name} is empty; expected {self.hint}, for example {self.example}")
        # Halves of surrogate pairs, which a command line that is no UTF-8 leaves, cannot be written as UTF-8.
        return raw.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _character(self, symbol, position, padded):
        if isinstance(symbol, numbers.Real) and not isinstance(symbol, bool) and symbol == self.unknown:
            return "\ufffd"
        return super()._character(symbol, position, padded)

    def timestep(self, raw):
        """One timestep, a character or its number in a row (see `join`) -> its token id.

        Raises:
            InputError: it is not one character.
        """
        raw = self.check(raw if isinstance(raw, str | bytes) else self._character(raw, None, padded=False))
        if len(raw) != 1:
            raise InputError(f"'{short(raw)}'; expected one character of {self.hint}, for example {self.example[0]}")
        return self.alphabet.index(raw) + 1 if raw in self.alphabet else self.unknown

    def front(self, raw):
        """(batch,) strings -> (batch, timesteps) int32 token ids, right-padded with 0. Runs in a graph."""
        some = tf.debugging.Assert(tf.reduce_all(tf.strings.length(raw) > 0), [f"expected {self.hint}; got an empty string"])
        with tf.control_dependencies([some]):
            points = tf.strings.unicode_decode(raw, "UTF-8")
        table = [self.unknown] * (max(map(ord, self.alphabet)) + 2)  # the last entry stands for all larger code points
        for index, character in enumerate(self.alphabet, 1):
            table[ord(character)] = index
        ids = tf.gather(tf.constant(table, tf.int32), tf.minimum(points.flat_values, len(table) - 1))
        return points.with_flat_values(ids).to_tensor()
