"""From raw input to answer inside one TensorFlow graph: what `predict` runs is what `export` writes."""

from rnnzoo.decoding import Decoder


class Serving:
    """The graph functions of a model and its task.

    Args:
        model: the trained model.
        task: its task.
    """

    def __init__(self, model, task):
        self.model, self.task = model, task
        self.decoder = None
        if task.answer.generated:
            end = task.answer.end_token
            # An encoder-decoder was taught to begin with the end token; a one-to-many begins with nothing.
            start = end if "source" in {tensor.name for tensor in model.inputs} else 0
            self.decoder = Decoder(model, max_length=task.answer.max_length + 1, start_token=start, end_token=end)

    def answers(self, raw):
        """(batch,) raw inputs -> a dict of named answers."""
        inputs = self.task.input.front(raw)
        written, outputs = self._run(inputs)
        return self.task.answer.back(outputs if written is None else written, inputs)

    def scores(self, raw):
        """(batch,) raw inputs -> the model's outputs, of the steps that greedy decoding took where it writes."""
        return self._run(self.task.input.front(raw))[1]

    def _run(self, inputs):
        return (None, self.model(inputs)) if self.decoder is None else self.decoder(inputs)
