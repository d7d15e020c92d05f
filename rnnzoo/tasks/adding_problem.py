"""The adding problem: two numbers to remember among many."""

import numpy as np

from rnnzoo.errors import InputError
from rnnzoo.tasks._lengths import LengthsTask
from rnnzoo.tasks._task import Examples, decimal
from rnnzoo.tasks._vectors import RealAnswer, VectorInput

SHORTEST, SHORT, FEW = 2, 20, 0.25


class MarkedNumbers(VectorInput):
    """`0.3:0 0.5:1 0.2:0 0.4:1`: numbers from 0 to 1, each with a marker, which is 1 at two of them and else 0."""

    def __init__(self):
        super().__init__("numbers", 2, True, "0.3:0 0.5:1 0.2:0 0.4:1", mask_value=-1.0)
        self.hint = "NUMBER:MARKER at each timestep, numbers from 0 to 1, markers 0 but for two that are 1"

    def check(self, raw):
        checked = super().check(raw)
        self._check_values(checked, " at timestep {}")
        marked = checked[:, 1].sum()
        if marked != 2:
            raise InputError(f"{marked:.0f} markers are 1; expected {self.hint}, for example '{self.example}'")
        return checked

    def timestep(self, raw):
        """One timestep -> a float32 array (2,); that two are marked can only be said of a whole sequence."""
        frame = super().timestep(raw)
        self._check_values(frame[None], "")
        return frame

    def _check_values(self, frames, where):
        numbers, markers = frames.T
        for wrong, what in (((numbers < 0) | (numbers > 1), "number"), ((markers != 0) & (markers != 1), "marker")):
            if wrong.any():
                t = int(wrong.argmax())
                value = frames[t, int(what == "marker")]
                raise InputError(f"the {what} {value:g}{where.format(t + 1)}; expected {self.hint}")


class AddingProblem(LengthsTask):
    """Hochreiter and Schmidhuber 1997, "Long Short-Term Memory", section 5.4: the sum of the two marked numbers.

    Each timestep is a number drawn from 0 to 1 and a marker. One number of the sequence's first half is marked, and one of
    its second half. An answer counts as right where it is off by at most 0.04, as there; to say 1 whatever comes has a mean
    squared error of 1/6.

    Args:
        max_timesteps: how long the sequences are that are trained on and held out; their lengths are drawn from 2 up to it,
            those of a quarter from 2 up to 20, so that long ones do not make the short ones forgotten.
        training_examples: how many are drawn to train on, in each stage of a curriculum.
        held_out_examples: how many others are drawn to be judged by, and of each length.
        split_seed: of all draws; no part of a training run's seed.
    """

    description = "numbers with markers, two of which are 1 -> the sum of the two marked numbers"
    metric = "within_tolerance"
    shortest, lengths = SHORTEST, (100, 150, 200, 300, 400, 1000)

    def __init__(
        self,
        max_timesteps: int = 400,
        training_examples: int = 10_000,
        held_out_examples: int = 1_000,
        split_seed: int = 0,
    ):
        super().__init__(max_timesteps, training_examples, held_out_examples, split_seed)
        self.input = MarkedNumbers()
        self.answer = RealAnswer("sum", 0.04)

    def right_answer(self, raw):
        return decimal(raw[:, 0] @ raw[:, 1])

    def samples(self):
        return ["0.3:0 0.5:1 0.2:0 0.4:1", "0.9:1 0.8:1", "0.25:0 0.5:1 0.75:0 1:0 0.75:1 0.5:0", "0:1 0.1:0 0.2:0 0.3:1"]

    def is_right(self, given, answer):
        return abs(given - answer) <= self.answer.tolerance

    def score(self, examples, predicted):
        """Beside the share that is right, the mean squared error."""
        error = np.mean((np.array(predicted) - np.array(examples.answers)) ** 2)
        return {**super().score(examples, predicted), "mean_squared_error": float(error)}

    def _draw(self, count, shortest, longest, stream):
        rng = np.random.default_rng([self.split_seed, longest, *stream])
        lengths = rng.integers(shortest, longest + 1, count)
        if shortest < longest:
            few = rng.random(count) < FEW
            lengths[few] = rng.integers(shortest, min(longest, SHORT) + 1, few.sum())
        first = (rng.random(count) * (lengths // 2)).astype(int)
        second = lengths // 2 + (rng.random(count) * (lengths - lengths // 2)).astype(int)
        inputs = []
        for length, *marked in zip(lengths, first, second, strict=True):
            frames = np.zeros((length, 2), np.float32)
            frames[:, 0] = rng.random(length, np.float32)
            frames[marked, 1] = 1
            inputs.append(frames)
        return Examples(inputs, [self.right_answer(frames) for frames in inputs])
