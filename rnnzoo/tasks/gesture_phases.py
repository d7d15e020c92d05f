"""Which phase of a gesture each frame of a video is in."""

import functools

import numpy as np

from rnnzoo import data
from rnnzoo.errors import InputError
from rnnzoo.tasks._inputs import short
from rnnzoo.tasks._labels import EachLabel
from rnnzoo.tasks._movement import (
    MIRRORED,
    PADDING,
    SIGNS,
    MovementInput,
    is_recording,
    parse_recording,
    read_recording,
    synthetic,
)
from rnnzoo.tasks._scores import accuracy, macro_f1
from rnnzoo.tasks._task import Examples, Task, windows

ARCHIVE = data.DataFile(
    "video_frames/gesture_phase_dataset.zip",
    "https://raw.githubusercontent.com/Znmangosteen/EMOexe/403e10c219e1bf34b9141d163c8d8320055a57bb/"
    "data/gesture_phase_dataset%20%281%29.zip",
    "58e7259cf700fa5001ade8983bea853508c529ede030e97e76decb9952352693",
    1_943_494,
)
# Video -> the size of its file in bytes: user a, b or c, who tells story 1, 2 or 3.
VIDEOS = {"a1": 307_711, "a2": 222_794, "a3": 325_436, "b1": 190_855, "b3": 252_965, "c1": 196_335, "c3": 256_512}
PHASES = ("Rest", "Preparation", "Stroke", "Hold", "Retraction")
# As one frame of b1 has it.
TRANSLATED = {"Preparação": "Preparation"}


