"""Training on more examples than memory holds: read from their files anew in every epoch, through `tf.data`."""

import hashlib
import heapq
import itertools
import threading

import keras
import numpy as np
import tensorflow as tf

from rnnzoo._buckets import Plan, choose_buckets, share_of
from rnnzoo.distributing import together
from rnnzoo.epochs import CompiledEpochs, CompiledLoop, drain, knows_xla, steps_per_epoch
from rnnzoo.errors import InputError
from rnnzoo.files import sha256_of
from rnnzoo.tasks._task import Examples, Task, key
from rnnzoo.userdata import Read, each, files_of, nothing_in

# Files of more bytes than this are streamed.
STREAMED_FROM = 2**28
# No more examples than these are held out, and none is learned from (a vocabulary, labels) beyond the first so many.
MOST_HELD_OUT, MOST_LEARNED = 100_000, 1_000_000
# Examples that are turned into arrays in one go, and that are read from a file before another one has its turn.
CHUNK, TURN = 2048, 256
# Files that are open at a time.
OPEN = 16
# Examples that wait in the buffer that is drawn from, and the most bytes of them.
BUFFER, BUFFER_BYTES = 65_536, 2**27
# Batches a compiled call.
STEPS = 64
# Examples whose lengths decide on the buckets.
MEASURED = 65_536


def is_streamed(source, task, asked=None):
    """Whether the examples of a `Source` are streamed: where it is asked for, and else where their files are large.

    Raises:
        InputError: it is asked for, and the task's examples cannot be.
    """
    whole = task.drawn and task.likelihood == "joined"
    if whole or type(task).cut is not Task.cut:
        if asked:
            what = "are read as one text" if whole else "are cut into pieces"
            raise InputError(f"{source.path}: examples of this task {what}, and cannot be streamed")
        return False
    if asked is not None:
        return asked
    files = files_of(source.path, task, check=False)  # they are looked at closely when they are read
    return sum(file.stat().st_size for file in files if file.is_file()) > STREAMED_FROM


class StreamedExamples:
    """A user's examples, of which a share is held out by a hash of the input (of the answer, where inputs say nothing).

    All of them are read once, and checked, before anything is trained. The share is smaller where more than 100,000 would be
    held out.

    Attributes:
        examples: how many there are to train on.
        held_out: the `Examples` that are not.
        first: the first of those to train on, up to a million: what the task learns from.
        sha256: of the files.

    Args:
        source: the `Source`.
        task: the task.
        notice: called with lines that say what was skipped.

    Raises:
        InputError: a row is wrong, or there are too few to hold any out.
    """

    def __init__(self, source, task, notice=None):
        self.source, self.task, self.files = source, task, files_of(source.path, task)
        for file in self.files:
            if not file.is_file():
                raise InputError(f"{file}: no such file")
        self.sha256 = sha256_of((file.name, file) for file in self.files)
        if source.sha256 is not None and source.sha256 != self.sha256:
            raise InputError(f"{source.path}: its files changed since the run began; restore them, or train anew")
        self._constant = task.input.kind == "constant"
        self._below = source.valid * 2**64
        held_out, number, skipped, first = [], 0, _Few(), ([], [])
        for given, answer in each(source, self.files, task, skipped.append):
            place = self._place(given, answer)
            if place < self._below:
                heapq.heappush(held_out, (-place, number, given, answer))
                if len(held_out) > MOST_HELD_OUT:  # what has the largest hash is trained on, and all of that hash
                    self._below = -held_out[0][0]
                    while held_out and -held_out[0][0] >= self._below:
                        heapq.heappop(held_out)
            elif len(first[0]) < (MOST_LEARNED if task.learns else MEASURED):
                first[0].append(given)
                first[1].append(answer)
            number += 1
        if not number:
            raise nothing_in(source.path, task, skipped)
        held_out.sort(key=lambda one: one[1])
        self.examples, self.first = number - len(held_out), Examples(*first)
        self.held_out = Examples([one[2] for one in held_out], [one[3] for one in held_out])
        if not self.examples or not held_out:
            what = "answers" if self._constant else "inputs"
            raise InputError(f"{source.path}: too few distinct {what} to hold {source.valid:.4g} of them out")
        for line in Read(Examples(range(number), ()), skipped).notices() if skipped else ():
            if notice is not None:
                notice(line)

    def _place(self, given, answer):
        """A number below 2^64, the same for the same input."""
        one = answer if self._constant else given
        text = repr(key(one))
        return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")

    def chunks(self, rng):
        """All examples to train on in an order that is drawn, as lists of inputs and answers, up to `CHUNK` in each.

        Files come in any order, up to `OPEN` of them open, and take turns.
        """
        waiting = [self.files[i] for i in rng.permutation(len(self.files))]
        reading, inputs, answers = [], [], []
        while waiting or reading:
            while waiting and len(reading) < OPEN:
                reading.append(each(self.source, [waiting.pop()], self.task, lambda line: None, headers=False))
            turn = int(rng.integers(len(reading)))
            some = list(itertools.islice(reading[turn], TURN))
            if len(some) < TURN:
                reading.pop(turn)
            for given, answer in some:
                if self._place(given, answer) >= self._below:
                    inputs.append(given)
                    answers.append(answer)
            if len(inputs) >= CHUNK or (inputs and not waiting and not reading):
                yield inputs, answers
                inputs, answers = [], []


