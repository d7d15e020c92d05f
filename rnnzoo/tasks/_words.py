"""Text as words: how it is taken apart, in Python and in a TensorFlow graph alike, and the input that has a vocabulary."""

import collections
import functools
import re

from rnnzoo.errors import InputError
from rnnzoo.tasks._inputs import TextInput, short
from rnnzoo.tasks._tensorflow import tf

# Code points up to here are looked up in a table: all that is a space in Unicode, and the scripts that have two cases.
TABLE = 0x3040
CASED = 0x590  # Latin, Greek, Cyrillic and Armenian; beyond, versions of Unicode differ in what the other case is
PUNCTUATION = '!"#$%&()*+,./:;<=>?@[\\]^_`{|}~¡§«¶·»¿‐‒–—…‹›。、'
WITHIN = "'-"  # parts of a word between its letters, words of their own around it
LIKE = {"‘": "'", "’": "'", "“": '"', "”": '"', "‑": "-"}
# What is done to a text with a space at either end, whose words are then what stands between spaces: patterns that mean
# the same to Python and to RE2.
STEPS = (
    (f"([{re.escape(PUNCTUATION)}])", r" \1 "),
    (r"(--+|''+)", r" \1 "),
    (r"( ['-])([^ '-])", r"\1 \2"),
    (r"([^ '-])(['-] )", r"\1 \2"),
)


def words(text):
    """The words of a text, in order.

    Letters become lower case (one for one: those whose lower case is of several characters stay), what Unicode calls a
    space and control characters separate, curly quotation marks become straight, and punctuation marks are words of their
    own, but for apostrophes and hyphens between letters: `It’s a "must-see"!` -> it's a " must-see " !
    """
    text = f" {text.translate(plain_characters())} "
    for pattern, replacement in STEPS:
        text = re.sub(pattern, replacement, text)
    return [word for word in text.split(" ") if word]


@functools.cache
def plain_characters():
    """Code point -> the one that takes its place; without those that stay."""
    found = {}
    for point in range(TABLE):
        character = chr(point)
        plain = LIKE.get(character, character.lower() if point < CASED else character)
        if character.isspace() or point < 0x20 or 0x7F <= point < 0xA0:
            plain = " "
        if plain != character and len(plain) == 1:
            found[point] = ord(plain)
    return found


def split_words(raw):
    """(batch,) strings -> ragged (batch, words) strings, as `words`. Runs in a graph."""
    text = translated(raw, plain_characters())
    text = tf.strings.join([" ", text, " "])
    for pattern, replacement in STEPS:
        text = tf.strings.regex_replace(text, pattern, replacement)
    return tf.strings.split(text)


def translated(raw, table):
    """(batch,) strings -> the same with other characters, as `str.translate`; code points below `TABLE`. Runs in a graph."""
    points = tf.strings.unicode_decode(raw, "UTF-8")
    flat = points.flat_values
    others = tf.constant([table.get(point, point) for point in range(TABLE)], tf.int32)
    others = tf.gather(others, tf.minimum(flat, TABLE - 1))
    return tf.strings.unicode_encode(points.with_flat_values(tf.where(flat < TABLE, others, flat)), "UTF-8")


def look_up(flat, vocabulary, unknown):
    """(words,) strings -> (words,) int32: k of the k-th of a vocabulary, `unknown` of what is not in it. Runs in a graph.

    By a search in sorted hashes: a table would be a resource, which what exports the graph has to keep track of.
    """
    if not vocabulary:
        return tf.fill(tf.shape(flat), unknown)
    with tf.init_scope():
        hashes = tf.strings.to_hash_bucket_fast(tf.constant(vocabulary), 2**62).numpy()
    order = hashes.argsort()
    places = tf.searchsorted(tf.constant(hashes[order]), tf.strings.to_hash_bucket_fast(flat, 2**62))
    places = tf.minimum(places, len(order) - 1)
    same = tf.gather(tf.constant([vocabulary[i] for i in order]), places) == flat
    return tf.where(same, tf.gather(tf.constant(order + 1, tf.int32), places), unknown)


def common_words(texts, most, rare):
    """The vocabulary of texts: at most so many words, each in the texts more than `rare` times, the commonest first."""
    counts = collections.Counter(word for text in texts for word in words(text))
    ranked = sorted((-count, word) for word, count in counts.items() if count > rare)
    return [word for _, word in ranked[:most]]