class GesturePhases(Task):
    """Frames of a Kinect -> the phase of a gesture that each is in: seven videos of three people who tell comic strips.

    Madeo, Lima and Peres 2013, "Gesture unit segmentation using support vector machines: segmenting gestures from rest
    positions". A gesture is prepared, done (its stroke), sometimes held, and retracted to rest. What is learned from is
    windows of the videos; whole videos are judged, frame by frame.

    Beside the scores stand those of two that see one frame at a time: the commonest phase, and a linear classifier of the
    same features, fitted by least squares.

    Args:
        held_out: the videos to be judged by. All others are learned from, but for those of `validation`.
        validation: the videos that choices are made by.
        window: how many frames an example to learn from has.
        step: how many frames the next window is further on.
        noise: the standard deviation of what is added to each feature, with `training.augment`.
    """

    description = "frames of a Kinect, six points each -> the phase of a gesture that each frame is in"
    metric = "accuracy"
    folders = True
    learns_own = ("labels",)
    source = (
        "gesture phase segmentation data set (Madeo, Lima and Peres 2013) as UCI distributes it, "
        "github.com/Znmangosteen/EMOexe; UCI's page is said to name CC BY 4.0, which was not confirmed"
    )

    def __init__(
        self,
        held_out: tuple = ("b3", "c3"),
        validation: tuple = (),
        window: int = 96,
        step: int = 24,
        noise: float = 0.2,
    ):
        self.held_out, self.validated = tuple(held_out), tuple(validation)
        for name, videos in (("held_out", self.held_out), ("validation", self.validated)):
            for video in videos:
                if video not in VIDEOS:
                    raise InputError(f"task_options.{name}: no video '{video}'; there are {', '.join(VIDEOS)}")
        self.learned_from = [video for video in VIDEOS if video not in (*self.held_out, *self.validated)]
        if not self.held_out or not self.learned_from or set(self.held_out) & set(self.validated):
            raise InputError("task_options: expected a video or more in held_out, others in validation, and some in neither")
        if window < 1 or step < 1 or noise < 0:
            raise InputError(f"task_options: window={window}, step={step}, noise={noise}; expected at least 1, 1 and 0")
        self.window, self.step, self.noise = window, step, noise
        self.input = MovementInput("frames")
        self._label(PHASES)

    def open(self):
        """See `Task`."""
        super().open()
        self.answer = FrameLabels("phases", [], padding=PADDING, open=True)

    def learn(self, training, *others):
        """The phases of the examples."""
        found = {label for part in (training, *others) for answer in part.answers for label in answer}
        self._label(PHASES if found <= set(PHASES) else sorted(found))

    def recall(self, learned):
        """See `Task`."""
        self.learns = self.learns_own
        self._label(learned["labels"])

    def _label(self, labels):
        self.answer = FrameLabels("phases", labels, padding=PADDING)

    def train(self):
        return self.cut(self._videos(self.learned_from))

    def validation(self):
        """See `Task`."""
        return self._videos(self.validated) if self.validated else None

    def choices(self):
        """See `Task`; a fifth of the windows would overlap with the others: a whole video is held out."""
        if self.validated:
            return super().choices()
        if len(self.learned_from) < 2:
            raise InputError("task_options: one video to learn from, and none to compare by; give one in validation")
        users = [video[0] for video in self.learned_from]
        # Of the user who tells most of the stories, so that the others are not lost.
        chosen = min(self.learned_from, key=lambda video: (-users.count(video[0]), VIDEOS[video]))
        return self.cut(self._videos([v for v in self.learned_from if v != chosen])), self._videos([chosen])

    def tests(self):
        return {"held_out": functools.partial(self._videos, self.held_out)}

    def cut(self, examples):
        """Windows of examples; the last one of each ends with it."""
        return windows(examples, self.window, self.step)

    def augment(self, inputs, targets, weights, rng):
        """Mirrors about half of the movements, and adds noise to all features."""
        used = (inputs != np.float32(PADDING)).any(axis=-1, keepdims=True)
        flipped = (rng.random(len(inputs)) < 0.5)[:, None, None]
        varied = np.where(flipped, inputs[..., MIRRORED] * SIGNS, inputs)
        varied += rng.normal(0, self.noise, inputs.shape).astype(np.float32)
        return np.where(used, varied, inputs), targets, weights

    def rows(self, path):
        """A CSV file like those of the data set, with the column `phase`, or a folder of them: a sequence a file."""
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if self.input.names_a_file(file.name))
            if not files:
                raise InputError(f"{path}: no .csv file in it; expected one a sequence")
            return map(self._row, files)
        if self.input.names_a_file(path) and path.is_file() and is_recording(path.read_bytes()):
            return map(self._row, [path])
        return None

    def _row(self, path):
        """A file as a row of the user's own examples; see `Task.rows`."""
        try:
            recording = read_recording(path)
            if recording.phases is None:
                raise InputError("line 1: no column 'phase'; expected one, a phase a frame")
            phases = _translated(recording).phases
            for phase, line in zip(phases, recording.lines, strict=True):
                if self.answer.open and len(phase.split()) != 1:
                    raise InputError(f"line {line}, column 'phase': '{short(phase)}' is not one word, as a label is")
                if not self.answer.open and phase not in self.answer.labels:
                    expected = ", ".join(map(repr, self.answer.labels))
                    raise InputError(
                        f"line {line}, column 'phase': '{short(phase)}' is no label; expected one of {expected}"
                    )
            return str(path), recording.frames, " ".join(phases)
        except InputError as error:
            return str(path), None, None, str(error)

    def samples(self):
        return ["synthetic:12", "synthetic:4"]

    def raw_inputs(self):
        return [synthetic(frames) for frames in (1, 2, 3, 5, 8, 12, 17, 23, 30, 37, 48, 64)]

    def score(self, examples, predicted):
        """Accuracy and macro-F1 over all frames of all sequences."""
        given, right = ([phase for phases in side for phase in phases] for side in (predicted, examples.answers))
        return {"accuracy": accuracy(given, right), "macro_f1": macro_f1(given, right)}

    def references(self):
        """The scores on `held_out` of what sees one frame at a time."""
        known, held_out = self._videos(self.learned_from), self.first_test()
        x, y = self._frames(known)
        given, right = self._frames(held_out)
        with_one = [np.pad(features, [(0, 0), (0, 1)], constant_values=1) for features in (x, given)]
        weights = np.linalg.lstsq(with_one[0], np.eye(len(PHASES))[y], rcond=None)[0]
        commonest = np.full_like(right, np.bincount(y).argmax())
        scores = {}
        for name, guessed in (("commonest", commonest), ("linear", (with_one[1] @ weights).argmax(axis=-1))):
            scores[f"{name}_accuracy"] = accuracy(guessed.tolist(), right.tolist())
            scores[f"{name}_macro_f1"] = macro_f1(guessed.tolist(), right.tolist())
        return scores

    def _frames(self, examples):
        """The features of all frames (frames, 35), and the numbers of their phases (frames,)."""
        features = [self.input.front(self.input.tensor([frames]))[0].numpy() for frames in examples.inputs]
        return np.concatenate(features), np.array([PHASES.index(phase) for phases in examples.answers for phase in phases])

    def _videos(self, names):
        """Whole videos as `Examples`."""
        found = [self._all[name] for name in names]
        return Examples([one.frames for one in found], [one.phases for one in found])

    @functools.cached_property
    def _all(self):
        return {name: _translated(parse_recording(_member(name))) for name in VIDEOS}


class FrameLabels(EachLabel):
    """The phase of each frame."""

    def shown(self, answer):
        """An answer as people read it: `Rest x45, Preparation x12`."""
        starts = [t for t in range(len(answer)) if t == 0 or answer[t] != answer[t - 1]]
        ends = [*starts[1:], len(answer)]
        return ", ".join(f"{answer[start]} x{end - start}" for start, end in zip(starts, ends, strict=True))


def _member(video):
    return data.read_member(ARCHIVE, f"{video}_raw.csv", VIDEOS[video])


def _translated(recording):
    return recording._replace(phases=[TRANSLATED.get(phase, phase) for phase in recording.phases])
