"""`explain`: the trace of a preset for raw input, with what its numbers stand for."""

from typing import Any, NamedTuple

from rnnzoo.building import as_taught, build, create_task, load_trained
from rnnzoo.epochs import make_loss
from rnnzoo.errors import InputError
from rnnzoo.explaining._flow import gradient_flow
from rnnzoo.explaining._parts import Trace
from rnnzoo.explaining._trace import trace
from rnnzoo.predicting import Predictor, from_preset
from rnnzoo.registry import Preset, load_preset
from rnnzoo.tasks._task import plain


class Explanation(NamedTuple):
    """A trace for one raw input.

    Attributes:
        input: the raw input, checked.
        predicted: the model's answer.
        answer: the answer that the loss compares with, or `None` where nobody knows it.
        tokens: input name -> what stands at each timestep, as text; without the inputs that have no timesteps.
        loss: the name of the loss.
        trace: the `Trace`, of a batch of one.
        model: the model that was traced.
        outputs: what the model's outputs stand for, as text: one a timestep, or one.
        names: what each output stands for, as text, where the answer is one of a few; else empty.
        wanted: the right answer at each timestep of the output, as text; empty where nobody knows it.
    """

    input: Any
    predicted: Any
    answer: Any
    tokens: dict
    loss: str
    trace: Trace
    model: Any
    outputs: list
    names: list
    wanted: list

    @property
    def told(self):
        """What to say first: what -> value."""
        return {"input": self.input, "answer": self.predicted, "right answer": self.answer, "loss": self.loss}


def explain(preset, raw, answer=None):
    """What flows forward and backward through a preset's trained model for one raw input.

    Args:
        preset: a name, a folder, or a `Predictor`.
        raw: the raw input.
        answer: the right answer, as text; the task's own if `None` and it can tell. Where nobody knows it there is the way
            forward alone; a model that writes is then traced over what it wrote.

    Returns:
        An `Explanation`.

    Raises:
        InputError: there is no such preset or it has no weights, the input or the answer is wrong, or one does not fit the
            other.
    """
    predictor = preset if isinstance(preset, Predictor) else from_preset(preset)
    preset, model, task = predictor.preset, predictor.model, predictor.task
    (checked,) = predictor.check([raw])
    (predicted,) = predictor.predict([checked])
    right = task.right_answer(checked) if answer is None else task.answer.parse(str(answer))
    shown = right
    if right is None and task.answer.generated:
        shown = predicted or None
    if shown is None:
        inputs, targets = task.input.front(task.input.tensor([checked])).numpy(), None
    else:
        model, inputs, targets, _ = as_taught(preset, model, task, [checked], [shown])
        if task.answer.per_timestep and not task.answer.generated and targets.shape[1] != inputs.shape[1]:
            raise InputError(f"{targets.shape[1]} answers for {inputs.shape[1]} timesteps; expected one for each")
    traced = trace(model, inputs, None if right is None else targets, loss=make_loss(preset))
    tokens, outputs = _tokens(task, traced, checked), _outputs(task, predicted, traced)
    told = _names(task.answer), _wanted(task.answer, right)
    return Explanation(plain(checked), predicted, right, tokens, preset.training.loss, traced, model, outputs, *told)


def preset_flow(preset, examples=64, seed=None):
    """`gradient_flow` of a preset over held-out examples of its task.

    Args:
        preset: a name, a folder, or a `Preset`.
        examples: how many of them.
        seed: of the initial weights of an untrained model, which is then looked at; the trained one if `None`.

    Returns:
        A list of `LayerFlow`.

    Raises:
        InputError: as `gradient_flow`, or the preset has no weights.
    """
    preset = preset if isinstance(preset, Preset) else load_preset(preset)
    model, task = load_trained(preset) if seed is None else build(preset, seed=seed), create_task(preset)
    held_out = task.first_test()
    few = held_out.take(range(min(examples, len(held_out.inputs))))
    checked = [task.input.check(raw) for raw in few.inputs]
    model, inputs, targets, weights = as_taught(preset, model, task, checked, few.answers)
    return gradient_flow(model, inputs, targets, loss=make_loss(preset), sample_weight=weights)


def _tokens(task, traced, checked):
    """What stands at each timestep of the inputs that hold token ids."""
    tokens = {}
    for name, array in traced.inputs.items():
        if array.ndim == 3 and array.dtype.kind == "i" and hasattr(task.input, "tokens"):
            tokens[name] = task.input.tokens(checked)
        if array.ndim != 2 or array.dtype.kind != "i":
            continue
        side = task.answer if name == "target" else task.input
        alphabet, unknown = side.alphabet, getattr(side, "unknown", None)
        tokens[name] = [
            "<unknown>" if token == unknown else _character(alphabet, int(token), first=name == "target" and t == 0)
            for t, token in enumerate(array[0])
        ]
    return tokens


def _names(answer):
    """What each output stands for."""
    if answer.generated:
        return ["<padding>", *answer.alphabet, "<end>"]
    return list(map(str, getattr(answer, "labels", ())))


def _wanted(answer, right):
    """The right answer at each timestep of the output."""
    if right is None:
        return []
    if answer.generated:
        return [*answer.pieces(right), "<end>"]
    return [str(one) for one in right] if answer.per_timestep else [str(right)]


def _outputs(task, predicted, traced):
    """What the outputs stand for; of a text, at each timestep the likeliest token."""
    if task.answer.generated:
        return [_character(task.answer.alphabet, int(token), first=False) for token in traced.outputs[0].argmax(axis=-1)]
    if not task.answer.per_timestep:
        return [str(predicted)]
    return [", ".join(map(str, step)) if isinstance(step, tuple) else str(step) for step in predicted]


def _character(alphabet, token, first):
    if token == 0:
        return ""
    if token > len(alphabet):
        return "<start>" if first else "<end>"
    return alphabet[token - 1]
