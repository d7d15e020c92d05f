"""What an export must give: inputs, and what the Keras model made of them; and how far another runtime is from it."""

import itertools
import json
from typing import NamedTuple

import numpy as np

from rnnzoo.bounded import first_line, from_json
from rnnzoo.errors import InputError
from rnnzoo.running import _tensors

# Inputs of each kind, and how many timesteps the longest random one has at the most.
ROWS, TIMESTEPS = 8, 64
FILE = "proof.json"


class Difference(NamedTuple):
    """How far an export is from the Keras model.

    Attributes:
        largest: the largest difference of an output, relative to the largest output of its input.
        answers: how many answers were compared.
        different: of those that are not the same, (raw input, answer, the Keras model's answer).
    """

    largest: float
    answers: int
    different: list

    @property
    def same(self):
        """How many answers are the same, and of how many, in words."""
        return f"{self.answers - len(self.different)} of {self.answers}"


def draw(predictor, seed=0):
    """A proof: what goes in and what comes out of a trained model, in values that JSON has.

    Args:
        predictor: the `Predictor`.
        seed: of what is drawn.

    Returns:
        A dict of `inputs`, random token ids or vectors of random lengths, padded at the end (of models that write, those of
        raw inputs); `scores`, the model's outputs for them; `raw`, inputs as they occur (of the user's own file where the
        model was trained on one); and `answers`, the model's.
    """
    # Imported here: what only compares needs no TensorFlow.
    from rnnzoo.evaluating import held_out
    from rnnzoo.tasks._task import plain

    task, rng = predictor.task, np.random.default_rng(seed)
    inputs = task.raw_inputs() if predictor.preset.own_data is None else held_out(predictor).inputs
    chosen = sorted(rng.choice(len(inputs), min(ROWS, len(inputs)), replace=False).tolist())
    raw = predictor.check([inputs[i] for i in chosen])
    about = task.input.describe()
    if not task.input.pads:  # rows of a batch are of one length
        raw = [one for one in raw if task.input.steps(one) == task.input.steps(raw[0])]
    front = _tensors.front(about, raw)
    if task.answer.generated:
        inputs, scores = front, predictor.scores(raw)
    else:
        longest = max(map(task.input.steps, raw))
        longest = min(longest, TIMESTEPS) if task.input.pads else longest
        inputs = _random(predictor.model.inputs[0], about, task.input, longest, rng)
        scores = predictor.model(inputs, training=False).numpy()
    return {
        "seed": seed,
        "inputs": plain(inputs) if inputs.dtype == np.float32 else inputs.tolist(),
        "scores": plain(scores),
        "raw": [plain(one) for one in raw],
        "answers": json.loads(json.dumps(predictor.predict(raw))),
    }


def _random(tensor, about, kind, longest, rng):
    """(rows, ...) what a model takes: the longest first, then one of one timestep, then those of random lengths."""
    shape = [longest if size is None else size for size in tensor.shape[1:]]
    if tensor.dtype == "int32":
        inputs = rng.integers(1, kind.vocabulary_size, (ROWS, *shape)).astype(np.int32)
    else:
        inputs = rng.normal(size=(ROWS, *shape)).astype(np.float32)
    if None in tensor.shape[1:] and kind.pads:
        for row, length in zip(inputs[1:], [1, *rng.integers(1, longest + 1, ROWS - 2)], strict=True):
            row[length:] = about["padding"]
    return inputs


def read_proof(text, where):
    """The proof that a text in JSON is.

    Raises:
        InputError: it is none.
    """
    try:
        proof = from_json(text)
        if not all(isinstance(proof[name], list) for name in ("inputs", "scores", "raw", "answers")):
            raise TypeError("no lists of what goes in and what comes out")
        if len(proof["raw"]) != len(proof["answers"]) or len(proof["inputs"]) != len(proof["scores"]):
            raise ValueError("not as much comes out as goes in")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{where}: no proof of what it must answer ({first_line(error)}); export again") from None
    return proof


def arrays(proof, description):
    """The `inputs` and the `scores` of a proof as NumPy arrays."""
    try:
        return np.array(proof["inputs"], _tensors.dtype(description["input"])), np.array(proof["scores"], np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"the proof of {description['preset']} holds no arrays of numbers: {first_line(error)}") from None


def compare(proof, description, run, answers):
    """What another runtime gave for a proof against what is in it.

    Args:
        proof: see `draw`.
        description: what the export says of itself.
        run: a dict of `scores` (rows, ...), for its `inputs`, and of `rows` and `asked`, which of them and of `raw` they and
            the answers are for where not for all.
        answers: a list, for its `raw`.

    Returns:
        A `Difference`. Answers that are real numbers are the same within what the outputs may differ by; see `limit`.
    """
    inputs, expected = arrays(proof, description)
    rows, asked = run.get("rows", [*range(len(inputs))]), run.get("asked", [*range(len(proof["raw"]))])
    inputs, expected, scores = inputs[rows], expected[rows], np.asarray(run["scores"], np.float32)
    real = description["answer"]["kind"] in ("real", "vectors")
    answers, wanted = json.loads(json.dumps(answers)), [proof["answers"][i] for i in asked]
    same = (lambda one, other: _near(one, other, limit(description))) if real else (lambda one, other: one == other)
    pairs = itertools.zip_longest([proof["raw"][i] for i in asked], answers, wanted)
    return Difference(_largest(description, inputs, scores, expected), len(asked), [p for p in pairs if not same(*p[1:])])


def _largest(description, inputs, scores, expected):
    """The largest difference of a row relative to its largest output; infinite where there is none."""
    if scores.shape != expected.shape:
        return float("inf")
    if scores.ndim == 3 and description["decoding"] is None:  # what padding gives means nothing
        used = _tensors.used(description["input"], inputs)[:, :, None]
        scores, expected = (np.where(used, array, 0) for array in (scores, expected))
    if not np.isfinite(scores).all():
        return float("inf")
    axes = tuple(range(1, scores.ndim))
    most = np.maximum(np.abs(expected).max(axis=axes), np.finfo(np.float32).tiny)
    return float((np.abs(scores - expected).max(axis=axes) / most).max())


def limit(description):
    """The largest relative difference that an export may have: 1e-5, of LiteRT 1e-4; `None` where weights are of 8 bits."""
    if description.get("int8"):
        return None
    return 1e-4 if description["format"] == "litert" else 1e-5


def _near(one, other, tolerance):
    one, other = np.asarray(one, float), np.asarray(other, float)  # None, where one is absent, is no number: not equal
    return one.shape == other.shape and (
        tolerance is None or bool((np.abs(one - other) <= tolerance * max(np.abs(other).max(initial=0), 1e-30)).all())
    )
