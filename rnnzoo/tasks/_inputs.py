"""Raw inputs, and the fronts that turn them into tensors, inside a TensorFlow graph too."""

import numbers
import re

from rnnzoo.errors import InputError
from rnnzoo.tasks._tensorflow import tf


class TextInput:
    """A string of characters: (batch,) strings -> (batch, timesteps) token ids.

    Id 0 is padding, id k the k-th character of the alphabet, and the end token, where there is one, has the last id.

    Args:
        name: what the input is called, in messages and in the SavedModel's signature.
        alphabet: the characters that can occur.
        pattern: the regular expression that a whole string must match.
        hint: what would be right, in words.
        example: a string that is right.
        end_token: whether an end token follows the last character.
        reverse: whether the characters are fed from the last to the first.
    """

    kind = "text"
    pads = True

    def __init__(self, name, alphabet, pattern, hint, example, end_token=False, reverse=False):
        self.name, self.alphabet, self.pattern, self.hint, self.example = name, alphabet, pattern, hint, example
        self.end_token, self.reverse = end_token, reverse

    @property
    def spec(self):
        return tf.TensorSpec([None], tf.string)

    def describe(self):
        """The front in values that JSON has, for programs that have no TensorFlow."""
        keys = ("kind", "name", "alphabet", "pattern", "hint", "example", "end_token", "reverse")
        return {**{key: getattr(self, key) for key in keys}, "vocabulary_size": self.vocabulary_size, "padding": 0}

    @property
    def vocabulary_size(self):
        """Padding, the alphabet, and the end token where there is one."""
        return 1 + len(self.alphabet) + self.end_token

    def model_arguments(self, architecture):
        return {"vocabulary_size": self.vocabulary_size}

    def check(self, raw):
        """`raw` as the string that the front takes; whole numbers are written out.

        Raises:
            InputError: it is empty, holds a character that cannot occur (which, and where), or has the wrong form.
        """
        if isinstance(raw, bytes):
            raw = raw.decode("utf-8", "replace")
        if isinstance(raw, numbers.Integral) and not isinstance(raw, bool):
            raw = str(raw)
        if not isinstance(raw, str):
            raise InputError(f"{type(raw).__name__} {raw!r} is no text; expected {self.hint}")
        if not raw:
            raise InputError(f"the {self.name} are empty; expected {self.hint}, for example {self.example}")
        if re.fullmatch(self.pattern, raw):
            return raw
        for position, character in enumerate(raw, 1):
            if character not in self.alphabet:
                raise InputError(f"'{short(character)}' at position {position} of '{short(raw)}'; expected {self.hint}")
        raise InputError(f"'{short(raw)}' is not of the right form; expected {self.hint}, for example {self.example}")

    def join(self, symbols, padded):
        """A row of characters or token ids -> the string they stand for.

        Args:
            symbols: characters, or whole numbers. Number k is the k-th character of the alphabet.
            padded: the row comes from a padded array, so 0 (or an empty string) at either end is padding. Elsewhere there
                is no padding, and 0 is the digit 0 where the alphabet has it.
        """
        symbols = [s.decode("utf-8", "replace") if isinstance(s, bytes) else s for s in symbols]
        if padded:
            used = [i for i, s in enumerate(symbols) if not (s == "" or (_is_number(s) and s == 0))]
            symbols = symbols[used[0] : used[-1] + 1] if used else []
        return "".join(self._character(symbol, position, padded) for position, symbol in enumerate(symbols, 1))

    def _character(self, symbol, position, padded):
        if isinstance(symbol, str):
            return symbol
        where = "" if position is None else f" at position {position}"
        if not _is_number(symbol) or not 0 <= symbol <= len(self.alphabet) or symbol != int(symbol):
            most = self.vocabulary_size - 1 - self.end_token
            raise InputError(f"{symbol!r}{where} is no token id; ids run from 1 to {most}")
        if symbol == 0:
            if padded or "0" not in self.alphabet:
                raise InputError(f"0{where} is padding's id and stands inside the sequence")
            return "0"
        return self.alphabet[int(symbol) - 1]

    def timestep(self, raw):
        """One timestep, a character or its number in a row (see `join`) -> its token id.

        What can only be said of a whole string, such as a plus sign in the middle, is not checked.

        Raises:
            InputError: it is not one character that can occur.
        """
        if isinstance(raw, bytes):
            raw = raw.decode("utf-8", "replace")
        if not isinstance(raw, str):
            raw = self._character(raw, None, padded=False)
        if len(raw) != 1 or raw not in self.alphabet:
            raise InputError(f"'{short(raw)}'; expected one character of {self.hint}, for example {self.example[0]}")
        return self.alphabet.index(raw) + 1

    def tensor(self, checked):
        """A list of what `check` returned -> (batch,) strings."""
        return tf.constant(checked, tf.string, shape=(len(checked),))

    def steps(self, checked):
        """How many timesteps one checked input takes."""
        return len(checked) + self.end_token

    def front(self, raw):
        """(batch,) strings -> (batch, timesteps) int32 token ids, right-padded with 0. Runs in a graph."""
        points = tf.strings.unicode_decode(self._checked(raw), "UTF-8")
        ids = points.with_flat_values(tf.gather(_id_table(self.alphabet), points.flat_values))
        if self.reverse:
            ids = ids[:, ::-1]
        ids = ids.to_tensor()
        if self.end_token:
            lengths = points.row_lengths()
            ids = tf.pad(ids, [[0, 0], [0, 1]])
            end = tf.one_hot(lengths, tf.shape(ids)[1], on_value=self.vocabulary_size - 1, dtype=tf.int32)
            ids += end
        return ids

    def _checked(self, raw):
        """`raw`, once it is known to match: what comes after must not fail first, with a message that says less."""
        matches = tf.strings.regex_full_match(raw, self.pattern)
        # Cut, and made UTF-8: a message that is neither short nor text could not be read, nor raised by Python.
        wrong = tf.strings.unicode_transcode(tf.strings.substr(tf.boolean_mask(raw, ~matches), 0, 40), "UTF-8", "UTF-8")
        message = [f"expected {self.hint}; got", wrong]
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(matches), message)]):
            return tf.identity(raw)


