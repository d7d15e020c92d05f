"""Sentences as tokens, and a token as a bag of ids: of its word, of how that begins and ends, and of its shape."""

import collections
import functools
import itertools
import re

from rnnzoo.errors import InputError
from rnnzoo.tasks._tensorflow import tf
from rnnzoo.tasks._words import CASED, TABLE, WordsInput, look_up, plain_characters, translated

# How many letters of a word's beginning and end have an id at the most, and how many signs of its shape count.
AFFIX, SIGNS = 4, 5
# What a word becomes in the end: patterns that mean the same to Python and to RE2, and what takes their place.
WORDS = ((r"[0-9]", "0"), (r"^https?:.*$", "<url>"))
# What a character is written as in a shape, by its class; 0 is none.
CAPITAL, SMALL, DIGIT, OTHER = range(1, 5)
CLASSES = " Xx0."
_ENDINGS = {"'s": "['’][sS]", "'m": "['’](?:m|d|re|ve|ll|M|D|RE|VE|LL)", "n't": "[nN]['’][tT]"}
# What some corpora take off a token and others leave: name -> what it is alone, what has it, and the step that takes it off.
APART = {
    **{sign: (re.escape(sign), f"{re.escape(sign)}.+", (f"( {re.escape(sign)})([^ ])", r"\1 \2")) for sign in "@#$£€"},
    "%": ("%", ".+%", (r"([^ ])(%) ", r"\1 \2 ")),
    **{name: (text, f".+{text}", (f"([^ ])({text}) ", r"\1 \2 ")) for name, text in _ENDINGS.items()},
}
_OPENING = (r"( ['‘(\[{*])([^ :;=-])", r"\1 \2")
_CLOSING = (
    (r"([^ .][^ .])(\.) ", r"\1 \2 "),  # not that of U.S.
    (r"([^ ])([?,;’'*}\]]) ", r"\1 \2 "),
    (r"([^ :;=])(:) ", r"\1 \2 "),
    (r"([^ :;='-])(\)) ", r"\1 \2 "),
)


def steps(apart):
    """What takes a text apart that has a space at either end: patterns and what replaces them, in order.

    Args:
        apart: names of `APART`.
    """
    return (
        (r'([!"“”«»…|]|--+|\.\.+)', r" \1 "),  # wherever they stand
        (r"([^ :;=-])([:;=][-']?[()DPp*]) ", r"\1 \2 "),  # faces
        (r"( \.)(@)", r"\1 \2"),
        *[_OPENING] * 2,
        *_CLOSING * 3,
        (r" ' (s|m|d|re|ve|ll|S|M|D|RE|VE|LL) ", r" '\1 "),
        (r"&(amp|lt|gt|quot|apos|#[0-9]+) ; ", r"&\1; "),
        *(APART[name][2] for name in APART if name in apart),
    )


def tokens(text, apart):
    """The tokens of a text, in order.

    Where it has tabs, it is tokens with tabs between them. Else it is taken apart at spaces, and punctuation around words
    and what `apart` names are tokens of their own: `"Obama's in Paris."` -> " Obama 's in Paris . "
    """
    text = text.translate(_spaces())
    if "\t" not in text:
        text = f" {text} "
        for pattern, replacement in _compiled(tuple(apart)):
            text = pattern.sub(replacement, text)
        text = text.replace(" ", "\t")
    return [token for token in (part.strip(" ") for part in text.split("\t")) if token]


@functools.cache
def _compiled(apart):
    return [(re.compile(pattern), replacement) for pattern, replacement in steps(apart)]


@functools.cache
def _spaces():
    """Code point -> a space's, of what Unicode calls a space and of control characters, but for the tab."""
    found = {point for point in range(TABLE) if chr(point).isspace() or point < 0x20 or 0x7F <= point < 0xA0}
    return dict.fromkeys(found - {ord("\t")}, ord(" "))


def split_tokens(raw, apart):
    """(batch,) strings -> ragged (batch, tokens) strings, as `tokens`. Runs in a graph."""
    text = translated(raw, _spaces())
    taken = tf.strings.join([" ", text, " "])
    for pattern, replacement in steps(apart):
        taken = tf.strings.regex_replace(taken, pattern, replacement)
    taken = tf.strings.regex_replace(taken, " ", "\t")
    text = tf.where(tf.strings.regex_full_match(text, "(?s).*\t.*"), text, taken)
    parts = tf.strings.split(tf.strings.regex_replace(tf.strings.join(["\t", text, "\t"]), " *\t *", "\t"), "\t")
    return tf.ragged.boolean_mask(parts, parts.with_flat_values(parts.flat_values != ""))


def word(token):
    """A token as a word: in lower case, quotation marks straight, 0 for every digit, and <url> for an address."""
    token = token.translate(plain_characters())
    for pattern, replacement in WORDS:
        token = re.sub(pattern, replacement, token)
    return token


