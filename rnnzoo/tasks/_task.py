"""What every task is."""

from typing import NamedTuple

import numpy as np

from rnnzoo.errors import InputError

# The share of the training examples that choices are made by where the task has no validation part.
CHOICES = 0.2
# Timesteps that all examples of one set have together, where they are drawn: what memory holds, and minutes draw.
MOST_DRAWN = 10**8


def check_drawn(timesteps, /, most=MOST_DRAWN, **counts):
    """Refuses to draw no examples, or more than memory holds.

    Args:
        timesteps: how many each has at the most.
        most: how many they may have together.
        counts: option -> how many examples it asks for.

    Raises:
        InputError: one is below 1 or too large.
    """
    for name, count in counts.items():
        if count < 1:
            raise InputError(f"task_options.{name}={count}: expected at least 1")
        if count * timesteps > most:
            each = f" of up to {timesteps:,} timesteps each" if timesteps > 1 else ""
            raise InputError(f"task_options.{name}={count}: expected at most {most // timesteps:,}{each}")


def check_option(name, value, least, most):
    """Refuses an option that is out of its range.

    Raises:
        InputError: it is.
    """
    if not least <= value <= most:
        raise InputError(f"task_options.{name}={value}: expected a whole number from {least} to {most:,}")


class Examples(NamedTuple):
    """Raw inputs, the answers that are right, and how much each counts (`None`: all alike)."""

    inputs: list
    answers: list
    weights: np.ndarray | None = None

    def take(self, indices):
        """The examples at `indices`, in that order."""
        weights = None if self.weights is None else self.weights[indices]
        return Examples([self.inputs[i] for i in indices], [self.answers[i] for i in indices], weights)


