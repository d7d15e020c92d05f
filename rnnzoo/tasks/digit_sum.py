"""The sum of a digit string's digits."""

from rnnzoo.tasks._answers import NumberAnswer
from rnnzoo.tasks._digits import DigitTask, digits_input


class DigitSum(DigitTask):
    """`1294` -> 16.

    Args:
        min_timesteps, max_timesteps, split_seed: see `DigitTask`.
        end_token: whether an end token follows the last digit, as it does where a decoder waits for it.
    """

    description = "a digit string -> the sum of its digits"

    def __init__(self, min_timesteps: int = 1, max_timesteps: int = 4, split_seed: int = 0, end_token: bool = False):
        super().__init__(min_timesteps, max_timesteps, split_seed)
        self.input = digits_input(end_token)
        self.answer = NumberAnswer("sum")

    @staticmethod
    def solve(digits):
        return sum(digits)
