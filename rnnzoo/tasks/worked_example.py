"""One example that is worked by hand."""

import numpy as np

from rnnzoo.errors import InputError
from rnnzoo.tasks._task import Examples, Task
from rnnzoo.tasks._vectors import VectorAnswer, VectorInput, parse


class WorkedExample(Task):
    """One input and its target, real vectors or sequences of them, that a network is trained on and judged by.

    Nothing is held out, for there is nothing to generalise: the numbers on the way are what it is about.

    Args:
        inputs: the input, a vector, or a vector for each timestep.
        targets: what the outputs are to become, of as many timesteps.
        tolerance: how far off an output counts as right.
    """

    description = "real vectors -> real vectors: one example, to be followed by hand"
    metric = "within_tolerance"

    def __init__(self, inputs: tuple = (0.05, 0.1), targets: tuple = (0.01, 0.99), tolerance: float = 0.01):
        sequence = bool(inputs) and isinstance(inputs[0], tuple)
        given = {"inputs": inputs, "targets": targets}
        expected = "expected a row of numbers for each timestep" if sequence else "expected a row of numbers"
        rows = {name: parse(value, sequence, f"{expected} in task_options.{name}") for name, value in given.items()}
        for name, vectors in rows.items():
            if len({len(vector) for vector in vectors}) > 1:
                raise InputError(f"task_options.{name}: the timesteps are of different widths")
        if len(rows["inputs"]) != len(rows["targets"]):
            raise InputError(
                f"task_options.targets: {len(rows['targets'])} for {len(rows['inputs'])} timesteps; expected one for each"
            )
        if tolerance <= 0:
            raise InputError(f"task_options.tolerance={tolerance}: expected a number above 0")
        text = " ".join(":".join(f"{number:g}" for number in row) for row in rows["inputs"])
        self.input = VectorInput("inputs", len(rows["inputs"][0]), sequence, text if sequence else text.replace(":", " "))
        self.answer = VectorAnswer("outputs", len(rows["targets"][0]), sequence, tolerance)
        self.example = (rows["inputs"] if sequence else rows["inputs"][0]), self.answer.of_rows(rows["targets"])

    def train(self):
        return Examples([self.input.check(self.example[0])], [self.example[1]])

    def tests(self):
        """The example itself."""
        return {"example": self.train}

    def right_answer(self, raw):
        return self.example[1] if np.array_equal(raw, self.input.check(self.example[0])) else None

    def score(self, examples, predicted):
        """The share that is within the tolerance, and the half squared error, summed over outputs and timesteps."""
        errors = [_errors(*pair) for pair in zip(predicted, examples.answers, strict=True)]
        error = sum(e**2 for row in errors for e in row) / 2 / len(errors)
        return {**super().score(examples, predicted), "half_squared_error": error}

    def is_right(self, given, answer):
        return max(map(abs, _errors(given, answer))) <= self.answer.tolerance


def _errors(given, answer):
    """How far off each number is."""
    return [g - a for g, a in zip(_flat(given), _flat(answer), strict=True)]


def _flat(answer):
    return [number for part in answer for number in (part if isinstance(part, tuple) else (part,))]