class Task:
    """A task: what goes in, what comes out, and the examples to learn from and to be judged by.

    Attributes:
        input: how raw input becomes a tensor (`rnnzoo.tasks._inputs`).
        answer: how outputs become answers (`rnnzoo.tasks._answers`).
        metric: the name of the share of answers that are right.
        description: what goes in and what comes out, in words.
        source: where the examples come from, and under which licence.
        learns: the names of what is taken from the examples, such as a vocabulary, and travels with the weights: of entries
            of the input's and the answer's descriptions.
        learns_own: likewise, but of what is fixed for the task's own examples, and taken from those of a user alone, where
            `open` was called before they are read.
        likelihood: where the probability of the answers that came is judged, of "each" for itself or of all of them
            "joined" into one text; else `None`.
        unit: what of an answer such a probability is of: a character, or a frame of music.
        drawn: whether answers are drawn rather than right or wrong, so that nothing but their probability is judged.
        folders: whether `rows` takes folders; of other tasks a folder is its files.
        specimen: the options of `rnnzoo.generate` by which a model card shows what the weights write; `None`: it does not.
    """

    metric = "exact_match"
    source = "generated"
    learns = ()
    learns_own = ()
    likelihood = None
    unit = "character"
    drawn = False
    folders = False
    specimen = None

    def train(self):
        """The `Examples` to learn from; none of them is ever among those of a test named `held_out`."""
        raise NotImplementedError

    def tests(self):
        """A dict of functions that give the `Examples` to be judged by; the first is `held_out`, where anything is."""
        raise NotImplementedError

    def learn(self, training, *others):
        """Takes what `learns` names from examples.

        Args:
            training: the `Examples` to train on.
            others: `Examples` to be judged by, of which the answers that there can be are known too, and nothing else.

        Raises:
            InputError: there is too little in them.
        """

    def recall(self, learned):
        """Takes what `learned` gave of a task with the same options."""

    def open(self):
        """Before a user's examples are read: takes for an answer whatever `learn` will learn from them (`learns_own`)."""
        self.learns = self.learns_own or self.learns

    @property
    def learned(self):
        """What was taken from examples, name -> value that JSON has; `None` where nothing is to be, or not yet."""
        described = {**self.input.describe(), **self.answer.describe()}
        found = {name: described[name] for name in self.learns}
        return None if not found or None in found.values() else found

    def validation(self):
        """The `Examples` that choices are made by, neither trained on nor those of `tests`; `None` where there are none."""
        return None

    def choices(self):
        """What choices are made by, a pair of `Examples`: to learn from, and to compare by; none of `tests` is read.

        They are `train` and `validation`, or where there is no validation part, what is left of `train` and a fifth of it,
        the same one each time: of its distinct inputs, or where one has several answers, of its examples.

        Raises:
            InputError: there is too little to hold some of it out.
        """
        training, validation = self.train(), self.validation()
        if validation is not None:
            return training, validation
        known, sure = {}, True  # each input's first example
        for i, raw in enumerate(training.inputs):
            first = known.setdefault(key(raw), i)
            sure = sure and training.answers[first] == training.answers[i]
        firsts = list(known.values()) if sure else range(len(training.inputs))
        held_out = [firsts[i] for i in split(len(firsts), CHOICES, seed=0)[1]]
        if not held_out:
            count = len(firsts)
            raise InputError(f"the task has {count} example{'s' * (count > 1)} to learn from, and none to compare by")
        out = {key(training.inputs[i]) if sure else i for i in held_out}
        left = [i for i, raw in enumerate(training.inputs) if (key(raw) if sure else i) not in out]
        return training.take(left), training.take(held_out)

    def augment(self, inputs, targets, weights, rng):
        """Training arrays of examples, varied for one epoch, for recipes with `training.augment`.

        Args:
            inputs: what the model takes, an array or a dict of arrays (examples, ...).
            targets: (examples, ...).
            weights: how much each target counts.
            rng: a `np.random.Generator`.

        Returns:
            The three, of the same shapes; what was given is not changed.
        """
        raise InputError("training.augment: the task does not vary its examples")

    def cut(self, examples):
        """Whole `Examples` as they are learned from: long sequences may be cut into pieces."""
        return examples

    def rows(self, path):
        """The examples of a user's file in a format of the task's own, such as a column format or a folder a class.

        Args:
            path: the file or folder.

        Returns:
            `None` where the path has another format (then it is read as CSV, TSV or JSONL); else an iterator of (where,
            input, answer as text), or of (where, None, None, what is wrong) for what cannot be read as an example.
        """
        return None

    def pieces(self, raw, answer):
        """A raw input in pieces, where an answer says what parts of it are: a list of (text, what it is or `None`)."""
        return None

    def told(self, raw, answer):
        """What programs are told of an answer beside it: a dict of values that JSON has."""
        return {}

    def up_to(self, timesteps, stage):
        """The `Examples` to learn from in a stage of a curriculum: those of at most so many timesteps.

        Args:
            timesteps: how many.
            stage: the number of the stage, from 0; tasks that draw their examples draw others in each.

        Raises:
            InputError: there are none.
        """
        return no_longer_than(self, self.train(), timesteps)

    def samples(self):
        """A few raw inputs to show answers for."""
        inputs = self.first_test().inputs
        return inputs[:: max(1, len(inputs) // 4)][:4]

    def raw_inputs(self):
        """Raw inputs as they occur, for what needs some and no answers; tasks on data files have them without the files."""
        return self.first_test().inputs

    def first_test(self):
        """The `Examples` of the first of `tests`."""
        return next(iter(self.tests().values()))()

    def model_arguments(self, architecture):
        """The factory's arguments that the task, not the preset, decides."""
        return {**self.input.model_arguments(architecture), **self.answer.model_arguments(architecture)}

    def is_right(self, given, answer):
        """Whether an answer counts as the right one."""
        return given == answer

    def score(self, examples, predicted):
        """Metrics of the answers `predicted` for `examples`, as a dict of floats."""
        right = np.array([self.is_right(p, a) for p, a in zip(predicted, examples.answers, strict=True)], float)
        return {self.metric: float(np.average(right, weights=examples.weights))}

    def right_answer(self, raw):
        """The right answer to one checked input where the task can tell it, else `None`."""
        return None

    def references(self):
        """Figures that the metrics on the tests are to be compared with, such as the best that any model can reach."""
        return {}


class SplitTask(Task):
    """A task whose examples are a data set that is split once; `_parts`, of each such task, holds the three `Examples`."""

    def train(self):
        return self._parts[0]

    def validation(self):
        """See `Task`."""
        return self._parts[1]

    def tests(self):
        return {"held_out": lambda: self._parts[2]}


def marked(pieces):
    """Pieces of an input (see `Task.pieces`) as one text: `[Barack Obama]PER visits [London]LOC`."""
    return "".join(text if kind is None else f"[{text}]{kind}" for text, kind in pieces)


def learned_labels(training, *others):
    """The labels of a user's `Examples`, in order; texts, where not all of them are numbers.

    Raises:
        InputError: there is one alone.
    """
    labels = set(training.answers).union(*(part.answers for part in others))
    labels = sorted(labels if len({*map(type, labels)}) == 1 else map(str, labels))
    if len(labels) < 2:
        raise InputError(f"every answer is '{labels[0]}'; expected at least two labels")
    return labels


def learned_alphabet(training, *others):
    """The characters of the answers of a user's `Examples`, in order, and how long the longest one is."""
    answers = [answer for part in (training, *others) for answer in part.answers]
    return "".join(sorted(set().union(*answers))), max(map(len, answers))


def windows(examples, size, step):
    """Windows of long sequences with an answer at every timestep, one every so many; the last one of each ends with it."""
    inputs, answers = [], []
    for sequence, answer in zip(examples.inputs, examples.answers, strict=True):
        last = max(len(sequence) - size, 0)
        for start in [*range(0, last, step), last]:
            inputs.append(sequence[start : start + size])
            answers.append(answer[start : start + size])
    return Examples(inputs, answers)


def no_longer_than(task, examples, timesteps):
    """The examples of at most so many timesteps.

    Raises:
        InputError: there are none.
    """
    short = [i for i, raw in enumerate(examples.inputs) if task.input.steps(task.input.check(raw)) <= timesteps]
    if not short:
        raise InputError(f"training.curriculum: no training example has {timesteps} timesteps or fewer")
    return examples.take(short)


def apart(examples, others):
    """The examples whose inputs are not among those of `others`."""
    known = set(map(key, others.inputs))
    return examples.take([i for i, raw in enumerate(examples.inputs) if key(raw) not in known])


def key(raw):
    """What tells raw inputs apart, in sets and dicts."""
    return (raw.shape, raw.tobytes()) if isinstance(raw, np.ndarray) else raw


def plain(raw):
    """A raw input as values that JSON has: an array as nested lists of the shortest decimal numbers."""
    if isinstance(raw, np.ndarray):
        return raw.tolist() if raw.dtype.kind in "iu" else [plain(part) for part in raw]
    return decimal(raw) if isinstance(raw, np.floating) else raw


def decimal(number):
    """The shortest decimal number that means the same 32-bit one: 0.1, not 0.10000000149011612."""
    return float(str(np.float32(number)))


def split(count, held_out, seed):
    """Two disjoint arrays of indices below `count`: to train on, and the share `held_out` that is never trained on."""
    order = np.random.default_rng(seed).permutation(count)
    size = round(count * held_out)
    return np.sort(order[size:]), np.sort(order[:size])
