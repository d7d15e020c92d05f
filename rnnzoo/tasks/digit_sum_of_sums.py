"""The sum of a digit string's running sums."""

from itertools import accumulate

from rnnzoo.tasks._answers import NumberAnswer
from rnnzoo.tasks._digits import DigitTask


class DigitSumOfSums(DigitTask):
    """`1294` -> 1 + 3 + 12 + 16 = 32. Options: see `DigitTask`."""

    description = "a digit string -> the sum of its running sums"

    def __init__(self, min_timesteps: int = 1, max_timesteps: int = 4, split_seed: int = 0):
        super().__init__(min_timesteps, max_timesteps, split_seed)
        self.answer = NumberAnswer("sum_of_sums")

    @staticmethod
    def solve(digits):
        return sum(accumulate(digits))
