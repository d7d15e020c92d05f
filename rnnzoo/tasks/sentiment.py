"""Whether a sentence about a film speaks for it or against it."""

import functools
import itertools

import numpy as np

from rnnzoo import data
from rnnzoo.errors import InputError
from rnnzoo.tasks._answers import LabelAnswer
from rnnzoo.tasks._naive_bayes import NaiveBayes
from rnnzoo.tasks._scores import accuracy
from rnnzoo.tasks._task import Examples, SplitTask, learned_labels
from rnnzoo.tasks._words import WordsInput, common_words, words

ARCHIVE = data.DataFile(
    "sentiment/sentence_polarity.zip",
    "https://raw.githubusercontent.com/nltk/nltk_data/5db857e6f7df11eabb5e5665836db9ec8df07e28/packages/corpora/"
    "sentence_polarity.zip",
    "6e1ed4405b65c7eabf1d199a7f7c437091ac21da0ea7467b410a74062574566b",
    490_256,
)
MEMBERS = {"negative": ("rt-polarity.neg", 612_441), "positive": ("rt-polarity.pos", 626_334)}
LABELS = tuple(MEMBERS)
HELD_OUT = 0.1
# Of naive Bayes; of 3, 2, 1, 0.5 and 0.2 the one that is right most often on the validation part.
SMOOTHING = 1


class Sentiment(SplitTask):
    """`A moving and funny film.` -> positive: sentences from film reviews, half of them for the film (Pang and Lee 2005).

    The vocabulary is the commonest words of the examples that are trained on. Of the sentence polarity data set's distinct
    sentences a tenth of each label is held out and another tenth is for validation; which, is drawn by the words, so that
    sentences of the same words are on the same side, and those that have both labels are left out.

    Beside the accuracy stands that of a naive Bayes classifier with words and pairs of words, trained on the same sentences.

    Args:
        vocabulary: how many words have an id of their own at the most.
        rare: words that the training part has at most so many times are taken for unknown, so that what is unknown is
            learned, too.
        word_dropout: the share of words that are taken for unknown in training, with `training.augment`.
        split_seed: of the split; no part of a training run's seed.
    """

    description = "a sentence about a film -> positive or negative"
    metric = "accuracy"
    source = "sentence polarity data set v1.0 (Pang and Lee 2005), github.com/nltk/nltk_data, CC BY 4.0"
    learns = ("vocabulary", "labels")

    def __init__(self, vocabulary: int = 6000, rare: int = 1, word_dropout: float = 0.15, split_seed: int = 0):
        if vocabulary < 1 or rare < 0:
            raise InputError(f"task_options: vocabulary={vocabulary} and rare={rare}; expected at least 1 and 0")
        if not 0 <= word_dropout < 1:
            raise InputError(f"task_options.word_dropout={word_dropout}: expected from 0 up to but not including 1")
        self.most, self.rare, self.word_dropout, self.split_seed = vocabulary, rare, word_dropout, split_seed
        self._set(None, LABELS)

    def _set(self, vocabulary, labels):
        hint, example = "a sentence about a film", "A moving and funny film."
        self.input = WordsInput("review", hint, example, vocabulary, self.most)
        self.answer = LabelAnswer("sentiment", labels, open=vocabulary is None)

    def learn(self, training, *others):
        """The vocabulary of the examples to train on, and the labels of all."""
        labels = learned_labels(training, *others)
        self._set(common_words(training.inputs, self.most, self.rare), labels)

    def recall(self, learned):
        """See `Task`."""
        self._set(learned["vocabulary"], learned["labels"])

    def augment(self, inputs, targets, weights, rng):
        """Some words are taken for unknown, others in every epoch (word dropout; Iyyer et al. 2015)."""
        dropped = (rng.random(inputs.shape) < self.word_dropout) & (inputs != 0)
        return np.where(dropped, self.input.unknown, inputs).astype(inputs.dtype), targets, weights

    def samples(self):
        return [
            "A moving and funny film.",
            "Two hours of my life that I will never get back.",
            "It's not a bad film; it just isn't a good one.",
            "The plot is thin, but the cast is a delight!",
        ]

    def raw_inputs(self):
        return [
            *self.samples(),
            "Dull",
            "…",
            "An 'instant classic' -- or so they say.",
            "Clichés galore, naïveté included (and 2½ hours of it).",
            "I laughed, I cried, and I will see it again with everyone I know as soon as it is out.",
        ]

    def references(self):
        """The accuracy of naive Bayes on the sentences held out."""
        held_out = self.first_test()
        given = NaiveBayes(self.train(), words_and_pairs, SMOOTHING).predict(held_out.inputs)
        return {"naive_bayes_accuracy": accuracy(given, held_out.answers)}

    @functools.cached_property
    def _parts(self):
        """`Examples` to train on, to validate with and held out."""
        parts = [Examples([], []) for _ in range(3)]
        found = {label: _sentences(label) for label in LABELS}
        both = set.intersection(*(set(sentences) for sentences in found.values()))
        for i, label in enumerate(LABELS):
            sentences = [text for key, text in sorted(found[label].items()) if key not in both]
            order = np.random.default_rng([self.split_seed, i]).permutation(len(sentences))
            tenth = round(HELD_OUT * len(sentences))
            for rank, j in enumerate(order.tolist()):
                part = parts[2 if rank < tenth else 1 if rank < 2 * tenth else 0]
                part.inputs.append(sentences[j])
                part.answers.append(label)
        return parts


def words_and_pairs(text):
    """A text's words, and each two that follow each other."""
    found = words(text)
    return [*found, *itertools.pairwise(found)]


def _sentences(label):
    """The words of each sentence of a label, joined -> the first sentence that has them."""
    name, size = MEMBERS[label]
    text = data.read_member(ARCHIVE, f"sentence_polarity/{name}", size).decode("utf-8")
    found = {}
    for line in text.split("\n"):  # not `splitlines`: some have a character that Unicode takes for the end of a line
        if found_words := words(line):
            found.setdefault(" ".join(found_words), line.strip())
    return found