def shape(token):
    """What a token is written in: X for capital letters, x for small ones, 0 for digits, a dot for all else, runs as one.

    `McDonald's` -> XxXx. and no more, since five signs count. Letters are those of the scripts that have two cases.
    """
    classes = (_classes()[min(ord(character), CASED)] for character in token)
    return "".join(CLASSES[one] for one, _ in itertools.groupby(classes))[:SIGNS]


@functools.cache
def _classes():
    """Code point -> CAPITAL, SMALL, DIGIT or OTHER; the last entry stands for all that are larger."""
    found = [OTHER] * (CASED + 1)
    for point in range(CASED):
        character = chr(point)
        if character.isupper() or character.islower():
            found[point] = CAPITAL if character.isupper() else SMALL
        elif character in "0123456789":
            found[point] = DIGIT
    return found


def features(token):
    """What a token's ids are of: its word, the word's first one to four letters, its last ones, and the token's shape.

    A tuple of ten texts; what the word is too short for is empty.
    """
    plain = word(token)
    lengths = [n if n <= len(plain) else 0 for n in range(1, AFFIX + 1)]
    return plain, *(plain[:n] for n in lengths), *(plain[len(plain) - n :] for n in lengths), shape(token)


def rows_of(about):
    """For each of `features`, a dict of text -> id.

    Args:
        about: the description of a `TokensInput`.
    """
    words, prefixes, suffixes, shapes = (about[name] or () for name in ("vocabulary", "prefixes", "suffixes", "shapes"))
    firsts = itertools.accumulate((len(words) + 1, len(prefixes), len(suffixes)), initial=1)
    dicts = [
        {text: i for i, text in enumerate(texts, first)}
        for texts, first in zip((words, prefixes, suffixes, shapes), firsts, strict=True)
    ]
    return [dicts[0], *[dicts[1]] * AFFIX, *[dicts[2]] * AFFIX, dicts[3]]


def learned_features(sentences, apart, least_word, least_affix):
    """The words, prefixes, suffixes and shapes that sentences have so many times, the commonest first; a dict of lists."""
    counts = [collections.Counter() for _ in range(4)]
    for sentence in sentences:
        for token in tokens(sentence, apart):
            plain, *affixes, form = features(token)
            for counter, texts in zip(counts, ([plain], affixes[:AFFIX], affixes[AFFIX:], [form]), strict=True):
                counter.update(texts)
    least = (least_word, least_affix, least_affix, least_affix)
    names = ("vocabulary", "prefixes", "suffixes", "shapes")
    return {
        name: [text for count, text in sorted((-count, text) for text, count in counter.items()) if text and -count >= few]
        for name, counter, few in zip(names, counts, least, strict=True)
    }


def learned_apart(sentences, default):
    """Which names of `APART` stand alone in sentences more often than at a token; as `default` where neither occurs.

    Args:
        sentences: lists of tokens.
        default: names.
    """
    counts = collections.Counter(itertools.chain.from_iterable(sentences))
    found = []
    for name, (alone, within, _) in APART.items():
        sums = [sum(count for token, count in counts.items() if re.fullmatch(one, token)) for one in (alone, within)]
        if sums[0] > sums[1] or (not any(sums) and name in default):
            found.append(name)
    return found


