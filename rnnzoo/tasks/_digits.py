"""What the tasks on digit strings share."""

import functools
from itertools import product

import numpy as np

from rnnzoo.errors import InputError
from rnnzoo.tasks._inputs import TextInput
from rnnzoo.tasks._task import Examples, Task, split

# Digit d has id d, and 0, whose id would be padding's, has id 10.
DIGITS = "1234567890"
HELD_OUT = 0.2


def digits_input(end_token=False):
    """A digit string of any length."""
    return TextInput("digits", DIGITS, "[0-9]+", "a string of digits 0 to 9", "1294", end_token=end_token)


class DigitTask(Task):
    """A task on all digit strings of `min_timesteps` to `max_timesteps` digits; 20 % of them are held out.

    Args:
        min_timesteps, max_timesteps: the lengths to train on.
        split_seed: decides which strings are held out. It is no part of a training run's seed, so that runs with
            different seeds are judged by the same strings, none of which any of them has seen.
    """

    random_lengths = (10, 100, 1000)

    def __init__(self, min_timesteps: int = 1, max_timesteps: int = 4, split_seed: int = 0):
        if not 1 <= min_timesteps <= max_timesteps:
            raise InputError(f"min_timesteps={min_timesteps} and max_timesteps={max_timesteps}: expected 1 <= min <= max")
        if max_timesteps > 5:
            raise InputError(f"max_timesteps={max_timesteps}: there are too many longer strings to list; expected up to 5")
        self.min_timesteps, self.max_timesteps, self.split_seed = min_timesteps, max_timesteps, split_seed
        self.input = digits_input()

    @staticmethod
    def solve(digits):
        """The right answer for a list of digits."""
        raise NotImplementedError

    def right_answer(self, raw):
        return self.solve([int(c) for c in raw])

    def train(self):
        return self._part(0)

    def tests(self):
        longer = self.max_timesteps + 1
        tests = {"held_out": lambda: self._part(1), f"length_{longer}": lambda: self.examples(strings(longer))}
        for length in self.random_lengths:
            if length > longer:
                tests[f"length_{length}"] = functools.partial(self._random, length)
        return tests

    def examples(self, inputs):
        """Strings with their right answers."""
        return Examples(list(inputs), [self.right_answer(text) for text in inputs])

    def _part(self, which):
        every = [text for n in range(self.min_timesteps, self.max_timesteps + 1) for text in strings(n)]
        return self.examples([every[i] for i in split(len(every), HELD_OUT, self.split_seed)[which]])

    def _random(self, length):
        """1,000 strings of one length: the all-9 string, which has the largest sums, and random ones."""
        digits = np.random.default_rng([self.split_seed, length]).integers(0, 10, (999, length))
        return self.examples(["9" * length, *("".join(map(str, row)) for row in digits)])


def strings(length):
    """All digit strings of one length, in order."""
    return ["".join(digits) for digits in product("0123456789", repeat=length)]
