"""MNIST: what the tasks on it share."""

import functools

import numpy as np

from rnnzoo import data
from rnnzoo.tasks import _images
from rnnzoo.tasks._answers import LabelAnswer
from rnnzoo.tasks._scores import accuracy
from rnnzoo.tasks._task import Examples, Task, learned_labels

URL = "https://storage.googleapis.com/cvdf-datasets/mnist"
# The IDX files, unpacked: their size and sha256; of the first, the published ones.
FILES = {
    "train-images-idx3-ubyte": (47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train-labels-idx1-ubyte": (60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte": (7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte": (10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}
SOURCE = "MNIST by Yann LeCun and Corinna Cortes, licence CC BY-SA 3.0"
# The last of the training pictures are for validation.
VALIDATION = 5_000
PARTS = {"train": ("train", None, -VALIDATION), "validation": ("train", -VALIDATION, None), "held_out": ("t10k", None, None)}
# By how many pixels `augment` moves a picture at the most.
MOVES = 1


class MnistTask(Task):
    """A picture of a handwritten digit -> the digit: MNIST, LeCun, Bottou, Bengio and Haffner 1998, section III.

    The official split: 10,000 pictures, of other writers, are held out. Of the 60,000 to train on the last 5,000 are for
    validation. Beside the scores stands that of the nearest mean: which digit's mean picture is the nearest.

    Who inherits from it says how a picture goes into the model.

    Attributes:
        layout: one of `_images.LAYOUTS`.
    """

    metric = "accuracy"
    folders = True
    learns_own = ("labels",)
    source = SOURCE
    layout = None

    def __init__(self):
        self.input = _images.ImageInput("image", self.layout)
        self.answer = LabelAnswer("digit", range(10))

    def open(self):
        """See `Task`; digits are numbers all the same."""
        super().open()
        self.answer = LabelAnswer("digit", range(10), open=True)

    def learn(self, training, *others):
        """The classes of the examples: the ten digits, or whatever else there is."""
        labels = learned_labels(training, *others)
        if set(labels) <= set(range(10)):
            self.learns, labels = (), range(10)
        self.answer = LabelAnswer("digit", labels)

    def recall(self, learned):
        """See `Task`."""
        if learned["labels"] != [*range(10)]:
            self.learns = self.learns_own
            self.answer = LabelAnswer("digit", learned["labels"])

    def is_right(self, given, answer):
        return str(given) == str(answer)  # among other classes a digit is a text as they are

    def train(self):
        return _examples("train")

    def validation(self):
        """The `Examples` that choices are made by: neither trained on nor those of `tests`."""
        return _examples("validation")

    def tests(self):
        return {"held_out": lambda: _examples("held_out")}

    def samples(self):
        """Digits that are drawn here: MNIST's own need the data."""
        return [f"{_images.DRAWN}{digit}" for digit in (0, 3, 5, 7)]

    def raw_inputs(self):
        return [self.input.check(f"{_images.DRAWN}{digit}") for digit in range(10)]

    def rows(self, path):
        return _images.rows_of_folder(path, self) if path.is_dir() else None

    def augment(self, inputs, targets, weights, rng):
        """Every picture moved by up to a pixel in each direction, as `_images.moved` does it."""
        images = inputs.reshape(-1, _images.SIDE, _images.SIDE)
        return _images.moved(images, MOVES, rng).reshape(inputs.shape), targets, weights

    def references(self):
        """The accuracy of the nearest mean on the pictures held out."""
        train, held_out = self.train(), self.first_test()
        given = nearest_mean(train, held_out.inputs)
        return {"nearest_mean_accuracy": accuracy(given, held_out.answers)}


def nearest_mean(examples, pictures):
    """For each picture the digit whose mean picture, over `examples`, is the nearest to it."""
    images, digits = np.stack(examples.inputs), np.array(examples.answers)
    means = np.stack([images[digits == digit].mean(axis=0).ravel() for digit in range(10)])
    pictures = np.stack(pictures).reshape(len(pictures), -1).astype(float)
    # |p - m|^2 without |p|^2, which is the same for every m.
    return ((means**2).sum(axis=1) - 2 * pictures @ means.T).argmin(axis=1).tolist()


def part(name):
    """The pictures, uint8 (count, 28, 28), and the digits, uint8 (count,), of one of `PARTS`."""
    file, start, stop = PARTS[name]
    found = (_read(f"{file}-{kind}-ubyte", data.cache()) for kind in ("images-idx3", "labels-idx1"))
    return tuple(array[start:stop] for array in found)


def _examples(name):
    images, digits = part(name)
    return Examples(list(images), digits.tolist())


@functools.lru_cache(maxsize=len(FILES))
def _read(name, cache):
    """The array of an IDX file: a header of 4 bytes and a big-endian size for each axis, then a byte a number."""
    size, sha256 = FILES[name]
    content = data.read(data.DataFile(f"image_mnist/{name}.gz", f"{URL}/{name}.gz", sha256, size))
    shape = np.frombuffer(content, ">u4", count=content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)
