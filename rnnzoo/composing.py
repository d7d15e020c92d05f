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

    A key sounds with the probability that the model gives it, sigmoid(output / temperature), independently of the other keys
    of the frame, as its score has it. Keys that never sound in what it was trained on never do.

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
        likely = tf.sigmoid(outputs / tf.where(temperature > 0, temperature, 1.0))
        uniform = tf.random.stateless_uniform(tf.shape(outputs), tf.stack([seed, tf.cast(t, tf.int64)]), alg="philox")
        sounds = tf.where(temperature > 0, uniform < likely, outputs > 0) & tf.constant(self.task.answer.able)
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
