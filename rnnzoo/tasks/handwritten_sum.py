"""The sum of handwritten digits."""

import functools

import numpy as np

from rnnzoo.tasks._answers import LabelAnswer, NumberAnswer
from rnnzoo.tasks._image_sequences import ImageSequenceInput
from rnnzoo.tasks._images import DRAWN, SIDE, moved
from rnnzoo.tasks._mnist import MOVES, SOURCE, part
from rnnzoo.tasks._task import Examples, Task, check_drawn, check_option

# Beside the lengths to train on, the scores are of one more picture, and of about twice as many.
LONGER, VALIDATION_EXAMPLES = (1, 4), 4_000
# Pictures of a sequence, and of all that are trained on.
LONGEST, PICTURES = 100, 1_000_000


class HandwrittenSum(Task):
    """Pictures of handwritten digits, one to `max_timesteps` of them -> the sum of the digits.

    The pictures are MNIST's, and so is the split: a sequence that is held out is made of the 10,000 pictures of its test
    part, each of which occurs once, and one for validation of the last 5,000 of the other part. The digits of a sequence
    are drawn, each length as often as any other. Where a sequence has one picture at the most, all pictures are trained on,
    and their sums are their labels.

    Args:
        max_timesteps: how many pictures a sequence to train on has at the most.
        training_examples: how many sequences of more than one picture at the most there are to train on.
        labels: whether the answer is one of the sums that there can be, a label, and not a number.
        split_seed: decides which pictures come together; it is no part of a training run's seed.
    """

    source = SOURCE
    description = "pictures of handwritten digits, one a timestep -> the sum of the digits"

    def __init__(self, max_timesteps: int = 4, training_examples: int = 40_000, labels: bool = False, split_seed: int = 0):
        check_option("max_timesteps", max_timesteps, 1, LONGEST)
        check_drawn(max_timesteps, PICTURES, training_examples=training_examples)
        self.max_timesteps, self.training_examples, self.split_seed = max_timesteps, training_examples, split_seed
        self.input = ImageSequenceInput("pictures")
        self.answer = LabelAnswer("sum", range(9 * max_timesteps + 1)) if labels else NumberAnswer("sum")

    def train(self):
        return self.up_to(self.max_timesteps, 0)

    def up_to(self, timesteps, stage):
        """See `Task`: of one timestep every picture, of more of them sequences that are drawn anew in each stage."""
        images, digits = part("train")
        if timesteps == 1:
            return Examples(list(images[:, None]), digits.tolist())
        rng = np.random.default_rng([self.split_seed, 1, stage])
        return self._drawn(images, digits, min(timesteps, self.max_timesteps), self.training_examples, rng)

    def validation(self):
        """See `Task`."""
        rng = np.random.default_rng([self.split_seed, 2])
        return self._drawn(*part("validation"), self.max_timesteps, VALIDATION_EXAMPLES, rng)

    def tests(self):
        longer = [self.max_timesteps + more for more in LONGER if self.answer.kind == "number"]
        return {"held_out": self._once} | {f"length_{n}": functools.partial(self._once, n) for n in longer}

    def samples(self):
        """Digits that are drawn here: MNIST's own need the data."""
        return [" ".join(f"{DRAWN}{digit}" for digit in digits) for digits in ("7", "39", "180", "2546")]

    def raw_inputs(self):
        rng = np.random.default_rng(0)
        rows = [rng.integers(0, 10, length) for length in (1, 2, 3, 4, 4, 3, 2, 1)]
        return [self.input.check([f"{DRAWN}{digit}" for digit in row]) for row in rows]

    def augment(self, inputs, targets, weights, rng):
        """Every picture moved by up to a pixel in each direction; padding stays what it is."""
        images = inputs.reshape(-1, SIDE, SIDE)
        return moved(images, MOVES, rng).reshape(inputs.shape), targets, weights

    def _once(self, length=None):
        """The pictures of the test part in sequences of one length, or of every length that is trained on, each once."""
        images, digits = part("held_out")
        rng = np.random.default_rng([self.split_seed, 3, length or 0])
        order = rng.permutation(len(digits))
        if length is None:
            lengths = rng.integers(1, self.max_timesteps + 1, len(digits))
            stops = np.cumsum(lengths)
            stops = stops[stops <= len(digits)]
        else:
            stops = np.arange(length, len(digits) + 1, length)
        return _sequences(images, digits, np.split(order, stops)[: len(stops)])

    def _drawn(self, images, digits, most, count, rng):
        """So many sequences, all pictures in turn, in an order that is drawn anew when they are used up."""
        lengths = rng.integers(1, most + 1, count)
        turns = -(-lengths.sum() // len(digits))
        order = np.concatenate([rng.permutation(len(digits)) for _ in range(turns)])
        return _sequences(images, digits, np.split(order, np.cumsum(lengths))[:-1])


def _sequences(images, digits, rows):
    """The `Examples` of rows of the pictures' numbers."""
    return Examples([images[row] for row in rows], [int(digits[row].sum()) for row in rows])
