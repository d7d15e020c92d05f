"""Answers for raw input."""

import tensorflow as tf

from rnnzoo.answering import Answerer
from rnnzoo.building import create_task, load_trained
from rnnzoo.registry import load_preset
from rnnzoo.serving import CompiledAnswers, Serving
from rnnzoo.streaming import Stepper, Stream


class Predictor(Answerer):
    """A trained model with everything between raw input and answer.

    Attributes:
        model: the plain `keras.Model`.
        preset: its `Preset`.
        task: its task.
        serving: its graph functions, and its `Decoder` where it writes.
    """

    def __init__(self, model, preset, task):
        super().__init__(preset.name, task)
        self.model, self.preset = model, preset
        self.serving = serving = Serving(model, task)
        # One signature: the functions are traced once, whatever the batch size and the length.
        self._answers = tf.function(serving.answers, input_signature=[task.input.spec], autograph=False)
        self._compiled = CompiledAnswers(serving)
        self._scores = tf.function(serving.scores, input_signature=[task.input.spec], autograph=False)
        self._stepper = self._writer = None

    def _named(self, batch):
        named = self._compiled(batch)
        if named is None:
            named = {name: tensor.numpy() for name, tensor in self._answers(self.task.input.tensor(batch)).items()}
        return named

    def stream(self):
        """A `Stream`: takes one timestep of a new sequence at a time and answers at each, as `predict` would.

        Raises:
            InputError: the model needs its whole input first: it runs in both directions, reads its whole source before it
                writes, or has no timesteps.
        """
        if self._stepper is None:
            self._stepper = Stepper(self.model, self.preset, self.task)
        return Stream(self._stepper)

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
