"""Temporal order: which of two symbols came first, long ago."""

import re

import numpy as np

from rnnzoo.tasks._answers import LabelAnswer
from rnnzoo.tasks._inputs import TextInput
from rnnzoo.tasks._lengths import LengthsTask
from rnnzoo.tasks._task import Examples, apart

SHORTEST = 10
DISTRACTORS, MARKS = "abcd", "XY"


class MarkedText(TextInput):
    """Letters of which two are `X` or `Y`: `bcXdaYca`."""

    def __init__(self):
        others = f"[{DISTRACTORS}]*"
        pattern = f"{others}[{MARKS}]{others}[{MARKS}]{others}"
        hint = f"the letters {', '.join(DISTRACTORS)}, and two that are X or Y"
        super().__init__("symbols", DISTRACTORS + MARKS, pattern, hint, "bcXdaYca")


class TemporalOrder(LengthsTask):
    """Hochreiter and Schmidhuber 1997, "Long Short-Term Memory", section 5.6, task 6a, as in Pascanu et al. 2013.

    Each timestep is one of four letters that say nothing, but for two, each of which is X or Y: the first one between a
    tenth and two tenths of the way through the sequence, the second between four tenths and five tenths. The answer is which
    two came, in their order: to guess is right once in four times. The rest of the sequence has to be waited through.

    Args:
        max_timesteps: how long the sequences are that are trained on and held out; their lengths are drawn from 10 up to it.
        training_examples: how many are drawn to train on, in each stage of a curriculum; the few that are held out, too, are
            left out.
        held_out_examples: how many others are drawn to be judged by, and of each length.
        split_seed: of all draws; no part of a training run's seed.
    """

    description = "letters of which two are X or Y -> those two, in their order"
    shortest, lengths = SHORTEST, (50, 100, 150, 200, 400)

    def __init__(
        self,
        max_timesteps: int = 200,
        training_examples: int = 10_000,
        held_out_examples: int = 2_000,
        split_seed: int = 0,
    ):
        super().__init__(max_timesteps, training_examples, held_out_examples, split_seed)
        self.input = MarkedText()
        self.answer = LabelAnswer("order", [first + second for first in MARKS for second in MARKS])

    def right_answer(self, raw):
        return "".join(re.findall(f"[{MARKS}]", raw))

    def up_to(self, timesteps, stage):
        return apart(super().up_to(timesteps, stage), self.first_test())

    def validation(self):
        return apart(self._draw(self.held_out_examples, SHORTEST, self.max_timesteps, [3]), self.first_test())

    def samples(self):
        return ["bcXdaYca", "aYbdcaYdbcadbcab", "XdY", "cabYdabcXadcbdabcadbcabdcb"]

    def references(self):
        """How often a guess is right."""
        return {"chance": 1 / len(self.answer.labels)}

    def _draw(self, count, shortest, longest, stream):
        rng = np.random.default_rng([self.split_seed, longest, *stream])
        lengths = rng.integers(shortest, longest + 1, count)
        symbols = rng.choice(list(DISTRACTORS), (count, longest))
        marks = rng.choice(list(MARKS), (count, 2))
        for number, tenths in enumerate((1, 4)):
            first, last = tenths * lengths // 10, (tenths + 1) * lengths // 10
            at = first + (rng.random(count) * np.maximum(last - first, 1)).astype(int)
            symbols[np.arange(count), at] = marks[:, number]
        rows = ["".join(row[:length]) for row, length in zip(symbols, lengths, strict=True)]
        return Examples(rows, ["".join(pair) for pair in marks])
