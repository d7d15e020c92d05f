"""Pictures of one handwritten sign, brought into MNIST's form: 28 x 28 grey levels, bright ink on a dark ground."""

import io
import os
import warnings
from pathlib import Path

import numpy as np

from rnnzoo.bounded import from_json
from rnnzoo.errors import InputError, MissingExtraError
from rnnzoo.tasks._drawn_digits import drawn_digit
from rnnzoo.tasks._files import beside, read_whole
from rnnzoo.tasks._inputs import short
from rnnzoo.tasks._tensorflow import tf

SIDE = 28
# How a picture goes into a model: at once, a row a timestep from the top down, or a pixel a timestep, row after row.
LAYOUTS = {"flat": (SIDE * SIDE,), "rows": (SIDE, SIDE), "pixels": (SIDE * SIDE, 1)}
# A level times this is a number from 0 to 1. A product, not a quotient: graphs turn one into the other, to other bits.
SCALE = np.float32(1 / 255)
# MNIST's signs fit into a box of this side, and their centre of mass is at this row and column, to half a pixel.
BOX, CENTRE = 20, 14
# Of 255: what is less bright above its ground than this is no ink; and the share of the brightest ink that is ground still.
BLANK, FAINT = 32, 0.15
# Larger pictures, beyond what telephones take, are refused before they are unpacked, and larger files before they are read.
MOST_PIXELS, MOST_BYTES = 50_000_000, 2**26
# Those of Pillow's that are read; what starts other programs (EPS) is not among them.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm"])
# What begins the name of a picture that is drawn in rnnzoo itself.
DRAWN = "drawn:"
_EDGE = np.flatnonzero(np.pad(np.zeros((SIDE - 2, SIDE - 2), bool), 1, constant_values=True))


class ImageInput:
    """A picture of one handwritten sign: uint8 (batch, 28, 28) -> float32 from 0 to 1, in one of three layouts.

    `flat` gives (batch, 784), `rows` (batch, 28, 28), a row a timestep, and `pixels` (batch, 784, 1), a pixel a timestep.

    Args:
        name: what the input is called, in messages and in the SavedModel's signature.
        layout: one of `LAYOUTS`.
    """

    kind = "image"
    pads = False
    mask_value = None
    example = f"{DRAWN}7"
    hint = (
        "the path of a picture (PNG, JPEG, BMP, GIF, TIFF, WebP or PPM), or 28 rows of 28 numbers, whole ones from 0 to 255 "
        "or others from 0 to 1"
    )

    def __init__(self, name, layout):
        self.name, self.layout, self.shape = name, layout, LAYOUTS[layout]
        self.sequence = len(self.shape) > 1
        self.timesteps = self.shape[0] if self.sequence else 1

    @property
    def spec(self):
        return tf.TensorSpec([None, SIDE, SIDE], tf.uint8)

    def describe(self):
        """The front in values that JSON has, for programs that have no TensorFlow."""
        keys = ("kind", "name", "layout", "sequence", "hint", "example")
        return {**{key: getattr(self, key) for key in keys}, "shape": [*self.shape], "padding": None}

    def model_arguments(self, architecture):
        return {"features": self.shape[-1]}

    def each(self, inputs):
        """What `predict` is given -> raw inputs, one by one: a picture alone, or any number of them.

        Raises:
            InputError: it is an array of another shape than (batch, 28, 28) or (batch, 784).
        """
        if isinstance(inputs, str | bytes | int | os.PathLike):
            inputs = [inputs]
        inputs = inputs.numpy() if hasattr(inputs, "numpy") else inputs
        numbers = isinstance(inputs, np.ndarray) and inputs.dtype.kind in "biuf"
        if numbers and inputs.shape[1:] not in ((SIDE, SIDE), (SIDE * SIDE,)):
            raise InputError(f"an array of shape {inputs.shape}; expected (batch, {SIDE}, {SIDE}) or (batch, {SIDE * SIDE})")
        yield from inputs

    def names_a_file(self, raw):
        """Whether a text is the name of a picture file, by its ending, there or not."""
        return Path(raw).suffix.lower() in SUFFIXES

    def located(self, raw, folder):
        """`raw`, where it names a file in a folder, with that folder before it."""
        return beside(raw, folder)

    def check(self, raw):
        """`raw` as uint8 (28, 28), bright ink on a dark ground.

        Grey levels of that size and kind stay as they are. What has dark ink on a bright ground, which its border tells, and
        any file of another size, is brought into MNIST's form: inverted, cut to its ink, scaled into 20 x 20 and placed by
        its centre of mass.

        Args:
            raw: the path of a picture file; `drawn:0` to `drawn:9` for a digit that is drawn here; or grey levels, (28, 28)
                or (784,), as an array, nested lists or JSON: whole numbers from 0 to 255, or others from 0 to 1.

        Raises:
            InputError: it is none of that, blank, or too large.
            MissingExtraError: it is a file, and Pillow is not installed.
        """
        if isinstance(raw, np.ndarray) and raw.dtype == np.uint8 and raw.shape == (SIDE, SIDE):
            return _in_form(raw)
        raw = os.fspath(raw) if isinstance(raw, os.PathLike) else raw
        raw = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
        if isinstance(raw, str) and not raw.lstrip().startswith("["):
            return self._named(raw)
        levels = _levels(_parsed(raw, self._expected), self._expected)
        if levels.size != SIDE * SIDE or levels.shape not in ((SIDE, SIDE), (SIDE * SIDE,)):
            what = f"numbers of shape {levels.shape}" if levels.ndim else f"'{short(str(raw))}'"
            raise InputError(f"{what}; {self._expected}")
        return _in_form(levels.reshape(SIDE, SIDE))

    def read(self, path):
        """The picture of a file as `check` returns it; an `InputError` does not name the file."""
        return _in_form(read_levels(path))

    def timestep(self, raw):
        """One timestep, 28 numbers or one, as text (`0 128 255`) or numbers -> a float32 array (28,) or (1,).

        Bright ink on a dark ground is taken for granted: a timestep does not tell.

        Raises:
            InputError: they are no such numbers, or too many or too few.
        """
        width = self.shape[-1]
        expected = f"expected {width} number{'' if width == 1 else 's'}, whole from 0 to 255 or others from 0 to 1"
        raw = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
        if isinstance(raw, str) and not raw.lstrip().startswith("["):
            raw = [_number(part) for part in raw.replace(":", " ").replace(",", " ").split()]
        levels = _levels(_parsed(raw, expected), expected)
        levels = levels[None] if levels.ndim == 0 else levels
        if levels.shape != (width,):
            raise InputError(f"{levels.size} number{'' if levels.size == 1 else 's'}; {expected}")
        return levels * SCALE

    def tensor(self, checked):
        """A list of what `check` returned -> uint8 (batch, 28, 28)."""
        return tf.constant(np.array(checked, np.uint8).reshape(len(checked), -1 if checked else SIDE, SIDE))

    def steps(self, checked):
        """How many timesteps one checked input takes."""
        return self.timesteps

    def front(self, raw):
        """uint8 (batch, 28, 28) -> float32 (batch, ...). Runs in a graph."""
        levels = tf.cast(raw, tf.float32) * SCALE
        if self.layout == "rows":
            return levels
        batch, rows = tf.unstack(tf.shape(raw)[:2])
        return tf.reshape(levels, [batch, SIDE * SIDE] if self.layout == "flat" else [batch, rows * SIDE, 1])

    @property
    def _expected(self):
        return f"expected {self.hint}, for example '{self.example}'"

    def _named(self, name):
        """The picture of a name: one that is drawn here, or a file's."""
        digit = name.removeprefix(DRAWN)
        if digit != name:
            if digit not in tuple("0123456789"):
                raise InputError(f"'{short(name)}'; expected one of {DRAWN}0 to {DRAWN}9")
            return normalized(drawn_digit(int(digit)), bright=False)
        try:
            return self.read(name)
        except InputError as error:
            shown = name if name.isprintable() and len(name) <= 200 else short(name)
            raise InputError(f"{shown}: {error}; {self._expected}") from None