class WordsInput(TextInput):
    """A text as its words: (batch,) strings -> (batch, timesteps) word ids.

    Id 0 is padding, id k the k-th word of the vocabulary, and the last id every other word. See `words` for what a word is.

    Args:
        name: what the input is called, in messages and in the SavedModel's signature.
        hint: what would be right, in words.
        example: a text that is right.
        vocabulary: the words that have an id of their own; `None` before it is learned from examples.
        most: how many words the vocabulary has at the most, and the model is made for before it is learned.
    """

    kind = "words"
    open = True

    def __init__(self, name, hint, example, vocabulary=None, most=1):
        super().__init__(name, None if vocabulary is None else tuple(vocabulary), "(?s).+", hint, example)
        self.most = most

    @property
    def vocabulary(self):
        """The words that have an id of their own, in the order of their ids; none before they are learned."""
        return self.alphabet or ()

    @property
    def vocabulary_size(self):
        """Padding, the words, and the unknown."""
        return 2 + (self.most if self.alphabet is None else len(self.alphabet))

    @property
    def unknown(self):
        """The id of every word that is not in the vocabulary."""
        return self.vocabulary_size - 1

    def describe(self):
        """See `TextInput`; `split` are the patterns that take a text apart and what replaces them, see `words`."""
        found = {key: getattr(self, key) for key in ("kind", "name", "hint", "example", "vocabulary_size", "unknown")}
        vocabulary = None if self.alphabet is None else list(self.alphabet)
        return {**found, "vocabulary": vocabulary, "split": [list(step) for step in STEPS], "padding": 0}

    def check(self, raw):
        """`raw` as the string that the front takes; what is no Unicode becomes U+FFFD.

        Raises:
            InputError: it is no text, or has no words.
        """
        if isinstance(raw, bytes):
            raw = raw.decode("utf-8", "replace")
        if not isinstance(raw, str):
            raise InputError(f"{type(raw).__name__} {raw!r} is no text; expected {self.hint}")
        # Halves of surrogate pairs, which a command line that is no UTF-8 leaves, cannot be written as UTF-8.
        raw = raw.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if not raw.translate(plain_characters()).strip(" "):
            raise InputError(f"the {self.name} is empty; expected {self.hint}, for example {self.example}")
        return raw

    def join(self, symbols, padded):
        """A row of words or word ids -> the text that they make."""
        symbols = [s.decode("utf-8", "replace") if isinstance(s, bytes) else s for s in symbols]
        if padded:
            used = [i for i, symbol in enumerate(symbols) if symbol not in ("", 0)]
            symbols = symbols[used[0] : used[-1] + 1] if used else []
        return " ".join(self._character(symbol, position, padded) for position, symbol in enumerate(symbols, 1))

    def _character(self, symbol, position, padded):
        if not isinstance(symbol, str | bool) and symbol == self.unknown:
            return "\ufffd"
        if self.alphabet is None and not isinstance(symbol, str):
            raise InputError(f"{symbol!r} is a word's id, and there is no vocabulary before training")
        return super()._character(symbol, position, padded)

    def timestep(self, raw):
        """One timestep, a word or its id -> its id.

        Raises:
            InputError: it is not one word.
        """
        raw = raw if isinstance(raw, str | bytes) else self._character(raw, None, padded=False)
        found = words(self.check(raw))
        if len(found) != 1:
            raise InputError(
                f"'{short(raw)}' is {len(found)} words ({', '.join(map(short, found))}); expected one a timestep"
            )
        return self._ids.get(found[0], self.unknown)

    @functools.cached_property
    def _ids(self):
        return {word: i for i, word in enumerate(self.vocabulary, 1)}

    def steps(self, checked):
        """How many words one checked text has."""
        return len(words(checked))

    def front(self, raw):
        """(batch,) strings -> (batch, timesteps) int32 word ids, right-padded with 0. Runs in a graph."""
        found = split_words(raw)
        some = tf.debugging.Assert(tf.reduce_all(found.row_lengths() > 0), [f"expected {self.hint}; got one without words"])
        with tf.control_dependencies([some]):
            return found.with_flat_values(look_up(found.flat_values, self.vocabulary, self.unknown)).to_tensor()
