"""Reading a faulty seven-segment display."""

from itertools import product

import numpy as np

from rnnzoo.errors import InputError
from rnnzoo.tasks._answers import LabelAnswer
from rnnzoo.tasks._inputs import BitsInput
from rnnzoo.tasks._task import Examples, Task, check_drawn

# The segments of 0 to 9 in the book's order: top, upper left, upper right, middle, lower left, lower right, bottom.
MOST = 1_000_000
SEGMENTS = (
    "1110111",
    "0010010",
    "1011101",
    "1011011",
    "0111010",
    "1101011",
    "1101111",
    "1010010",
    "1111111",
    "1111011",
)


class SevenSegment(Task):
    """`1110111` -> 0: the LED display domain of Breiman, Friedman, Olshen and Stone 1984, section 2.6.1.

    A digit lights its segments, in the order top, upper left, upper right, middle, lower left, lower right, bottom, and
    each segment is inverted with probability `noise`, independently of the others.

    Args:
        noise: the probability that a segment is inverted.
        training_displays: how many displays to train on, drawn at random.
        held_out_displays: how many other draws to be judged by.
        split_seed: of both draws; no part of a training run's seed.
    """

    description = "seven segments on (1) or off (0), each inverted with probability 0.1 -> the digit"
    metric = "accuracy"

    def __init__(
        self,
        noise: float = 0.1,
        training_displays: int = 20_000,
        held_out_displays: int = 10_000,
        split_seed: int = 0,
    ):
        if not 0 <= noise < 0.5:
            raise InputError(f"noise={noise}: expected a probability from 0 up to but not including 0.5")
        check_drawn(1, MOST, training_displays=training_displays, held_out_displays=held_out_displays)
        self.noise, self.split_seed = noise, split_seed
        self.training_displays, self.held_out_displays = training_displays, held_out_displays
        self.input = BitsInput("segments", 7, "seven characters, each 0 (off) or 1 (on)", "1110111")
        self.answer = LabelAnswer("digit", range(10))

    def train(self):
        return self._draw(self.training_displays, stream=0)

    def tests(self):
        """`held_out` is a sample; `every_display` weighs all 128 displays by their probability: no sampling error."""
        return {"held_out": lambda: self._draw(self.held_out_displays, stream=1), "every_display": self._every_display}

    def references(self):
        return {"bayes_rate": self.bayes_rate()}

    def bayes_rate(self):
        """The accuracy of the best possible reader: over all displays, the probability of their likeliest digit."""
        return float(self._joint().max(axis=1).sum())

    def _joint(self):
        """(128, 10): the probability that a digit (each as likely) is meant and a display is seen."""
        displays = np.array(list(product([0, 1], repeat=7)))
        digits = np.array([[int(c) for c in segments] for segments in SEGMENTS])
        inverted = (displays[:, None] != digits).sum(-1)  # (128, 10)
        return self.noise**inverted * (1 - self.noise) ** (7 - inverted) / 10

    def _every_display(self):
        displays = ["".join(map(str, bits)) for bits in product([0, 1], repeat=7)]
        pairs = list(product(displays, range(10)))
        return Examples([d for d, _ in pairs], [digit for _, digit in pairs], self._joint().ravel())

    def _draw(self, count, stream):
        rng = np.random.default_rng([self.split_seed, stream])
        answers = rng.integers(0, 10, count)
        segments = np.array([[int(c) for c in s] for s in SEGMENTS])[answers]
        seen = segments ^ (rng.random((count, 7)) < self.noise)
        return Examples(["".join(map(str, row)) for row in seen], answers.tolist())
