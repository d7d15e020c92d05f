"""What comes next in Shakespeare."""

import bisect
import functools
import itertools

from rnnzoo import data
from rnnzoo.tasks._inputs import short
from rnnzoo.tasks._next import NextCharacterAnswer
from rnnzoo.tasks._ngrams import Ngrams
from rnnzoo.tasks._open_text import OpenTextInput
from rnnzoo.tasks._task import Examples, SplitTask, learned_alphabet
from rnnzoo.texts import open_text, wrong_in

COMMIT = "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e"
TEXT = data.DataFile(
    "char_text/input.txt",
    f"https://raw.githubusercontent.com/karpathy/char-rnn/{COMMIT}/data/tinyshakespeare/input.txt",
    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    1_115_394,
)
ALPHABET = "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# Of the text, the part before the test; and of that, the first part, which is for validation.
BEFORE_TEST, FOR_VALIDATION = 0.9, 1 / 18
# The text is cut into examples of so many characters, which are read as one text all the same.
PASSAGE = 100
# The share of characters that are hidden in training, so that the network learns what to make of one that it does not know.
HIDDEN = 0.002
ORDERS = (4, 5)  # of the n-grams that stand beside the scores


class Shakespeare(SplitTask):
    """A text -> at each character the one that comes next, in the plays of Shakespeare: 1,115,394 characters, of char-rnn.

    The first 90 % are for training, the first eighteenth of them for validation, and the last 10 % are the test: so of the
    play in which either begins or ends the training part has the rest, and without the last part before the test, whose
    play goes on in it, 5-grams lose 0.28 nats. A part is cut into examples, and judged as the one text that it is: the state
    is carried from each to the next, and every character but the first is predicted. The score is minus the logarithm of
    the probability of what came, in nats a character.

    Beside it stand those of n-grams (see `Ngrams`) of the training part.
    """

    description = "a text -> at each of its characters the one that comes next"
    metric = "accuracy"
    source = "github.com/karpathy/char-rnn, MIT licence; the plays are in the public domain"
    learns_own = ("alphabet",)
    likelihood = "joined"
    drawn = True

    def __init__(self):
        self._set(ALPHABET)
        self.specimen = {"prompt": "ROMEO:", "temperature": 0.8, "seed": 1}

    def _set(self, alphabet):
        self.input = OpenTextInput("text", alphabet, "a text", "ROMEO:")
        self.answer = NextCharacterAnswer("next", alphabet)

    def open(self):
        """See `Task`."""
        super().open()
        self.answer = NextCharacterAnswer("next", "", open=True)

    def learn(self, training, *others):
        """The characters of the text."""
        first = "".join(raw[:1] for raw in training.inputs[:1])
        self._set("".join(sorted({*learned_alphabet(training, *others)[0], *first})))

    def recall(self, learned):
        """See `Task`."""
        self.learns = self.learns_own
        self._set(learned["alphabet"])

    def samples(self):
        return ["To be, or not to be", "My lord, I have", "ROMEO:"]

    def raw_inputs(self):
        few = ["First Citizen:\nBefore we proceed", "O, she doth teach the torches", "☃ is a snowman", "K", "\n\n"]
        return [*self.samples(), *few]

    def augment(self, inputs, targets, weights, rng):
        """Hides some of the characters."""
        hidden = (rng.random(inputs.shape) < HIDDEN) & (inputs != 0)
        return inputs * ~hidden + self.input.unknown * hidden, targets, weights

    def rows(self, path):
        """The passages of a text file; see `Task`."""
        return _passages_of(path, self.answer.comes) if path.suffix.lower() == ".txt" else None

    def references(self):
        """The nats a character of n-grams on the test."""
        ids = [self.answer.targets(["".join(self._parts[which].answers)])[0][0] + 1 for which in (0, 2)]
        ngrams = Ngrams(ids[:1], max(ORDERS), len(ALPHABET))
        return {f"{n}_gram_nats": ngrams.nats(ids[1:], n) for n in ORDERS}

    @functools.cached_property
    def _parts(self):
        """`Examples` to train on, to validate with and held out."""
        text = data.read(TEXT).decode("ascii")
        test = int(BEFORE_TEST * len(text))
        valid = int(FOR_VALIDATION * test)
        return [_passages(part) for part in (text[valid:test], text[:valid], text[test:])]


def _passages(text):
    """A text as `Examples`: passages, and at each character of them the next one."""
    starts = range(0, len(text) - 1, PASSAGE)
    pairs = [(text[i : i + PASSAGE], text[i + 1 : i + 1 + PASSAGE]) for i in starts]
    return Examples([raw[: len(answer)] for raw, answer in pairs], [answer for _, answer in pairs])


def _passages_of(path, comes):
    """The passages of a file as rows; what is wrong with one is its first character that never `comes`."""
    with open_text(path) as file:
        text = file.read()
    lines = list(itertools.accumulate(map(len, text.split("\n")), lambda start, length: start + length + 1, initial=0))

    def place(at):
        line = bisect.bisect_right(lines, at)
        return f"{path}, line {line}, column {at - lines[line - 1] + 1}"

    examples, begin = _passages(text), 0
    for raw, answer in zip(examples.inputs, examples.answers, strict=True):
        wrong = next((at for at, character in enumerate(answer, begin + 1) if not comes(character)), None)
        if wrong is None:
            yield f"{place(begin)} and what follows", raw, answer
        else:
            yield place(wrong), None, None, wrong_in(text[wrong]) or f"'{short(text[wrong])}' never comes in the answer"
        begin += len(raw)
