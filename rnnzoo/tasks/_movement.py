"""Movements as a Kinect sees them: six points of a body, frame by frame, and the features that a model takes of them."""

import csv
import io
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnzoo.errors import InputError
from rnnzoo.tasks._files import beside
from rnnzoo.tasks._inputs import short
from rnnzoo.tasks._tensorflow import tf
from rnnzoo.tasks._vectors import LARGEST, VectorInput

# Of a raw frame: x, y and z of each point.
POINTS = ("left hand", "right hand", "head", "spine", "left wrist", "right wrist")
COLUMNS = tuple(point + axis for point in ("lh", "rh", "h", "s", "lw", "rw") for axis in "xyz")
HEAD, SPINE, MOVING = 2, 3, (0, 1, 2, 4, 5)
# What every number of a frame of padding is, raw or of features: no point is ever there.
PADDING = -100.0
# A movement that is made here: the text before its number of frames, and how many there may be.
SYNTHETIC, MOST_SYNTHETIC = "synthetic:", 10_000
# x and y are in units of the picture, which differ between videos up to ten times (those of b3 do): they are measured by the
# head-to-spine distance. z is in metres in all of them, and measured by what that distance is about.
DEPTH = 0.5
# A velocity is that of the means over so many frames to either side.
SMOOTHING = 2
# A speed below this, in head-to-spine distances a frame, is about none.
SLOW = 0.001
# Features lie between this and its negative, and are multiples of the reciprocal of GRID: sums over frames come out
# otherwise in their last bits with other padding or by other programs, and after that they are the same everywhere.
LIMIT, GRID = 8.0, 4096.0
# What the features are about and how far they are from it, roughly: of positions and velocities x, y and z, and of speeds.
# Nothing of x is subtracted, nor is anything told apart by its side, so that a mirrored movement has mirrored features.
OFFSETS = [*((0, 0, -0.5) * 2), *(0, -1, 0), *((0, 0, -0.4) * 2), *[0] * 15, *[-4.5] * 5]
SCALES = [*((0.25, 0.3, 0.15) * 2), *(0.05, 0.05, 0.1), *((0.25, 0.3, 0.15) * 2), *((0.025, 0.025, 0.025) * 5), *[1.2] * 5]
FEATURES = len(SCALES)
# Of a mirrored movement's features: which of the movement's own each is, and its sign.
_POINTS_MIRRORED = (1, 0, 2, 4, 3)
MIRRORED = [15 * part + 3 * point + axis for part in (0, 1) for point in _POINTS_MIRRORED for axis in range(3)]
MIRRORED = [*MIRRORED, *(30 + point for point in _POINTS_MIRRORED)]
SIGNS = np.array([*((-1, 1, 1) * 10), *[1] * 5], np.float32)


