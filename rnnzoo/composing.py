"""Music that models write: frame after frame, each key drawn for itself; as a MIDI file or a picture."""

import contextlib
from pathlib import Path

import numpy as np
import tensorflow as tf

from rnnzoo.errors import InputError
from rnnzoo.files import fresh_output
from rnnzoo.piano_roll import draw_roll
from rnnzoo.stepping import step_model
from rnnzoo.tasks import _midi
from rnnzoo.tasks._notes import KEYS, LOWEST, frames_of, started, texts_of

# How many frames are written where nobody says.
LENGTH = 64
PICTURES = frozenset([".png", ".svg"])


class Composer:
    """One frame of a piece after the other, of a batch of pieces: a step that is compiled once.

    A key sounds with the probability that the model gives it, sigmoid(output), independently of the other keys of the frame,
    as its score has it; for temperatures see `likely`. Keys that never sound in what it was trained on never do.

    Args:
        predictor: the `Predictor` of a model whose answer is notes.
    """

    def __init__(self, predictor):
        self.name, self.task = predictor.name, predictor.task
        self.step = step_model(predictor.model)
        specs = {name: tf.TensorSpec(tensor.shape, tensor.dtype) for name, tensor in self.step.input.items()}
        self._names = [name for name in specs if name != "inputs"]
        options = [tf.TensorSpec([], dtype) for dtype in (tf.float32, tf.int64, tf.int32)]
        signature = [specs["inputs"], [specs[name] for name in self._names], options]
        self._next = tf.function(self._drawn, input_signature=signature, autograph=False)

    def _drawn(self, fed, states, options):
        """A frame (batch, 88), states and how to draw -> the frame that comes next, and the new states."""
        temperature, seed, t = options
        found = dict(self.step({"inputs": fed, **dict(zip(self._names, states, strict=True))}))
        outputs = found.pop("outputs")
        outputs = tf.where(self.task.answer.able, outputs, -1e9)
        uniform = tf.random.stateless_uniform(tf.shape(outputs), tf.stack([seed, tf.cast(t, tf.int64)]), alg="philox")
        sounds = uniform < likely(outputs, temperature)
        return tf.cast(sounds, tf.float32), [found[name] for name in self._names]

    def begin(self, prompt, length):
        """What the pieces begin with, as text: so many frames of the prompt, or all of it.

        Args:
            prompt: frames as text or an array (frames, 88), the path of a MIDI file, or "" for nothing.
            length: how many of its frames, or `None`.

        Raises:
            InputError: it is none of that.
        """
        try:
            return " ".join(texts_of(self.task.input.piece(prompt)[:length]))
        except InputError as error:
            raise InputError(f"the prompt: {error}") from None

    def parts(self, begin, raw, count, length, options):
        """Yields what comes next in each of `count` pieces, a list of frames as text, with a space before all but the first.

        Args:
            begin: what `begin` gave.
            raw: refused.
            count, length: see `rnnzoo.generate`.
            options: temperature, top_k, top_p and seed.

        Raises:
            InputError: an option has no meaning here.
        """
        temperature, top_k, top_p, seed = options
        if raw is not None:
            raise InputError(f"'{self.name}' takes no input but the music that it goes on with: give it as the prompt")
        if top_k != 0 or top_p != 1:
            name = "top_k" if top_k != 0 else "top_p"
            raise InputError(
                f"{name}: '{self.name}' draws for each key by itself whether it sounds, with no likeliest ones to keep to; "
                "give a temperature below 1 instead"
            )
        given = started(frames_of(begin.split()) if begin else np.zeros((0, KEYS), np.float32))
        states = [tf.zeros((count, tensor.shape[1])) for name, tensor in self.step.input.items() if name != "inputs"]
        frame = None
        for t in range(len(given) + (LENGTH if length is None else length) - 1):
            fed = tf.constant(np.repeat(given[t : t + 1], count, axis=0)) if t < len(given) else frame
            frame, states = self._next(fed, states, [temperature, seed, np.int32(t)])
            if t >= len(given) - 1:
                yield [" " * (t > 0) + text for text in texts_of(frame.numpy())]


def likely(outputs, temperature):
    """(batch, keys) outputs -> the probability of each key at a temperature, which decides which sound, not how many.

    At 1 it is sigmoid(output). Otherwise it is sigmoid(output / temperature + shift), with the shift by which as many keys
    sound, on the average, as at 1: without it music would get ever thinner, since hardly any key is likelier to sound than
    not. At 0 it is 1 for that many of the likeliest, rounded, and 0 for the others.
    """
    plain = tf.sigmoid(outputs)
    count = tf.reduce_sum(plain, axis=-1, keepdims=True)
    ranks = tf.argsort(tf.argsort(-outputs, axis=-1, stable=True), axis=-1)
    greedy = tf.cast(ranks < tf.cast(tf.round(count), tf.int32), tf.float32)
    scaled = outputs / tf.where(temperature > 0, temperature, 1.0)
    scaled -= tf.reduce_max(scaled, axis=-1, keepdims=True)
    low, high = (
        tf.fill(tf.shape(count), -30.0),
        tf.fill(tf.shape(count), 30.0) - tf.reduce_min(tf.where(outputs > -1e8, scaled, 0.0), axis=-1, keepdims=True),
    )
    for _ in range(40):  # halves where the shift is
        middle = (low + high) / 2
        few = tf.reduce_sum(tf.sigmoid(scaled + middle), axis=-1, keepdims=True) < count
        low, high = tf.where(few, middle, low), tf.where(few, high, middle)
    return tf.where(temperature > 0, tf.where(temperature == 1, plain, tf.sigmoid(scaled + low)), greedy)


def is_music(predictor):
    """Whether a `Predictor` writes music."""
    return predictor.task.answer.kind == "notes"


def save_music(texts, path, predictor, *, force=False):
    """Writes pieces as MIDI files (`.mid`, `.midi`) or as pictures, piano rolls (`.png`, `.svg`).

    Args:
        texts: what `rnnzoo.generate` gave, a list of pieces. Of several, each has a file: `NAME-1.mid`, `NAME-2.mid` ...
        path: the file.
        predictor: the `Predictor` that wrote them, which knows how long a frame lasts.
        force: whether files that exist are replaced.

    Returns:
        The paths that were written.

    Raises:
        InputError: the suffix is another, or a file exists.
        MissingExtraError: what writes it is not installed.
    """
    path, task = Path(path), predictor.task
    check_music(path)
    paths = [path] if len(texts) == 1 else [path.with_stem(f"{path.stem}-{number}") for number in range(1, len(texts) + 1)]
    with contextlib.ExitStack() as stack:
        for text, one in zip(texts, paths, strict=True):
            partial = stack.enter_context(fresh_output(one, force))
            frames = frames_of(text.split())
            if path.suffix.lower() in PICTURES:
                draw_roll(frames, partial, first=LOWEST, unit=task.frame)
            else:
                sounds = np.pad(frames, [(0, 0), (LOWEST, _midi.NOTES - LOWEST - KEYS)])
                _midi.write(partial, sounds, task.quarters, task.tempo)
    return paths


def check_music(path):
    """Refuses a path that `save_music` would refuse for its suffix, and a MIDI file where mido is not installed."""
    suffix = Path(path).suffix.lower()
    if suffix in _midi.SUFFIXES:
        _midi.library()
    elif suffix not in PICTURES:
        raise InputError(f"{path}: expected a name that ends in .mid (music), .png or .svg (a picture)")
