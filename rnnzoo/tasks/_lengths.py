"""Tasks of memory whose sequences are drawn, of every length up to one, and judged at some lengths alone."""

import functools

from rnnzoo.errors import InputError
from rnnzoo.tasks._task import Task


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
        if max_timesteps < self.shortest:
            raise InputError(f"max_timesteps={max_timesteps}: expected at least {self.shortest}")
        if training_examples < 1 or held_out_examples < 1:
            raise InputError("training_examples and held_out_examples: expected at least 1 each")
        self.max_timesteps, self.split_seed = max_timesteps, split_seed
        self.training_examples, self.held_out_examples = training_examples, held_out_examples

    def train(self):
        return self.up_to(self.max_timesteps, 0)

    def up_to(self, timesteps, stage):
        if timesteps < self.shortest:
            raise InputError(f"training.curriculum: {timesteps} timesteps; expected at least {self.shortest}")
        return self._draw(self.training_examples, self.shortest, timesteps, [0, stage])

    def tests(self):
        """`held_out`, of lengths as in training; and of one length each, the last one longer than any trained on."""
        held_out = functools.partial(self._draw, self.held_out_examples, self.shortest, self.max_timesteps, [1])
        one = functools.partial(self._draw, self.held_out_examples)
        return {"held_out": held_out, **{f"length_{t}": functools.partial(one, t, t, [2]) for t in self.lengths}}