class MovementInput(VectorInput):
    """Frames of 18 numbers: (batch, timesteps, 18) -> (batch, timesteps, 35) features, padded with -100 at the end.

    The features of a frame are where hands, head and wrists are as seen from the spine, in head-to-spine distances (in the
    picture, the mean over the sequence; in depth, half a metre), 15 numbers; their velocities, 15; and the logarithms of
    their speeds, 5.

    Args:
        name: what the input is called, in messages and in the SavedModel's signature.
    """

    kind = "movement"

    def __init__(self, name):
        super().__init__(name, len(COLUMNS), True, f"{SYNTHETIC}48", mask_value=PADDING)
        self.hint = (
            f"a CSV file with the columns {COLUMNS[0]} to {COLUMNS[-1]}, or frames of {self.width} numbers, x:y:z of "
            f"{', '.join(POINTS)}"
        )

    def describe(self):
        """See `VectorInput`."""
        more = {"features": FEATURES, "head": HEAD, "spine": SPINE, "moving": [*MOVING], "depth": DEPTH}
        more |= {
            "smoothing": SMOOTHING,
            "slow": SLOW,
            "limit": LIMIT,
            "grid": GRID,
            "offsets": [*OFFSETS],
            "scales": [*SCALES],
        }
        return {**super().describe(), **more}

    def model_arguments(self, architecture):
        return {"features": FEATURES, "mask_value": self.mask_value}

    def names_a_file(self, raw):
        """Whether a text is the name of a file that `check` reads, by its ending, there or not."""
        return Path(raw).suffix.lower() == ".csv"

    def located(self, raw, folder):
        """See `ImageInput`."""
        return beside(raw, folder)

    def check(self, raw):
        """`raw` as a float32 array (timesteps, 18).

        Args:
            raw: the path of a CSV file (see `read_recording`); `synthetic:48` for so many frames of a movement that is made
                here; or frames, as text, nested lists or an array.

        Raises:
            InputError: it is none of that, or a number is not finite; it says which.
        """
        raw = os.fspath(raw) if isinstance(raw, os.PathLike) else raw
        raw = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
        if isinstance(raw, str) and raw.startswith(SYNTHETIC):
            return self._made(raw)
        if isinstance(raw, str) and self.names_a_file(raw):
            try:
                raw = read_recording(raw).frames
            except InputError as error:
                raise InputError(f"{raw}: {error}") from None
        frames = super().check(raw)
        padding = (frames == self.mask_value).all(axis=-1)
        if padding.any():
            raise InputError(f"timestep {padding.argmax() + 1} is of nothing but {self.mask_value:g}, which is padding")
        return frames

    def _made(self, raw):
        """What `synthetic:48` stands for."""
        count = raw.removeprefix(SYNTHETIC)
        if not re.fullmatch(r"[0-9]{1,5}", count) or not 1 <= int(count) <= MOST_SYNTHETIC:
            expected = f"{SYNTHETIC} and a whole number from 1 to {MOST_SYNTHETIC:,}, for example '{self.example}'"
            raise InputError(f"'{short(raw)}'; expected {expected}")
        return synthetic(int(count))

    def timestep(self, raw):
        """Refused: how fast the points move takes the frames around, and their scale the whole sequence."""
        raise InputError("a frame alone says nothing of how it moves; expected a whole sequence")

    def front(self, raw):
        """float32 (batch, timesteps, 18), padded at the end -> float32 (batch, timesteps, 35). Runs in a graph."""
        raw = super().front(raw)
        used = tf.reduce_any(raw != self.mask_value, axis=-1)  # (batch, timesteps)
        lengths = tf.reduce_sum(tf.cast(used, tf.int32), axis=1)
        batch, timesteps = tf.unstack(tf.shape(raw)[:2])
        points = tf.reshape(tf.cast(raw, tf.float64), (batch, timesteps, len(POINTS), 3))
        spine = points[:, :, SPINE]
        distance = tf.where(used, tf.norm((points[:, :, HEAD] - spine)[..., :2], axis=-1), 0.0)
        distance = tf.reduce_sum(distance, axis=1) / tf.cast(tf.maximum(lengths, 1), tf.float64)  # (batch,)
        distance = tf.maximum(distance, 1e-6)
        units = tf.stack([distance, distance, tf.fill([batch], tf.constant(DEPTH, tf.float64))], axis=-1)  # of x, y and z
        places = (tf.gather(points, MOVING, axis=2) - spine[:, :, None]) / units[:, None, None]

        def at(values, k):
            """The values k frames later, the last or first one where there is none."""
            index = tf.range(timesteps) + k
            return tf.gather(values, tf.maximum(tf.minimum(index, lengths[:, None] - 1), 0), batch_dims=1)

        mean = sum(at(places, k) for k in range(-SMOOTHING, SMOOTHING + 1)) / (2 * SMOOTHING + 1)
        velocities = (at(mean, 1) - at(mean, -1)) / 2
        speeds = tf.math.log(tf.norm(velocities, axis=-1) + SLOW)
        flat = (batch, timesteps, 3 * len(MOVING))
        features = tf.concat([tf.reshape(places, flat), tf.reshape(velocities, flat), speeds], axis=-1)
        features = (features - tf.constant(OFFSETS, tf.float64)) / tf.constant(SCALES, tf.float64)
        features = tf.round(tf.clip_by_value(features, -LIMIT, LIMIT) * GRID) / GRID
        return tf.where(used[:, :, None], tf.cast(features, tf.float32), self.mask_value)


class Recording(NamedTuple):
    """What a CSV file holds.

    Attributes:
        frames: float32 (timesteps, 18).
        phases: a list of texts, one a frame; `None` where there is no such column.
        lines: the number of the line that each frame is on.
    """

    frames: np.ndarray
    phases: list | None
    lines: list


