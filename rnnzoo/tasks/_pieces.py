"""Text as pieces of words: byte-pair encoding, learned from texts, and the answer that is written piece by piece."""

import collections
import functools
import heapq
import itertools
import re

import numpy as np

from rnnzoo.errors import InputError
from rnnzoo.tasks._answers import TextAnswer
from rnnzoo.tasks._inputs import short
from rnnzoo.tasks._tensorflow import tf

# What pieces never reach over: letters (and an apostrophe that ends them, as in `l'eau`), digits one by one, or any other
# character alone; each with the blank before it.
_PARTS = re.compile(r" ?(?:[^\W\d_]+['’]?|.)|.", re.DOTALL)


def parts(text):
    """A text in parts within which there are pieces; side by side they are the text."""
    return _PARTS.findall(text)


def learn_pieces(texts, most):
    """The pieces of texts by byte-pair encoding (Sennrich, Haddow and Birch 2016), at most so many.

    Every character is one; then, again and again, the two pieces that stand side by side most often become a new one, of
    those that are as frequent the ones that come first in the alphabet, as long as any two do so more than once.

    Returns:
        A list: the characters in order, then the others in the order in which they were made.
    """
    counts = collections.Counter(part for text in texts for part in parts(text))
    words, pieces = [list(word) for word in counts], sorted(set("".join(counts)))
    times, known = list(counts.values()), set(pieces)
    pairs, where = collections.Counter(), collections.defaultdict(set)
    for i, word in enumerate(words):
        for pair in itertools.pairwise(word):
            pairs[pair] += times[i]
            where[pair].add(i)
    heap = [(-count, pair) for pair, count in pairs.items()]
    heapq.heapify(heap)
    while heap and len(pieces) < most:
        count, pair = heapq.heappop(heap)
        if pairs[pair] != -count:  # it has changed since
            continue
        if count >= -1:
            break
        touched = set()
        for i in where.pop(pair):
            for old in itertools.pairwise(words[i]):
                pairs[old] -= times[i]
                touched.add(old)
            words[i] = _merged(words[i], pair)
            for new in itertools.pairwise(words[i]):
                pairs[new] += times[i]
                where[new].add(i)
                touched.add(new)
        for one in touched:
            heapq.heappush(heap, (-pairs[one], one))
        if "".join(pair) not in known:
            known.add("".join(pair))
            pieces.append("".join(pair))
    return pieces


def _merged(word, pair):
    """A word's pieces with every such pair as one."""
    found, i = [], 0
    while i < len(word):
        both = tuple(word[i : i + 2]) == pair
        found.append("".join(pair) if both else word[i])
        i += 1 + both
    return found


class PiecesAnswer(TextAnswer):
    """A text, written piece by piece up to an end token; see `TextAnswer`, whose characters are pieces here.

    Args:
        name: what the answer is called in the SavedModel's signature.
        pieces: what `learn_pieces` gave; `None` before they are learned from examples.
        most: how many pieces there are at the most, and the model is made for before they are learned.
        max_length: how many pieces are written at the most.
    """

    def __init__(self, name, pieces, most, max_length):
        super().__init__(name, range(most) if pieces is None else tuple(pieces), max_length)
        self.learned = pieces is not None
        self._cut = functools.lru_cache(maxsize=100_000)(self._pieces_of)

    def describe(self):
        """See `TextAnswer`."""
        return {**super().describe(), "alphabet": list(self.alphabet) if self.learned else None}

    def pieces(self, text):
        """The pieces of a text, the earliest made first: as they were when they were learned.

        Raises:
            InputError: a character is none of them.
        """
        return [piece for part in parts(text) for piece in self._cut(part)]

    def parse(self, text):
        """The text itself, if it can be written."""
        if not text:
            raise InputError("the answer is empty")
        if self.learned and len(self.pieces(text)) > self.max_length:
            raise InputError(f"the answer '{short(text)}' has over {self.max_length} pieces, and no more can be written")
        return text

    def targets(self, answers):
        """Answers -> token ids with the end token (batch, timesteps), 0 after it, and their weights."""
        rows = [[*map(self._ids.__getitem__, self.pieces(answer)), self.end_token] for answer in answers]
        ids = np.zeros((len(rows), max(map(len, rows))), np.int32)
        for row, found in zip(ids, rows, strict=True):
            row[: len(found)] = found
        return ids, (ids != 0).astype(np.float32)

    def back(self, ids, inputs):
        """Decoded token ids (batch, timesteps) -> a dict of named answers. Runs in a graph."""
        # 0 after the end token, which is no text itself.
        return {self.name: tf.strings.reduce_join(tf.gather(tf.constant(["", *self.alphabet, ""]), ids), axis=-1)}

    @functools.cached_property
    def _ids(self):
        return {piece: i for i, piece in enumerate(self.alphabet, 1)}

    def _pieces_of(self, part):
        found = list(part)
        for position, character in enumerate(found, 1):
            if character not in self._ids:
                raise InputError(f"'{short(character)}' at position {position} of '{short(part)}' cannot be written")
        while len(found) > 1:
            ids = [self._ids.get("".join(pair), self.end_token) for pair in itertools.pairwise(found)]
            if min(ids) == self.end_token:
                break
            at = ids.index(min(ids))
            found[at : at + 2] = ["".join(found[at : at + 2])]
        return tuple(found)