def _parsed(raw, expected):
    """Text as the values that it writes in JSON; what is no text as it is."""
    if not isinstance(raw, str):
        return raw
    try:
        return from_json(raw)
    except ValueError:
        raise InputError(f"'{short(raw)}' is no JSON; {expected}") from None


def _number(text):
    """The number that a text writes, whole where it is written so; else the text."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _levels(values, expected):
    """Nested numbers -> uint8 grey levels of the same shape.

    Raises:
        InputError: something is no number, or out of range; it says which.
    """
    try:
        array = np.asarray(values)
    except ValueError:
        raise InputError(f"rows of different lengths; {expected}") from None
    if array.dtype.kind not in "biuf" or isinstance(values, bool):
        what = f"'{short(str(values))}' is no picture" if array.size else "there are no numbers"
        raise InputError(f"{what}; {expected}")
    if array.size == 0:
        raise InputError(f"there are no numbers; {expected}")
    most = 255 if array.dtype.kind in "iu" else 1
    wrong = ~((array >= 0) & (array <= most))  # not a number is neither
    if wrong.any():
        place = "".join(f" {i + 1}" for i in np.argwhere(wrong)[0])
        raise InputError(f"{array[wrong][0]} (at{place}); {expected}" if place else f"{array}; {expected}")
    return (array if most == 255 else np.round(array * 255)).astype(np.uint8)


def read_levels(path):
    """The grey levels (height, width) of a picture file, uint8 or float32 from 0 to 255; transparency shows a plain ground.

    Raises:
        InputError: there is no such file, or it is no picture, damaged or too large. It does not name the file.
        MissingExtraError: Pillow is not installed.
    """
    content = read_whole(path, MOST_BYTES)
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtraError("pictures are read by Pillow: pip install 'rnnzoo[images]'") from None
    too_large = f"over {MOST_PIXELS:,} pixels"
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise InputError(too_large)
            return _grey(image)
    except Image.DecompressionBombError:
        raise InputError(too_large) from None
    except Image.UnidentifiedImageError:
        raise InputError("no picture of a known kind") from None
    except InputError:
        raise
    except Exception as error:  # what damaged pictures raise is of no single class
        raise InputError(f"damaged: {short(str(error))}") from None


def _grey(image):
    """A Pillow image, turned as its camera was held -> grey levels (height, width)."""
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # of 16 bits
        return np.clip(np.asarray(image, np.float32) / 257, 0, 255)
    if image.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and "transparency" not in image.info:
        return np.asarray(image.convert("L"))
    image = image.convert("RGBA")
    levels, opacity = np.asarray(image.convert("L"), np.float32), np.asarray(image.getchannel("A"), np.float32) / 255
    ink = (levels * opacity).sum() / max(opacity.sum(), 1)
    # Behind a sign that is cut out, what it stands out from; behind a whole picture with holes, more of its border.
    ground = (0 if ink > 127.5 else 255) if _border(opacity).mean() < 0.5 else np.median(_border(levels))
    return levels * opacity + ground * (1 - opacity)


def _border(levels):
    """The outermost pixels of (height, width), as a row."""
    return np.concatenate([levels[0], levels[-1], levels[1:-1, 0], levels[1:-1, -1]])


def _in_form(levels):
    """Grey levels (height, width) from 0 to 255 -> uint8 (28, 28), bright ink on a dark ground."""
    if levels.shape != (SIDE, SIDE):
        return normalized(levels, bright=_border(levels).mean() > 127.5)
    if levels.reshape(-1)[_EDGE].mean() > 127.5:
        return normalized(levels, bright=True)
    if levels.max() < BLANK:
        raise InputError(_NOTHING)
    return levels if levels.dtype == np.uint8 else np.round(levels).astype(np.uint8)


_NOTHING = "blank: nothing stands out from its ground"


def normalized(levels, bright):
    """Grey levels in MNIST's form, as LeCun et al. 1998 made it: in 20 x 20, its centre of mass in the middle of 28 x 28.

    Args:
        levels: (height, width) from 0 to 255.
        bright: whether the ground is bright and the ink dark.

    Returns:
        uint8 (28, 28), the brightest 255.

    Raises:
        InputError: nothing stands out from the ground.
    """
    levels = np.asarray(levels, np.float32)
    ground = np.median(_border(levels))
    ink = np.maximum(ground - levels if bright else levels - ground, 0)
    if ink.max() < BLANK:
        raise InputError(_NOTHING)
    ink = np.maximum(ink / ink.max() - FAINT, 0)  # shadows, and what compression leaves, are no ink
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    shape = [max(1, round(side * BOX / max(ink.shape))) for side in ink.shape]
    ink = _scaling(ink.shape[0], shape[0]) @ ink @ _scaling(ink.shape[1], shape[1]).T
    ink = np.round(255 * ink / ink.max())
    found = np.zeros((SIDE, SIDE), np.uint8)
    place = []
    for axis, side in enumerate(shape):
        centre = ink.sum(axis=1 - axis) @ np.arange(side) / ink.sum()
        begin = int(np.clip(round(CENTRE - centre), 0, SIDE - side))
        place.append(slice(begin, begin + side))
    found[tuple(place)] = ink
    return found


def _scaling(old, new):
    """(new, old) float32: weights that scale a row of pixels; each new one is a mean of those that it covers.

    The triangle of bilinear interpolation, as wide as a new pixel where it is the larger.
    """
    scale = old / new
    places = (np.arange(new) + 0.5) * scale - 0.5
    weights = np.maximum(1 - np.abs(np.arange(old) - places[:, None]) / max(scale, 1), 0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def moved(images, most, rng):
    """Pictures (batch, height, width), each moved by up to so many pixels up or down and left or right, zeros coming in."""
    padded = np.pad(images, [(0, 0), (most, most), (most, most)])
    places, found = rng.integers(0, 2 * most + 1, (2, len(images))), np.empty_like(images)
    height, width = images.shape[1:]
    for row in range(2 * most + 1):
        for column in range(2 * most + 1):
            chosen = np.flatnonzero((places[0] == row) & (places[1] == column))
            found[chosen] = padded[chosen, row : row + height, column : column + width]
    return found


def rows_of_folder(folder, task):
    """The pictures in a folder that has a folder for each class, `FOLDER/7/any name.png`: what `Task.rows` gives.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    expected = f"expected a folder for each {task.answer.name}, with pictures in it"
    found = False
    for part in _visible(folder):
        found = True
        if not part.is_dir():
            yield str(part), None, None, expected
            continue
        for path in _visible(part):
            try:
                yield str(path), task.input.read(path), part.name
            except InputError as error:
                yield str(path), None, None, str(error)
    if not found:
        yield str(folder), None, None, f"no pictures; {expected}"


def _visible(folder):
    """What is in a folder, in order, but for what systems leave there."""
    return sorted(one for one in folder.iterdir() if not one.name.startswith(".") and one.name != "Thumbs.db")
