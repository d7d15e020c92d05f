"""Tasks of memory whose sequences are drawn, of every length up to one, and judged at some lengths alone."""

import functools

from rnnzoo.errors import InputError
from rnnzoo.tasks._task import Task, check_drawn, check_option

# Timesteps of a sequence.
LONGEST = 100_000


class LengthsTask(Task):
    """Draws its sequences by `_draw(count, shortest, longest, stream)`, which each such task has.

    Args:
        max_timesteps: how long the sequences are that are trained on and held out.
        training_examples: how many are drawn to train on, in each stage of a curriculum.
        held_out_examples: how many others are drawn to be judged by, and of each length.
        split_seed: of all draws; no part of a training run's seed.

    Attributes:
        shortest: how many timesteps a sequence has at the least.
        lengths: those that are judged alone, the last one longer than any trained on.
    """

    def __init__(self, max_timesteps, training_examples, held_out_examples, split_seed):
        check_option("max_timesteps", max_timesteps, self.shortest, LONGEST)
        check_drawn(max_timesteps, training_examples=training_examples)
        check_drawn(max(max_timesteps, *self.lengths), held_out_examples=held_out_examples)
        self.max_timesteps, self.split_seed = max_timesteps, split_seed
        self.training_examples, self.held_out_examples = training_examples, held_out_examples

    def train(self):
        return self.up_to(self.max_timesteps, 0)

    def up_to(self, timesteps, stage):
        if not self.shortest <= timesteps <= LONGEST:
            raise InputError(f"training.curriculum: {timesteps} timesteps; expected from {self.shortest} to {LONGEST:,}")
        check_drawn(timesteps, training_examples=self.training_examples)
        return self._draw(self.training_examples, self.shortest, timesteps, [0, stage])

    def tests(self):
        """`held_out`, of lengths as in training; and of one length each, the last one longer than any trained on."""
        held_out = functools.partial(self._draw, self.held_out_examples, self.shortest, self.max_timesteps, [1])
        one = functools.partial(self._draw, self.held_out_examples)
        return {"held_out": held_out, **{f"length_{t}": functools.partial(one, t, t, [2]) for t in self.lengths}}
