"""From raw input to answer inside one TensorFlow graph: what `predict` runs is what `export` writes."""

import numpy as np
import tensorflow as tf

from rnnzoo.decoding import Decoder
from rnnzoo.sampling import Sampler
from rnnzoo.tasks._inputs import TextInput


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
        return self.answers_of(self._front(raw))

    def answers_of(self, inputs):
        """(batch, ...) what the front made of raw inputs -> a dict of named answers."""
        written, outputs = self._run(inputs)
        return self.task.answer.back(outputs if written is None else written, inputs)

    def scores(self, raw):
        """(batch,) raw inputs -> the model's outputs, of the steps that greedy decoding took where it writes."""
        return self._run(self._front(raw))[1]

    def scores_of(self, inputs):
        """(batch, ...) what the front made of raw inputs -> the same."""
        return self._run(self._at_least_one_timestep(inputs))[1]

    def states_of(self, inputs):
        """(batch, ...) what the front made of raw inputs -> the states that a model which writes begins with."""
        return dict(self.decoder.start(self._at_least_one_timestep(inputs)))

    def sampled(self, raw, temperature, top_k, seed, max_length):
        """(batch,) raw inputs -> a dict of named answers, drawn token by token (see `Sampler`).

        The texts have at most `max_length` characters, an int32 scalar tensor, 1 or more.
        """
        check = tf.debugging.Assert(max_length >= 1, ["expected a max_length of 1 or more; got", max_length])
        with tf.control_dependencies([check]):
            inputs, max_length = self._front(raw), tf.identity(max_length)
        written, _ = self.decoder(inputs, Sampler(temperature, top_k, seed), max_length)
        return self.task.answer.back(written, inputs)

    def _front(self, raw):
        return self._at_least_one_timestep(self.task.input.front(raw))

    def _at_least_one_timestep(self, inputs):
        """Inputs, of one timestep of padding where they have none, as those of an empty batch: a loop needs one."""
        rank = inputs.shape.rank
        if rank == 3 or inputs.dtype.is_integer:
            padding = [[0, 0], [0, tf.cast(tf.shape(inputs)[1] == 0, tf.int32)], [0, 0]][:rank]
            inputs = tf.pad(inputs, padding, constant_values=getattr(self.task.input, "mask_value", None) or 0)
        return inputs

    def _run(self, inputs):
        return (None, self.model(inputs)) if self.decoder is None else self.decoder(inputs)


class CompiledAnswers:
    """Answers for a few short texts that are asked for again and again, compiled by XLA.

    Batch and timesteps are padded up to a bucket, and each bucket is compiled once: padding is invisible, so the answers
    stay the same, and what can be compiled stays bounded. Compiling takes a third of a second, which only a bucket that is
    met again and again is worth: a lone prediction never pays for it.

    Args:
        serving: a `Serving`.
    """

    # Past these a call is so long that little is won.
    SAMPLES, TIMESTEPS = 32, 4096
    # A bucket is compiled when it is met for the third time in a row, or when it has taken about as long as compiling.
    IN_A_ROW, IN_ALL = 3, 64

    def __init__(self, serving):
        self._serving, self._input = serving, serving.task.input
        # Token ids alone, and what is read off the outputs in one go: a text is written by a loop that may end anywhere.
        self._able = type(self._input) is TextInput and serving.decoder is None
        self._function, self._compiled, self._met, self._row = None, set(), {}, (None, 0)
        if self._able:
            self._ids = np.zeros(max(map(ord, self._input.alphabet)) + 1, np.int32)  # code point -> token id
            self._ids[[ord(character) for character in self._input.alphabet]] = range(1, len(self._input.alphabet) + 1)

    def __call__(self, checked):
        """A list of checked inputs -> a dict of named answers as NumPy arrays, or `None` where nothing is compiled yet."""
        if not self._able or len(checked) > self.SAMPLES:
            return None
        timesteps = max(map(self._input.steps, checked))
        if timesteps > self.TIMESTEPS:
            return None
        bucket = 1 << (len(checked) - 1).bit_length(), padded_length(timesteps)
        if bucket not in self._compiled and not self._compile(bucket):
            return None
        named = self._function(tf.constant(self.token_ids(checked, *bucket)))
        return {name: tensor.numpy()[: len(checked)] for name, tensor in named.items()}

    def token_ids(self, checked, batch, timesteps):
        """What `front` makes of checked texts, padded to (batch, timesteps): without TensorFlow, twenty times as fast."""
        ids = np.zeros((batch, timesteps), np.int32)
        for row, text in zip(ids, checked, strict=False):
            points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
            row[: len(points)] = self._ids[points[::-1] if self._input.reverse else points]
            if self._input.end_token:
                row[len(points)] = self._input.vocabulary_size - 1
        return ids

    def _compile(self, bucket):
        """Compiles for a bucket once it is worth it, and says whether it did."""
        self._met[bucket] = self._met.get(bucket, 0) + 1
        self._row = bucket, self._row[1] + 1 if self._row[0] == bucket else 1
        if self._row[1] < self.IN_A_ROW and self._met[bucket] < self.IN_ALL:
            return False
        try:
            if self._function is None:
                self._function = _direct(self._serving.answers_of)
            self._function(tf.zeros(bucket, tf.int32))
        except tf.errors.OpError:  # XLA does not know all that TensorFlow does, strings for one
            self._able = False
            return False
        self._compiled.add(bucket)
        return True


def _direct(function):
    """(batch, timesteps) int32 -> what `function` returns: compiled, and called with as little Python as can be."""
    compiled = tf.function(function, jit_compile=True, autograph=False)
    compiled = compiled.get_concrete_function(tf.TensorSpec([None, None], tf.int32))
    captured = list(compiled.captured_inputs)  # the model's variables themselves, not their values
    # Choosing among traces and checking arguments would take as long as a hundred timesteps do.
    return lambda ids: compiled.inference_fn.call_preflattened([ids, *captured])


def padded_length(timesteps):
    """The bucket of a length: the next of 8, 10, 12, 14, 16, 20, 24, 28, 32, 40 and so on, four to each doubling."""
    step = max(1 << (timesteps - 1).bit_length() >> 3, 2)
    return max(8, -(-timesteps // step) * step)
