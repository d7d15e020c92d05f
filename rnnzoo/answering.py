"""Answers for raw input, whatever computes them: checked, in batches of like length, in order. TensorFlow is not needed."""

import numpy as np

from rnnzoo.errors import InputError

# A batch holds at most so many timesteps, padding included, and so many samples: memory stays bounded at any length.
TIMESTEPS, SAMPLES = 2**20, 1024
# What `predict_iter` reads ahead: so many samples, or fewer of so many timesteps in all.
CHUNK, CHUNK_TIMESTEPS = 8192, 2**22


class Answerer:
    """What answers raw input: a trained model in Keras, or an exported one.

    Who inherits from it says how a batch is run: `_named` and `_outputs`.

    Args:
        name: the preset's, in messages.
        task: its task.
    """

    def __init__(self, name, task):
        self.name, self.task = name, task

    def _named(self, batch):
        """A list of checked inputs -> a dict of named answers as NumPy arrays, as `task.answer.answers` takes them."""
        raise NotImplementedError

    def _outputs(self, batch):
        """A list of checked inputs -> the model's outputs (batch, ...) as a NumPy array."""
        raise NotImplementedError

    def _fits(self, checked):
        """Raises `InputError` where a checked input is more than what runs it can take."""

    def predict(self, inputs, progress=None):
        """A list of answers, one for each raw input, in order.

        Args:
            inputs: a list of raw inputs (see `rnnzoo info PRESET`), or of rows of characters or token ids; a
                `tf.RaggedTensor` of rows; or an array of raw inputs (batch,) or of rows (batch, timesteps), padded with 0
                (or with empty strings) at either end. A number d in a row of digits is that digit; in padded arrays,
                where 0 is padding, the digit 0 is 10. Real vectors are rows of numbers, (batch, features) or (batch,
                timesteps, features), and nothing in them is padding. Pictures are paths, or grey levels (batch, 28, 28).
            progress: called with the number of inputs that each batch has answered.

        Raises:
            InputError: an input is not what the task takes; it says which, and where in it.
        """
        return self._answer(self.check(inputs), progress)

    def predict_iter(self, inputs, *, chunk=CHUNK, where=None):
        """Answers as they come, in order, for raw inputs without end: at most `chunk` of them are read ahead.

        Args:
            inputs: any iterable of raw inputs or of rows, or what else `predict` takes. It is read lazily.
            chunk: how many inputs run together, sorted by length; fewer where they are long.
            where: a function: the number of an input, from 1 -> what a message about it begins with.

        Yields:
            An answer for each input.

        Raises:
            InputError: `chunk` is below 1 (at once), or an input is not what the task takes: after the answers to all
                inputs before it.
        """
        if chunk < 1:
            raise InputError(f"chunk must be a positive integer, not {chunk}")
        return self._stream(self._checked(inputs, where), chunk)

    def _stream(self, checked, chunk):
        wrong = None
        while wrong is None:
            held, timesteps = [], 0
            try:
                for one in checked:
                    held.append(one)
                    timesteps += self.task.input.steps(one)
                    if len(held) == chunk or timesteps >= CHUNK_TIMESTEPS:
                        break
            except InputError as error:
                wrong = error
            if not held:
                break
            yield from self._answer(held)
        if wrong is not None:
            raise wrong

    def _answer(self, checked, progress=None):
        """Checked inputs -> a list of their answers."""
        answers = [None] * len(checked)
        for indices in self._batches(checked):
            named = self._named([checked[i] for i in indices])
            for i, answer in zip(indices, self.task.answer.answers(named), strict=True):
                answers[i] = answer
            if progress is not None:
                progress(len(indices))
        return answers

    def scores(self, inputs):
        """The model's raw outputs (samples, ...) for raw inputs, as a NumPy array.

        Sequences are padded with zeros to the longest: (samples, timesteps, outputs). Where the model writes its answer,
        they are the outputs at the steps that greedy decoding took.
        """
        checked = self.check(inputs)
        rows = [None] * len(checked)
        for indices in self._batches(checked):
            for i, row in zip(indices, self._outputs([checked[i] for i in indices]), strict=True):
                rows[i] = row
        if not rows or rows[0].ndim == 1:
            return np.array(rows)
        padded = np.zeros((len(rows), max(map(len, rows)), rows[0].shape[-1]), rows[0].dtype)
        for i, row in enumerate(rows):
            length = len(row) if self.task.answer.generated else self.task.input.steps(checked[i])
            padded[i, :length] = row[:length]
        return padded

    def check(self, inputs):
        """The inputs as the task's front takes them; what `predict` and `scores` begin with."""
        return list(self._checked(inputs))

    def _checked(self, inputs, where=None):
        """The inputs one by one, as the task's front takes them."""
        each = getattr(self.task.input, "each", None)  # of what is no row of symbols
        rows = _rows(inputs, getattr(self.task.input, "sequence", False)) if each is None else _whole(each(inputs))
        for number, (raw, padded) in enumerate(rows, 1):
            try:
                if isinstance(raw, list) and each is None:
                    raw = self.task.input.join(raw, padded)
                raw = self.task.input.check(raw)
                self._fits(raw)
            except InputError as error:
                begin = f"{self.name}: input {number}" if where is None else where(number)
                raise InputError(f"{begin}: {error}") from None
            yield raw

    def _batches(self, checked):
        """Indices of samples that run together: of like length, so that little is padded."""
        steps = np.array([self.task.input.steps(raw) for raw in checked], int)
        batch = []
        for i in np.argsort(steps, kind="stable").tolist():
            full = len(batch) == SAMPLES or (len(batch) + 1) * steps[i] > TIMESTEPS
            if batch and (full or (not self.task.input.pads and steps[i] != steps[batch[0]])):
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch


def _whole(inputs):
    """Each sample as it is."""
    return ((raw, False) for raw in inputs)


def _rows(inputs, vectors=False):
    """Each sample as a raw input or a list of symbols (of vectors), and whether it may be padded."""
    if isinstance(inputs, str | bytes | int):
        inputs = [inputs]
    padded = hasattr(inputs, "__array__")  # rows of an array are of one length
    if hasattr(inputs, "to_list"):  # a tf.RaggedTensor
        inputs, padded = inputs.to_list(), False
    elif hasattr(inputs, "numpy"):  # a tf.Tensor
        inputs = inputs.numpy()
    if isinstance(inputs, np.ndarray):
        if not 1 <= inputs.ndim <= 2 + vectors:
            expected = "(batch, timesteps, features)" if vectors else "(batch,) or (batch, timesteps)"
            raise InputError(f"an array of shape {inputs.shape}; expected {expected}")
        inputs = inputs.tolist()
    for row in inputs:
        row = row.tolist() if isinstance(row, np.ndarray | np.generic) else row
        yield (list(row) if isinstance(row, list | tuple) else row), padded
