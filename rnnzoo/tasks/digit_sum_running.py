"""The running sum after each digit of a digit string."""

from itertools import accumulate

from rnnzoo.tasks._answers import SequenceAnswer
from rnnzoo.tasks._digits import DigitTask


class DigitSumRunning(DigitTask):
    """`1294` -> [1, 3, 12, 16]. Options: see `DigitTask`."""

    description = "a digit string -> the running sum after each digit"

    def __init__(self, min_timesteps: int = 1, max_timesteps: int = 4, split_seed: int = 0):
        super().__init__(min_timesteps, max_timesteps, split_seed)
        self.answer = SequenceAnswer("running_sums")

    @staticmethod
    def solve(digits):
        return list(accumulate(digits))
