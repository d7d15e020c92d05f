"""Text whose every character comes with the one before it."""

import collections
import itertools

import numpy as np

from rnnzoo.errors import InputError
from rnnzoo.tasks._open_text import OpenTextInput
from rnnzoo.tasks._tensorflow import tf

# What stands before a text's first character, in pairs, and for a character that is not in the alphabet.
BEFORE, UNKNOWN = " ", "\ufffd"


class PairsInput(OpenTextInput):
    """A string of any characters: (batch,) strings -> (batch, timesteps, 2) ids of each character and of its pair.

    A character's id is that of `OpenTextInput`. Its pair is it and the character before it, a space before the first, both
    in lower case; the k-th pair that is known has the k-th id after the unknown character's, and one that is not has 0,
    which is nothing.

    Args:
        name: what the input is called, in messages and in the SavedModel's signature.
        alphabet: the characters that have an id of their own.
        pairs: the pairs that have, each a text of two characters; `None` before they are learned from examples.
        hint: what would be right, in words.
        example: a string that is right.
        most: how many pairs there are at the most, and the model is made for before they are learned.
    """

    kind = "pairs"

    def __init__(self, name, alphabet, pairs, hint, example, most):
        super().__init__(name, alphabet, hint, example)
        self.pairs, self.most = None if pairs is None else list(pairs), most

    @property
    def vocabulary_size(self):
        """Padding, the alphabet, the unknown, and the pairs."""
        return 2 + len(self.alphabet) + (self.most if self.pairs is None else len(self.pairs))

    def model_arguments(self, architecture):
        return {"vocabulary_size": self.vocabulary_size, "bag": 2}

    def describe(self):
        """See `TextInput`."""
        return {**super().describe(), "pairs": self.pairs}

    def timestep(self, raw):
        """Refused: one character alone is no timestep.

        Raises:
            InputError: always.
        """
        raise InputError("a timestep is a character and the one before it; expected a whole text")

    def front(self, raw):
        """(batch,) strings -> (batch, timesteps, 2) int32 ids, right-padded with 0. Runs in a graph."""
        ids = super().front(raw)
        before = tf.pad(ids[:, :-1], [[0, 0], [1, 0]])
        table = pair_table(self.alphabet, self.pairs or [])
        pairs = tf.gather(tf.constant(table.ravel()), before * len(table) + ids)
        return tf.stack([ids, pairs], axis=-1)


def pair_table(alphabet, pairs):
    """(ids, ids) int32: the id of the pair that a character's id and that of the one before it make, the earlier first."""
    characters = [BEFORE, *map(_lower, alphabet), UNKNOWN]
    known = {pair: i for i, pair in enumerate(pairs, len(characters))}
    table = [[known.get(first + second, 0) for second in characters] for first in characters]
    table = np.array(table, np.int32)
    table[:, 0] = 0  # nothing comes at padding
    return table


def common_pairs(texts, alphabet, least):
    """The pairs that at least so many of the texts have, in order."""
    known = set(alphabet)
    counts = collections.Counter()
    for text in texts:
        plain = [BEFORE, *(_lower(character) if character in known else UNKNOWN for character in text)]
        counts.update({first + second for first, second in itertools.pairwise(plain)})
    return sorted(pair for pair, count in counts.items() if count >= least)


def _lower(character):
    """Its lower case, of which the first character counts where there are two."""
    return character.lower()[:1]