def is_recording(content):
    """Whether bytes begin as a CSV file of frames does: with a header that has most of the columns' names."""
    first = content.removeprefix(b"\xef\xbb\xbf").splitlines()[:1]
    return any(_named(line.decode("latin-1"), _separator(line.decode("latin-1"))) > len(COLUMNS) // 2 for line in first)


def _separator(head):
    """What stands between the names of a header."""
    return max(",;\t", key=lambda one: _named(head, one))


def _named(head, separator):
    """How many columns a header has a name of."""
    return len({cell.strip().strip('"').lower() for cell in head.split(separator)} & {*COLUMNS})


def read_recording(path):
    """The `Recording` of a CSV file; see `parse_recording`, whose errors do not name the file either."""
    try:
        return parse_recording(Path(path).read_bytes())
    except FileNotFoundError:
        raise InputError("no such file") from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from None


def parse_recording(content):
    """The frames of a CSV file in the form of the gesture phase data set.

    Its header names the columns: `lhx,lhy,lhz,rhx,rhy,rhz,hx,hy,hz,sx,sy,sz,lwx,lwy,lwz,rwx,rwy,rwz`, in any order, and
    `phase` where each frame has one; others, such as `timestamp`, are not looked at. Semicolons or tabs will do for commas.

    Args:
        content: bytes, of UTF-8 or else of Latin-1, in which that data set has one word.

    Raises:
        InputError: a column is missing, there are no frames, or a number is none; it names the line.
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    separator = _separator(text.partition("\n")[0])
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    frames, phases, lines = [], [], []
    try:
        head = [name.strip().lower() for name in next(reader, [])]
        missing = [name for name in COLUMNS if name not in head]
        if missing:
            raise InputError(f"line 1: no column '{missing[0]}'; expected the columns {', '.join(COLUMNS)}")
        places, phase = [head.index(name) for name in COLUMNS], head.index("phase") if "phase" in head else None
        for row in reader:
            if not any(map(str.strip, row)):
                continue
            where = f"line {reader.line_num}"
            if len(row) != len(head):
                raise InputError(f"{where}: {len(row)} fields; expected {len(head)}, as the header has")
            frames.append([_number(row[place], name, where) for place, name in zip(places, COLUMNS, strict=True)])
            lines.append(reader.line_num)
            if phase is not None:
                phases.append(row[phase].strip())
    except csv.Error as error:
        raise InputError(f"line {reader.line_num}: {error}") from None
    if not frames:
        raise InputError("a header and no frames")
    return Recording(np.array(frames, np.float32), None if phase is None else phases, lines)


def _number(text, column, where):
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if not abs(number) <= LARGEST:
        raise InputError(f"{where}, column '{column}': '{short(text)}' is no number of 32 bits")
    return number


# Where the points are of someone who sits and rests the hands, as that data set has it.
_AT_REST = [(4.7, 4.3, 1.5), (5.4, 4.3, 1.5), (5.05, 1.65, 1.78), (5.05, 4.2, 1.77), (4.5, 4.3, 1.55), (5.6, 4.3, 1.55)]


def synthetic(frames):
    """A movement that is made here: someone who rests, raises now one hand and now both, and rests again.

    Args:
        frames: how many; what is done is drawn by their number.

    Returns:
        float32 (frames, 18).
    """
    rng, t = np.random.default_rng(frames), np.arange(frames)
    points = np.tile(np.array(_AT_REST), (frames, 1, 1)) + np.cumsum(rng.normal(0, 0.002, (frames, len(POINTS), 3)), axis=0)
    for centre in np.arange(rng.uniform(5, 20), frames, 30):
        raised = np.exp(-(((t - centre) / rng.uniform(5, 10)) ** 2))[:, None]
        waved = raised * np.sin((t - centre) / rng.uniform(1.5, 4))[:, None]
        for hand in rng.permutation(2)[: rng.integers(1, 3)]:
            reach, wave = rng.normal((0, -1.2, -0.15), (0.4, 0.4, 0.05)), rng.normal((0, 0, 0), (0.3, 0.3, 0.02))
            points[:, hand] += raised * reach + waved * wave
            points[:, 4 + hand] += 0.8 * (raised * reach + waved * wave)
    return points.reshape(frames, -1).astype(np.float32)
