"""Adding two numbers written as text."""

import functools

import numpy as np

from rnnzoo.errors import InputError
from rnnzoo.tasks._answers import TextAnswer
from rnnzoo.tasks._inputs import TextInput
from rnnzoo.tasks._task import Examples, Task

NUMBER = "(0|[1-9][0-9]{0,2})"


class Addition(Task):
    """`535+61` -> `596`, up to three digits a side (Zaremba and Sutskever 2014, "Learning to Execute").

    Each side's number of digits is drawn first, then the digits. A pair and its mirror image count as one, so that
    `61+535` is never trained on where `535+61` is held out.

    Args:
        training_pairs: how many pairs to train on.
        held_out_pairs: how many other pairs to be judged by.
        split_seed: decides which pairs are drawn and which are held out; no part of a training run's seed.
        reverse: whether the source is read from its last character to its first (Sutskever et al. 2014).
    """

    description = "two numbers of up to three digits, `535+61` -> their sum, `596`"

    def __init__(self, training_pairs: int = 50_000, held_out_pairs: int = 5_000, split_seed: int = 0, reverse: bool = True):
        if min(training_pairs, held_out_pairs) < 1 or training_pairs + held_out_pairs > 200_000:
            given = f"task_options: training_pairs={training_pairs}, held_out_pairs={held_out_pairs}"
            raise InputError(f"{given}; expected at least 1 each and at most 200,000 together")
        self.training_pairs, self.held_out_pairs, self.split_seed = training_pairs, held_out_pairs, split_seed
        self.input = TextInput(
            "expression",
            "1234567890+",
            rf"{NUMBER}\+{NUMBER}",
            "two numbers of up to three digits with a + between them and no leading zeros",
            "535+61",
            end_token=True,
            reverse=reverse,
        )
        self.answer = TextAnswer("sum", "1234567890", max_length=4)

    def right_answer(self, raw):
        return str(sum(map(int, raw.split("+"))))

    def train(self):
        return self._examples(slice(self.held_out_pairs, None))

    def tests(self):
        return {"held_out": lambda: self._examples(slice(self.held_out_pairs))}

    def _examples(self, part):
        return self._drawn.take(range(self.training_pairs + self.held_out_pairs)[part])

    @functools.cached_property
    def _drawn(self):
        """All pairs, the held-out ones first."""
        rng = np.random.default_rng(self.split_seed)
        pairs = {}  # an unordered pair, and the order it was drawn in
        while len(pairs) < self.training_pairs + self.held_out_pairs:
            digits = rng.integers(1, 4, 2)
            low = np.where(digits == 1, 0, 10 ** (digits - 1))
            a, b = (int(n) for n in rng.integers(low, 10**digits))
            pairs.setdefault((min(a, b), max(a, b)), (a, b))
        drawn = list(pairs.values())
        chosen = [drawn[i] for i in rng.permutation(len(drawn))]
        return Examples([f"{a}+{b}" for a, b in chosen], [str(a + b) for a, b in chosen])
