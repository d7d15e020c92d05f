"""At every digit, the sum up to here and the sum from here on."""

from itertools import accumulate

from rnnzoo.tasks._answers import SequenceAnswer
from rnnzoo.tasks._digits import DigitTask


class DigitSumBothWays(DigitTask):
    """`1294` -> [(1, 16), (3, 15), (12, 13), (16, 4)]. Options: see `DigitTask`."""

    description = "a digit string -> at every digit, the sum from the start to here and the sum from here to the end"

    def __init__(self, min_timesteps: int = 1, max_timesteps: int = 4, split_seed: int = 0):
        super().__init__(min_timesteps, max_timesteps, split_seed)
        self.answer = SequenceAnswer("sums", width=2)

    @staticmethod
    def solve(digits):
        from_here = list(accumulate(reversed(digits)))[::-1]
        return list(zip(accumulate(digits), from_here, strict=True))