class _Few(list):
    """A list that counts what is appended, and keeps the first of it."""

    count = 0

    def append(self, line):
        self.count += 1
        if self.count <= 3:
            super().append(line)

    def __len__(self):
        return self.count


class StreamedEpochs(CompiledEpochs):
    """`CompiledEpochs` over a `StreamedExamples`: the same steps on batches that `tf.data` makes of it.

    Args:
        model: the model as it is trained.
        loss: see `CompiledEpochs`.
        optimizer: its optimizer.
        batches: `StreamedBatches`.
        correct: see `CompiledEpochs`.
    """

    def __init__(self, model, loss, optimizer, batches, *, correct):
        self.model, self.loss, self.correct = model, loss, correct
        self._epochs, self.arrays, self._shares = batches, None, together()
        self.examples, self.batch_size, self.steps = batches.examples, batches.batch_size, batches.steps
        self._totals = tf.Variable(tf.zeros(4), trainable=False)
        jit = knows_xla(model) and not self._shares  # XLA knows nothing of those who share
        self._loop = CompiledLoop(self._step, jit=jit, going=lambda: tf.math.is_finite(self._totals[0]))
        self._train_with(optimizer)

    def order(self, rng):
        """The number that an epoch's order follows from, drawn."""
        return int(rng.integers(2**31))