class TokensInput(WordsInput):
    """A sentence as its tokens: (batch,) strings -> (batch, timesteps, 10) ids, a bag for each token.

    The ids are those of `features`: of the word, or of the unknown word, and of the prefixes, suffixes and the shape that
    are known; 0 is nothing. A text with tabs is tokens with tabs between them, any other is taken apart; see `tokens`.

    Args:
        name: what the input is called, in messages and in the SavedModel's signature.
        hint: what would be right, in words.
        example: a text that is right.
        apart: names of `APART`.
        learned: a dict of `vocabulary`, `prefixes`, `suffixes` and `shapes`, lists of texts; `None` before they are learned.
        most: how many ids there are, 0 included, in a model that is made before they are learned.
    """

    kind = "tokens"

    def __init__(self, name, hint, example, apart, learned=None, most=2):
        super().__init__(name, hint, example, None if learned is None else learned["vocabulary"], most)
        self.apart = list(apart)
        self._affixes = {key: None if learned is None else list(learned[key]) for key in ("prefixes", "suffixes", "shapes")}

    @property
    def vocabulary_size(self):
        """Padding, the words, the unknown word, and all else."""
        if self.alphabet is None:
            return self.most
        return 2 + len(self.vocabulary) + sum(map(len, self._affixes.values()))

    @property
    def unknown(self):
        """The id of every word that is not in the vocabulary."""
        return len(self.vocabulary) + 1

    def model_arguments(self, architecture):
        return {"vocabulary_size": self.vocabulary_size, "bag": 2 * AFFIX + 2}

    def describe(self):
        """See `TextInput`; `split` are the patterns that take a text apart and what replaces them, see `steps`."""
        split = [list(step) for step in steps(self.apart)]
        return {**super().describe(), **self._affixes, "apart": self.apart, "split": split}

    def check(self, raw):
        """`raw`, a text or a row of tokens, as the string that the front takes; see `WordsInput`."""
        return super().check(self.join(raw, padded=False) if isinstance(raw, list | tuple) else raw)

    def tokens(self, checked):
        """The tokens of one checked text."""
        return tokens(checked, self.apart)

    def steps(self, checked):
        """How many tokens one checked text has."""
        return len(self.tokens(checked))

    def join(self, symbols, padded):
        """A row of tokens -> the text that they make, with a tab behind each.

        Raises:
            InputError: one is no text, is empty or has a tab.
        """
        symbols = [s.decode("utf-8", "replace") if isinstance(s, bytes) else s for s in symbols]
        while padded and symbols and symbols[-1] == "":
            symbols.pop()
        for position, token in enumerate(symbols, 1):
            if not isinstance(token, str):
                raise InputError(f"{token!r} at position {position} is no token; expected texts")
            if "\t" in token or not token.translate(_spaces()).strip(" "):
                why = "has a tab" if "\t" in token else "is empty"
                raise InputError(f"{token!r} at position {position} is no token: it {why}")
        return "".join(f"{token}\t" for token in symbols)

    def timestep(self, raw):
        """Refused: a token's neighbours on both sides say what it is.

        Raises:
            InputError: always.
        """
        raise InputError("a timestep is a token of a sentence; expected the whole sentence")

    def front(self, raw):
        """(batch,) strings -> (batch, timesteps, 10) int32 ids, right-padded with 0. Runs in a graph."""
        found = split_tokens(raw, self.apart)
        some = tf.debugging.Assert(tf.reduce_all(found.row_lengths() > 0), [f"expected {self.hint}; got one without words"])
        with tf.control_dependencies([some]):
            return found.with_flat_values(self._bags(found.flat_values)).to_tensor()

    def _bags(self, flat):
        """(tokens,) strings -> (tokens, 10) int32 ids."""
        plain = translated(flat, plain_characters())
        for pattern, replacement in WORDS:
            plain = tf.strings.regex_replace(plain, pattern, replacement)
        length = tf.strings.length(plain, "UTF8_CHAR")
        first, last = [], []
        for n in range(1, AFFIX + 1):
            first.append(tf.strings.substr(plain, 0, n, "UTF8_CHAR"))
            start, size = tf.maximum(length - n, 0), tf.fill(tf.shape(length), n)
            last.append(tf.strings.substr(plain, start, size, "UTF8_CHAR"))
        # A sign tells what a text is, so that all are looked up at once.
        signed = [("=", plain), *(("<", one) for one in first), *((">", one) for one in last)]
        texts = tf.stack([tf.strings.join(pair) for pair in signed], axis=-1)
        prefixes, suffixes = self._affixes["prefixes"] or (), self._affixes["suffixes"] or ()
        known = [f"={one}" for one in self.vocabulary]
        known += ["", *(f"<{one}" for one in prefixes), *(f">{one}" for one in suffixes)]  # the unknown word has no text
        ids = tf.reshape(look_up(tf.reshape(texts, [-1]), known, 0), [-1, len(signed)])
        enough = length[:, None] >= [0, *range(1, AFFIX + 1), *range(1, AFFIX + 1)]
        words = tf.where(ids[:, :1] == 0, self.unknown, ids[:, :1])
        return tf.concat([words, tf.where(enough, ids, 0)[:, 1:], self._shapes(flat, len(known))[:, None]], axis=-1)

    def _shapes(self, flat, before):
        """(tokens,) strings -> (tokens,) int32 ids of their shapes, which have so many ids before them."""
        points = tf.strings.unicode_decode(flat, "UTF-8")
        classes = tf.gather(tf.constant(_classes(), tf.int32), tf.minimum(points.flat_values, CASED))
        # Of each run of a class in a token the first character counts.
        which = points.value_rowids() * (OTHER + 1) + tf.cast(classes, tf.int64)
        first = tf.concat([[True], which[1:] != which[:-1]], axis=0)[: tf.size(which)]
        runs = tf.ragged.boolean_mask(points.with_flat_values(classes), points.with_flat_values(first))
        digits = runs.to_tensor(shape=(None, SIGNS))  # (tokens, 5), 0 after the last; those of a number that stands for all
        powers = [(OTHER + 1) ** place for place in range(SIGNS)]
        table = [0] * (OTHER + 1) ** SIGNS
        for i, text in enumerate(self._affixes["shapes"] or (), before + 1):
            table[sum(CLASSES.index(sign) * power for sign, power in zip(text, powers, strict=False))] = i
        return tf.gather(tf.constant(table, tf.int32), tf.reduce_sum(digits * powers, axis=-1))
