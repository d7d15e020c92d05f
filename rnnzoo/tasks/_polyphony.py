"""Polyphonic music frame by frame: the published splits, transposition, MIDI files, and floors to compare with."""

import functools
import io

import numpy as np

from rnnzoo import data
from rnnzoo.errors import InputError, MissingExtraError
from rnnzoo.tasks._notes import KEYS, LOWEST, PADDING, NotesAnswer, NotesInput, frames_of, started, texts_of
from rnnzoo.tasks._task import Examples, SplitTask, windows

COMMIT = "2f8c2b817050206397458dfd1f5a25ce8a32fe65"
# What the three parts are called in the files: to learn from, for choices, and held out.
PARTS = ("traindata", "validdata", "testdata")


class Polyphony(SplitTask):
    """The frames of a piece up to one -> the notes that sound at the next: which of 88 keys, each for itself.

    The score is minus the logarithm of the probability of what came, in nats a frame, over all frames of all pieces; the
    first one of each is predicted from a silence before it. Pieces and split are those of Boulanger-Lewandowski, Bengio and
    Vincent 2012, "Modeling Temporal Dependencies in High-Dimensional Sequences".

    Beside the score stand those of two that are counted in the training part, with a half added to each count: `marginal`,
    how often each key sounds, and `markov`, how often after it did and did not sound in the frame before.

    Args:
        transpose: by up to so many semitones either way, drawn anew for each piece and epoch, `training.augment` moves them;
            less where keys would leave the piano.
        window: into how many frames pieces are cut to be learned from; 0 for whole ones.
    """

    likelihood = "each"
    unit = "frame"
    drawn = True
    metric = "exact_frames"
    folders = True
    learns = ("keys",)
    description = "the frames of a piece so far -> the notes of the next frame"

    file = None  # the `DataFile`
    quarters = 1.0  # what a frame lasts
    tempo = 90  # at which a piece is written
    example = ""
    frame = "quarter note"

    def __init__(self, transpose: int = 5, window: int = 0):
        if not 0 <= transpose <= 12 or window < 0:
            raise InputError(f"task_options: transpose={transpose}, window={window}; expected 0 to 12, and 0 or more")
        self.transpose, self.window = transpose, window
        self.input = NotesInput("frames", self.quarters, self.example)
        self.answer = NotesAnswer("next")

    def learn(self, training, *others):
        """The keys that sound in the examples to train on: nothing else is ever answered or written."""
        sounds = np.any([frames_of(answer).any(axis=0) for answer in training.answers], axis=0)
        if not sounds.any():
            raise InputError("nothing but silence; expected notes")
        self.answer = NotesAnswer("next", (np.flatnonzero(sounds) + LOWEST).tolist())

    def recall(self, learned):
        """See `Task`."""
        self.answer = NotesAnswer("next", learned["keys"])

    def train(self):
        return self.cut(super().train())

    def cut(self, examples):
        """Windows of pieces, the last one of each ending with it; whole pieces where they are not cut."""
        return windows(examples, self.window, self.window) if self.window else examples

    def augment(self, inputs, targets, weights, rng):
        """Transposes each piece by as many semitones as are drawn."""
        used = inputs[:, :, :1] != PADDING
        sounds = (targets > 0).any(axis=1) | ((inputs > 0) & used).any(axis=1)  # (examples, 88)
        silent = ~sounds.any(axis=1)
        down = np.where(silent, 0, -sounds.argmax(axis=1))
        up = np.where(silent, 0, sounds[:, ::-1].argmax(axis=1))
        by = np.clip(rng.integers(-self.transpose, self.transpose + 1, len(inputs)), down, up)
        moved_inputs, moved_targets = np.empty_like(inputs), np.empty_like(targets)
        for semitones in np.unique(by):
            those = by == semitones
            moved_inputs[those] = np.roll(inputs[those], semitones, axis=-1)  # padding is the same in all keys
            moved_targets[those] = np.roll(targets[those], semitones, axis=-1)
        return moved_inputs, moved_targets, weights

    def rows(self, path):
        """A MIDI file, or a folder of them, a piece a file; see `Task`."""
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if self.input.names_a_file(file.name))
            if not files:
                raise InputError(f"{path}: no .mid file in it; expected one a piece")
            return map(self._row, files)
        return map(self._row, [path]) if self.input.names_a_file(path) else None

    def _row(self, path):
        try:
            (frames,), (texts,) = pieces([self.input.read(path)])[:2]
            return str(path), frames, " ".join(texts)
        except MissingExtraError:
            raise
        except InputError as error:
            return str(path), None, None, str(error)

    def raw_inputs(self):
        return [invented(frames) for frames in (1, 2, 3, 4, 5, 8, 12, 17)]

    def references(self):
        """The nats a frame of what is counted, on the test."""
        known, held_out = ([frames_of(answer) for answer in part.answers] for part in (self._parts[0], self._parts[2]))
        count = sum(map(len, known))
        marginal = (sum(piece.sum(axis=0) for piece in known) + 0.5) / (count + 1)
        before, came = (np.concatenate([turn(piece) for piece in known]) for turn in (_before, np.asarray))
        after = [(before * came).sum(axis=0), ((1 - before) * came).sum(axis=0)]
        markov = [(n + 0.5) / (of + 1) for n, of in zip(after, (before.sum(axis=0), (1 - before).sum(axis=0)), strict=True)]
        before, came = (np.concatenate([turn(piece) for piece in held_out]) for turn in (_before, np.asarray))
        return {
            "marginal_nats": _nats(came, marginal),
            "markov_nats": _nats(came, np.where(before > 0, markov[0], markov[1])),
        }

    @functools.cached_property
    def _parts(self):
        """`Examples` to train on, to validate with and held out."""
        return [pieces(part) for part in read_parts(self.file)]


def pieces(rolls):
    """Arrays (frames, 88) as `Examples`: at each frame what came before it, at first a silence, and its notes as text."""
    return Examples([started(roll)[:-1] for roll in rolls], [texts_of(roll) for roll in rolls])


def read_parts(file):
    """The three parts of a MATLAB file of Bai et al. 2018, lists of float32 arrays (frames, 88).

    Raises:
        MissingExtraError: SciPy is not installed.
        DataError: see `rnnzoo.data.read`.
    """
    content = data.read(file)
    try:
        from scipy.io import loadmat
    except ImportError:
        raise MissingExtraError("MATLAB files are read by SciPy: pip install 'rnnzoo[music]'") from None
    found = loadmat(io.BytesIO(content), variable_names=PARTS)
    return [[np.asarray(piece, np.float32) for piece in found[part][0]] for part in PARTS]


def invented(frames):
    """A piece that is made here: chords of four voices with a silence before them, float32 (frames, 88)."""
    rng, found = np.random.default_rng(frames), []
    roots = rng.choice([0, 5, 7, 9, 2], frames)
    for root in roots.tolist():
        found.append([48 + root + step for step in (0, 7, 12, 16 if root in (0, 5, 7) else 15)])
    rolled = np.zeros((frames, KEYS), np.float32)
    for t, notes in enumerate(found[1:], 1):
        rolled[t, [note - LOWEST for note in notes]] = 1
    return rolled


def _before(piece):
    """What stands before each frame."""
    return started(piece)[:-1]


def _nats(came, p):
    """(frames, 88) of 0 and 1, and their probabilities -> nats a frame."""
    return float(-np.log(np.where(came > 0, p, 1 - p)).sum(axis=-1).mean())