class BitsInput(TextInput):
    """A string of `width` characters 0 or 1: (batch,) strings -> (batch, width) real vectors."""

    kind = "bits"

    def __init__(self, name, width, hint, example):
        super().__init__(name, "10", f"[01]{{{width}}}", hint, example)
        self.width = width

    def describe(self):
        """See `TextInput`."""
        return {key: getattr(self, key) for key in ("kind", "name", "width", "pattern", "hint", "example")}

    def model_arguments(self, architecture):
        return {"features": self.width}

    def join(self, symbols, padded):
        """Seven numbers 0 or 1 stand for themselves: there is no padding."""
        return "".join(str(int(s)) if _is_number(s) and s in (0, 1) else _text(s) for s in symbols)

    def front(self, raw):
        """(batch,) strings -> (batch, width) float32. Runs in a graph."""
        bits = tf.strings.unicode_decode(self._checked(raw), "UTF-8").to_tensor(shape=(None, self.width))
        return tf.cast(bits - ord("0"), tf.float32)


class NumberInput:
    """A whole number below 10**digits: (batch,) int64 -> (batch, 10 * digits), each decimal digit one-hot."""

    kind = "number"
    pads = True

    def __init__(self, name, digits, example):
        self.name, self.digits, self.example = name, digits, example
        self.hint = f"a whole number from 0 to {10**digits - 1}"

    @property
    def spec(self):
        return tf.TensorSpec([None], tf.int64)

    def describe(self):
        """See `TextInput`."""
        return {key: getattr(self, key) for key in ("kind", "name", "digits", "hint", "example")}

    def model_arguments(self, architecture):
        return {"features": 10 * self.digits}

    def check(self, raw):
        """`raw`, a whole number or its decimal digits, as an `int`.

        Raises:
            InputError: it is empty, no whole number, or out of range.
        """
        if isinstance(raw, bytes):
            raw = raw.decode("utf-8", "replace")
        if isinstance(raw, str):
            if not raw:
                raise InputError(f"the {self.name} is empty; expected {self.hint}, for example {self.example}")
            for position, character in enumerate(raw, 1):
                if character not in "0123456789":
                    raise InputError(f"'{short(character)}' at position {position} of '{short(raw)}'; expected {self.hint}")
            # By its length first: Python refuses to read a number of over 4,300 digits.
            raw = 10**self.digits if len(raw.lstrip("0")) > self.digits else int(raw)
            if raw == 10**self.digits:
                raise InputError(f"the {self.name} has too many digits; expected {self.hint}")
        if not _is_number(raw) or not 0 <= raw < 10**self.digits or raw != int(raw):
            raise InputError(f"{raw!r} is out of range; expected {self.hint}")
        return int(raw)

    def join(self, symbols, padded):
        """A row of decimal digits -> the number they write."""
        return "".join(_text(symbol) for symbol in symbols)

    def tensor(self, checked):
        """A list of what `check` returned -> (batch,) int64."""
        return tf.constant(checked, tf.int64, shape=(len(checked),))

    def steps(self, checked):
        """One input is one timestep."""
        return 1

    def front(self, raw):
        """(batch,) int64 -> (batch, 10 * digits) float32. Runs in a graph."""
        tf.debugging.Assert(tf.reduce_all((raw >= 0) & (raw < 10**self.digits)), [f"expected {self.hint}; got", raw])
        powers = tf.constant([10**i for i in reversed(range(self.digits))], tf.int64)
        digits = tf.math.floordiv(raw[:, None], powers) % 10  # (batch, digits)
        return tf.reshape(tf.one_hot(digits, 10), (-1, 10 * self.digits))


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _text(symbol):
    if isinstance(symbol, bytes):
        return symbol.decode("utf-8", "replace")
    return str(int(symbol)) if _is_number(symbol) and symbol % 1 == 0 else str(symbol)


def short(text):
    """`text` on one line, cut to 40 characters."""
    text = text if len(text) <= 40 else f"{text[:37]}..."
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _id_table(alphabet):
    """Code point -> token id. The pattern has refused everything else, so unused code points may hold anything."""
    table = [0] * (max(map(ord, alphabet)) + 1)
    for index, character in enumerate(alphabet, 1):
        table[ord(character)] = index
    return tf.constant(table, tf.int32)