class StreamedBatches:
    """What `_Pass` runs over, of a `StreamedExamples`.

    Files take turns, examples go through a buffer that is drawn from, and sequences of about one length share a batch. Of
    each bucket the last batch is filled up with examples that are not used, so that an epoch may have as many steps more as
    there are buckets but one.

    Args:
        stream: the `StreamedExamples`.
        arrays: a function of inputs, answers and a random number generator (or `None`) that gives inputs, targets and
            weights, as `rnnzoo.building.taught_arrays` does.
        lengths: a function of inputs, answers' weights and arrays that gives how many timesteps each example uses, and
            whether they are so different that batches of about one length pay.
        batch_size: examples a step.
        pads: whether inputs have a timestep axis, which is padded.
        padding: the value of inputs that pads it.
    """

    in_memory = True

    def __init__(self, stream, arrays, lengths, *, batch_size, pads, padding=0):
        self.stream, self._make, self._lengths = stream, arrays, lengths
        self.examples, self.batch_size, self._shares = stream.examples, min(batch_size, stream.examples), together()
        count = min(len(stream.first.inputs), MEASURED)
        some = stream.first.take(range(count))
        made = arrays(some.inputs, some.answers, None)
        inputs, _, weights = made
        used, ragged = lengths(some.inputs, inputs, weights)
        self.widths = tuple(w for w in choose_buckets(used, int(used.max())).widths if w) if ragged else ()
        taught, stepwise = isinstance(inputs, dict), np.ndim(weights) > 1
        # Which arrays have timesteps, and of which those beyond an example's own are cut off before it is put in a bucket.
        timed = (
            ({name: name == "target" or (name == "source" and pads) for name in inputs} if taught else pads),
            *[stepwise] * 2,
        )
        cut = ({name: name == "target" for name in inputs} if taught else pads), *[stepwise] * 2
        values = ({name: padding * (name == "source") for name in inputs} if taught else padding), 0, 0
        self._form = made = keras.tree.map_structure(np.asarray, made)
        flat = keras.tree.flatten(made)
        self._timed, self._cut = keras.tree.flatten(timed), keras.tree.flatten(cut)
        self._values = [
            np.asarray(value, array.dtype) for value, array in zip(keras.tree.flatten(values), flat, strict=True)
        ]
        self._specs = [tf.TensorSpec([None] * array.ndim, tf.as_dtype(array.dtype)) for array in flat]
        bytes_each = sum(array.nbytes for array in flat) / count
        self._buffer = int(max(CHUNK, min(BUFFER, BUFFER_BYTES / max(bytes_each, 1))))
        self.steps = steps_per_epoch(self.examples, self.batch_size) + max(len(self.widths) - 1, 0)
        self._steps = min(STEPS, steps_per_epoch(self.examples, self.batch_size))

    def run(self, loop, seed, between=None):
        """Runs a loop over all examples once.

        Args:
            loop: a `CompiledLoop`.
            seed: what the order follows from.
            between: called between pieces of `STEPS` batches, and says whether to go on.
        """
        ended = threading.Event()
        pieces = iter(self._pieces(seed, ended))
        try:
            for piece in pieces:
                *arrays, used = (array.numpy() for array in piece)
                rows = len(used)
                data = [self._filled(array, i, int(used.max())) for i, array in enumerate(arrays)]
                index = np.full(self._steps * self.batch_size, -1, np.int32)
                index[:rows] = np.arange(rows)
                index, none = index.reshape(self._steps, self.batch_size), np.zeros(self._steps, np.int32)
                plan, span = Plan(index, none, none[:0]), (0, steps_per_epoch(rows, self.batch_size))
                if self._shares:  # each reads all, and takes its rows of every batch
                    plan = share_of(plan, self._shares.worker, self._shares.workers, self._shares.here)
                loop.run(keras.tree.pack_sequence_as(self._form, data), plan, span)
                if between is not None and not between():
                    return
        finally:
            drain(pieces, ended)

    def _filled(self, array, i, longest):
        """An array of a piece in one of few shapes: as many rows as a piece may have, and a width that others have, too."""
        shape = [self._steps * self.batch_size, *array.shape[1:]]
        if self._timed[i]:
            wide = next((width for width in self.widths if self._cut[i] and width >= longest), None)
            shape[1] = wide or _rounded(array.shape[1])
        filled = np.full(shape, self._values[i])
        filled[tuple(map(slice, array.shape))] = array
        return tf.convert_to_tensor(filled)

    def _pieces(self, seed, ended):
        """Arrays of up to `STEPS` batches and the lengths of their examples, read ahead until `ended` is set."""
        rows = self._steps * self.batch_size

        def made():
            rng = np.random.default_rng([seed, 0])
            for inputs, answers in self.stream.chunks(rng):
                if ended.is_set():
                    return
                arrays = self._make(inputs, answers, rng)
                used, _ = self._lengths(inputs, arrays[0], arrays[2])
                yield *keras.tree.flatten(arrays), np.asarray(used, np.int32)

        specs = (*self._specs, tf.TensorSpec([None], tf.int32))
        examples = tf.data.Dataset.from_generator(made, output_signature=specs).prefetch(2).unbatch()
        examples = examples.shuffle(self._buffer, seed=seed, reshuffle_each_iteration=False)
        values = (*self._values, np.int32(0))
        if not self.widths:
            return examples.padded_batch(rows, padding_values=values).prefetch(2)

        def cut(*one):
            return *(array[: one[-1]] if do else array for array, do in zip(one, self._cut, strict=False)), one[-1]

        return (
            examples.map(cut)
            .bucket_by_sequence_length(
                lambda *one: one[-1],
                bucket_boundaries=[width + 1 for width in self.widths[:-1]],
                bucket_batch_sizes=[rows] * len(self.widths),
                padding_values=values,
            )
            .prefetch(2)
        )


def _rounded(width):
    """A width at least as large, of which there are few."""
    step = 1 if width <= 8 else max(4, 2 ** (int(width).bit_length() - 3))
    return -(-width // step) * step
