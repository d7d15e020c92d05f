"""Answers for raw input."""

import tensorflow as tf

from rnnzoo.answering import Answerer
from rnnzoo.building import create_task, load_trained
from rnnzoo.registry import load_preset
from rnnzoo.serving import CompiledAnswers, Serving


class Predictor(Answerer):
    """A trained model with everything between raw input and answer.

    Attributes:
        model: the plain `keras.Model`.
        preset: its `Preset`.
        task: its task.
    """

    def __init__(self, model, preset, task):
        super().__init__(preset.name, task)
        self.model, self.preset = model, preset
        serving = Serving(model, task)
        # One signature: the functions are traced once, whatever the batch size and the length.
        self._answers = tf.function(serving.answers, input_signature=[task.input.spec], autograph=False)
        self._compiled = CompiledAnswers(serving)
        self._scores = tf.function(serving.scores, input_signature=[task.input.spec], autograph=False)

    def _named(self, batch):
        named = self._compiled(batch)
        if named is None:
            named = {name: tensor.numpy() for name, tensor in self._answers(self.task.input.tensor(batch)).items()}
        return named

    def _outputs(self, batch):
        return self._scores(self.task.input.tensor(batch)).numpy()


def from_preset(name):
    """The trained `Predictor` of a preset.

    Args:
        name: a name in the zoo, or the path of a preset's or training run's folder.

    Raises:
        InputError: there is no such preset, or its weights are missing or damaged.
    """
    preset = load_preset(name)
    return Predictor(load_trained(preset), preset, create_task(preset))
