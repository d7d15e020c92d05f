"""The sum of a digit string's digits, written out digit by digit."""

import math
from collections import Counter

from rnnzoo.tasks._answers import TextAnswer
from rnnzoo.tasks._digits import DIGITS, DigitTask, digits_input
from rnnzoo.tasks._task import check_option


class DigitSumText(DigitTask):
    """`1294` and an end token -> `16` and an end token.

    Args:
        min_timesteps, max_timesteps, split_seed: see `DigitTask`.
        oversample: strings whose sum has fewer training strings than this are repeated up to about as many. Only one
            string of four digits sums to 36, and a network hardly notices it otherwise.
    """

    description = "a digit string -> the decimal digits of the sum of its digits"
    random_lengths = ()

    def __init__(self, min_timesteps: int = 1, max_timesteps: int = 4, split_seed: int = 0, oversample: int = 0):
        super().__init__(min_timesteps, max_timesteps, split_seed)
        check_option("oversample", oversample, 0, 100_000)
        self.oversample = oversample
        self.input = digits_input(end_token=True)
        self.answer = TextAnswer("sum", DIGITS, max_length=8)

    @staticmethod
    def solve(digits):
        return str(sum(digits))

    def train(self):
        examples = super().train()
        counts = Counter(examples.answers)
        indices = []
        for i, answer in enumerate(examples.answers):
            indices += [i] * max(1, math.ceil(self.oversample / counts[answer]))
        return examples.take(indices)
