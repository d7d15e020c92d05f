"""Writing first names."""

import functools

import numpy as np

from rnnzoo import data
from rnnzoo.tasks._answers import TextAnswer
from rnnzoo.tasks._constant import ConstantInput
from rnnzoo.tasks._ngrams import Ngrams
from rnnzoo.tasks._own_text import OwnTextTask
from rnnzoo.tasks._task import Examples, SplitTask
from rnnzoo.texts import open_text

COMMIT = "988aa59e4d8fefa526d06f3b453ad116258398d4"
NAMES = data.DataFile(
    "char_names/names.txt",
    f"https://raw.githubusercontent.com/karpathy/makemore/{COMMIT}/names.txt",
    "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
    228_145,
)
HELD_OUT = 0.1
ORDERS = (3, 4, 5)  # of the n-grams that stand beside the scores


class BabyNames(OwnTextTask, SplitTask):
    """Nothing -> a first name, letter by letter: 32,033 names of the US social security administration, of makemore.

    An example is a line of the list, which has some names more than once. Of the distinct names a tenth are held out and
    another tenth are for validation; all lines of a name are on the same side. A name is judged by what it costs to write:
    minus the logarithm of its probability, in nats a character, the first letter and the end included.

    Beside the scores stand those of n-grams (see `Ngrams`), trained on the same names.

    Args:
        split_seed: of the split; no part of a training run's seed.
    """

    description = "nothing -> a first name, letter by letter"
    source = "github.com/karpathy/makemore, MIT licence; names of the US social security administration"
    likelihood = "each"
    drawn = True

    def __init__(self, split_seed: int = 0):
        self.split_seed = split_seed
        self.input = ConstantInput("start", "the network, which writes names")
        self.answer = TextAnswer("name", "abcdefghijklmnopqrstuvwxyz", max_length=15)
        self.specimen = {"count": 20, "seed": 1}

    def samples(self):
        return self.raw_inputs()[:1]

    def raw_inputs(self):
        return [self.input.example] * 8

    def rows(self, path):
        """The names of a text file, one a line; see `Task`."""
        return _names_of(path, self.input.example) if path.suffix.lower() == ".txt" else None

    def references(self):
        """The nats a character of n-grams on the names held out."""
        ngrams = Ngrams(self._ids(self.train()), max(ORDERS), self.answer.end_token)
        held_out = self._ids(self.first_test())
        return {f"{n}_gram_nats": ngrams.nats(held_out, n) for n in ORDERS}

    def _ids(self, examples):
        """The names as arrays of token ids, the end token among them."""
        ids, _ = self.answer.targets(examples.answers)
        return [row[row > 0] for row in ids]

    @functools.cached_property
    def _parts(self):
        """`Examples` to train on, to validate with and held out."""
        names = data.read(NAMES).decode("ascii").split()
        distinct = sorted(set(names))
        tenth = round(HELD_OUT * len(distinct))
        side = {}
        for rank, i in enumerate(np.random.default_rng(self.split_seed).permutation(len(distinct)).tolist()):
            side[distinct[i]] = 2 if rank < tenth else 1 if rank < 2 * tenth else 0
        parts = [[name for name in names if side[name] == which] for which in range(3)]
        return [Examples([self.input.example] * len(part), part) for part in parts]


def _names_of(path, start):
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield f"{path}, line {number}", start, line.strip()
