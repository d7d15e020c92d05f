"""Copying memory: ten symbols that are to be said again, much later."""

import functools
import math

import numpy as np

from rnnzoo.tasks._inputs import TextInput
from rnnzoo.tasks._labels import LabelsAnswer
from rnnzoo.tasks._task import Examples, Task, apart, check_drawn, check_option

SYMBOLS, COUNT = "abcdefgh", 10
BLANK, SIGNAL = ".", ":"
LONGEST = 100_000


class CopyMemory(Task):
    """Arjovsky, Shah and Bengio 2016, "Unitary Evolution Recurrent Neural Networks", section 4.1.

    Ten of eight symbols come, then `wait` - 1 blanks, a signal, and ten more blanks, during which the symbols are to be said
    again in their order; before that blanks are to be said. `recall` is the share of the symbols that is right,
    `exact_match` that of sequences in which everything is. Beside the cross-entropy stands what it is of something without a
    memory, 10 ln 8 / (wait + 20).

    Args:
        wait: how many timesteps there are from the first after the symbols to the signal, which is the last of them.
        training_examples: how many are drawn to train on; any that is held out, too, is left out.
        held_out_examples: how many others are drawn to be judged by.
        split_seed: of all draws; no part of a training run's seed.
    """

    description = "ten symbols and a long wait -> the ten symbols again"
    likelihood = "each"

    def __init__(
        self, wait: int = 100, training_examples: int = 10_000, held_out_examples: int = 2_000, split_seed: int = 0
    ):
        check_option("wait", wait, 1, LONGEST)
        check_drawn(wait + 2 * COUNT, training_examples=training_examples, held_out_examples=held_out_examples)
        self.wait, self.split_seed = wait, split_seed
        self.training_examples, self.held_out_examples = training_examples, held_out_examples
        said = f"[{SYMBOLS}]{{{COUNT}}}"
        pattern = rf"{said}[{BLANK}]{{{wait - 1}}}{SIGNAL}[{BLANK}]{{{COUNT}}}"
        hint = f"{COUNT} of the symbols {SYMBOLS}, {wait - 1} times {BLANK}, {SIGNAL}, {COUNT} times {BLANK}"
        self.input = TextInput("symbols", SYMBOLS + BLANK + SIGNAL, pattern, hint, self._question("cabbadfehg"))
        self.answer = LabelsAnswer("copy", SYMBOLS + BLANK, joined=True)

    def right_answer(self, raw):
        return BLANK * (self.wait + COUNT) + raw[:COUNT]

    def train(self):
        return apart(self._draw(self.training_examples, 0), self.first_test())

    def validation(self):
        return apart(self._draw(self.held_out_examples, 1), self.first_test())

    def tests(self):
        return {"held_out": functools.partial(self._draw, self.held_out_examples, 2)}

    def samples(self):
        return [self._question(symbols) for symbols in ("cabbadfehg", "aaaaaaaaaa")]

    def score(self, examples, predicted):
        """Beside whole answers, the share of the symbols that are right."""
        right = [
            [said == meant for said, meant in zip(given[-COUNT:], answer[-COUNT:], strict=True)]
            for given, answer in zip(predicted, examples.answers, strict=True)
        ]
        return {**super().score(examples, predicted), "recall": float(np.mean(right))}

    def references(self):
        """The cross-entropy of something without a memory."""
        return {"memoryless_nats_per_character": COUNT * math.log(len(SYMBOLS)) / (self.wait + 2 * COUNT)}

    def _question(self, symbols):
        return symbols + BLANK * (self.wait - 1) + SIGNAL + BLANK * COUNT

    def _draw(self, count, stream):
        rng = np.random.default_rng([self.split_seed, self.wait, stream])
        symbols = rng.choice(list(SYMBOLS), (count, COUNT))
        questions = [self._question("".join(row)) for row in symbols]
        return Examples(questions, [self.right_answer(question) for question in questions])
