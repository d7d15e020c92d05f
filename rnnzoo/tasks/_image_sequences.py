"""Sequences of pictures, each of one handwritten sign, a picture a timestep."""

import os

import numpy as np

from rnnzoo.bounded import from_json
from rnnzoo.errors import InputError
from rnnzoo.tasks._files import beside
from rnnzoo.tasks._images import DRAWN, SCALE, SIDE, ImageInput
from rnnzoo.tasks._inputs import short
from rnnzoo.tasks._tensorflow import tf
from rnnzoo.tasks._vectors import filled_up


class ImageSequenceInput(ImageInput):
    """Pictures of one handwritten sign each: uint8 (batch, timesteps, 28, 28) -> float32 (batch, timesteps, 784), 0 to 1.

    A sign is never blank, so that a picture of zeros alone is padding.

    Args:
        name: what the input is called, in messages and in the SavedModel's signature.
    """

    kind = "images"
    pads = True
    mask_value = 0.0
    example = f"{DRAWN}3 {DRAWN}9"
    hint = "the paths of pictures with blanks between them, a JSON list of paths, or an array (timesteps, 28, 28)"

    def __init__(self, name):
        super().__init__(name, "flat")
        # Of any length, unlike the pixels of one picture.
        self.sequence, self.timesteps = True, None

    @property
    def spec(self):
        return tf.TensorSpec([None, None, SIDE, SIDE], tf.uint8)

    def describe(self):
        """See `ImageInput`."""
        return {**super().describe(), "padding": self.mask_value}

    def model_arguments(self, architecture):
        return {"features": SIDE * SIDE, "mask_value": self.mask_value}

    def each(self, inputs):
        """What `predict` is given -> raw inputs, one by one: a text alone, or any number of sequences.

        Raises:
            InputError: it is an array of another shape than (batch, timesteps, 28, 28).
        """
        if isinstance(inputs, str | bytes | os.PathLike):
            inputs = [inputs]
        inputs = inputs.numpy() if hasattr(inputs, "numpy") else inputs
        if isinstance(inputs, np.ndarray) and inputs.dtype.kind in "biuf":
            if inputs.ndim != 4 or inputs.shape[2:] != (SIDE, SIDE):
                raise InputError(f"an array of shape {inputs.shape}; expected (batch, timesteps, {SIDE}, {SIDE})")
            inputs = map(_without_padding, inputs)
        yield from inputs

    def located(self, raw, folder):
        """See `ImageInput`; of each picture."""
        whole = beside(raw, folder)
        if whole != raw or not isinstance(raw, str | list):
            return whole
        return [beside(one, folder) for one in (self._named_in(raw) if isinstance(raw, str) else raw)]

    def check(self, raw):
        """`raw` as uint8 (timesteps, 28, 28), each picture in the form that `ImageInput.check` brings it into.

        Args:
            raw: names of pictures with blanks between them, or as a JSON list; a list of what `ImageInput.check` takes, or
                an array (timesteps, 28, 28).

        Raises:
            InputError: there is none, or one is no picture; it says which.
            MissingExtraError: one is a file, and Pillow is not installed.
        """
        if isinstance(raw, np.ndarray) and raw.dtype == np.uint8 and raw.ndim == 3 and len(raw):
            return np.stack([self._one(picture, t) for t, picture in enumerate(raw, 1)])
        raw = os.fspath(raw) if isinstance(raw, os.PathLike) else raw
        raw = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
        pictures = self._named_in(raw) if isinstance(raw, str) else raw
        if not isinstance(pictures, list | tuple | np.ndarray) or not len(pictures):
            what = f"'{short(str(raw))}' is no sequence" if np.size(pictures) else "there are no pictures"
            raise InputError(f"{what}; {self._expected}")
        return np.stack([self._one(picture, t) for t, picture in enumerate(pictures, 1)])

    def timestep(self, raw):
        """One timestep, a picture as `ImageInput.check` takes it -> a float32 array (784,).

        Raises:
            InputError: it is no picture.
        """
        return super().check(raw).reshape(-1) * SCALE

    def tensor(self, checked):
        """A list of what `check` returned -> uint8 (batch, timesteps, 28, 28), padded at the end with zeros."""
        return tf.constant(filled_up(checked, [SIDE, SIDE], 0, np.uint8))

    def steps(self, checked):
        """How many timesteps one checked input takes."""
        return len(checked)

    def front(self, raw):
        """uint8 (batch, timesteps, 28, 28) -> float32 (batch, timesteps, 784). Runs in a graph."""
        batch, timesteps = tf.unstack(tf.shape(raw)[:2])
        return tf.reshape(tf.cast(raw, tf.float32) * SCALE, [batch, timesteps, SIDE * SIDE])

    def _named_in(self, text):
        """The names that a text holds."""
        if not text.lstrip().startswith("["):
            return [text] if os.path.exists(text) else text.split()  # one path may have blanks in it
        try:
            return from_json(text)
        except ValueError:
            raise InputError(f"'{short(text)}' is no JSON; {self._expected}") from None

    def _one(self, picture, t):
        try:
            return super().check(picture)
        except InputError as error:
            raise InputError(f"picture {t}: {error}") from None


def _without_padding(pictures):
    """(timesteps, 28, 28) without the pictures of zeros at the end."""
    used = np.flatnonzero(pictures.any(axis=(1, 2)))
    return pictures[: used[-1] + 1] if len(used) else pictures[:0]
