"""Short English sentences in French."""

import collections
import functools
import re

import numpy as np

from rnnzoo import data
from rnnzoo.errors import InputError
from rnnzoo.tasks._bleu import bleu, require_bleu
from rnnzoo.tasks._pieces import PiecesAnswer, learn_pieces
from rnnzoo.tasks._task import Examples, SplitTask, check_option
from rnnzoo.tasks._words import WordsInput, common_words, words

COMMIT = "4f3f8eb0adde54fcc8b89394336b002e7961244c"
ARCHIVE = data.DataFile(
    "translation/fra-eng.zip",
    f"https://raw.githubusercontent.com/genimind/seq2seq/{COMMIT}/fra-eng.zip",
    "16c4f7d0df9e7c5e6c54cdb0447f3f4a18a55052ff5e2e0b27dd4a06c0e49d04",
    2_951_390,
)
MEMBER, SIZE = "fra.txt", 10_009_515
# Of the data set, sentences of up to so many English words are taken, and of these so large a part is held out.
MOST_WORDS, HELD_OUT = 6, 0.05
# What else is in the French of the data set is in a few sentences alone, which are left out.
FRENCH = re.compile(r"[0-9A-Za-zÀÂÇÈÉÊËÎÏÔÙÛÜŒàâæçèéêëîïôùûüœ .,;:!?'\"«»()%€$-]+")
PLAIN = str.maketrans({"\u202f": " ", "\u00a0": " ", "\u2009": " ", "\u200b": "", "’": "'", "‘": "'"})


class Translation(SplitTask):
    """`I am cold.` -> J'ai froid.: sentences of up to six English words, and their French (Tatoeba, by manythings.org).

    The input is read word by word, and the answer written in pieces of words (see `learn_pieces`); both vocabularies are
    learned from the examples that are trained on. Of the English sentences a twentieth is held out and another one is for
    validation; which, is drawn by letters and digits, so that sentences that differ in case and punctuation alone, and
    all translations of a sentence, are on the same side. Every translation in the data set is a right one: BLEU counts all
    of them as references, and an answer is exact if it is one of them.

    Beside the scores stands the BLEU of a translation memory: the French of the English sentence among those trained on that
    shares the most words.

    Args:
        vocabulary: how many English words have an id of their own at the most.
        rare: words that the training part has at most so many times are taken for unknown.
        pieces: how many French pieces there are at the most.
        max_length: how many pieces are written at the most.
        word_dropout: with `training.augment`, the share of words that are taken for unknown in training.
        piece_dropout: with `training.augment`, the share of pieces that are fed in training with another one in their place.
        split_seed: of the split; no part of a training run's seed.
    """

    description = "a short English sentence -> the same in French"
    source = "Tatoeba sentence pairs by www.manythings.org/anki and tatoeba.org, CC BY 2.0, edition of 2017-09-29"
    learns = ("vocabulary", "alphabet")

    def __init__(
        self,
        vocabulary: int = 5000,
        rare: int = 2,
        pieces: int = 880,
        max_length: int = 40,
        word_dropout: float = 0.0,
        piece_dropout: float = 0.0,
        split_seed: int = 0,
    ):
        for name, size, least in (("vocabulary", vocabulary, 1), ("rare", rare, 0), ("pieces", pieces, 1)):
            if size < least:
                raise InputError(f"task_options.{name}={size}: expected {least} or more")
        check_option("max_length", max_length, 1, 10_000)
        for name, share in (("word_dropout", word_dropout), ("piece_dropout", piece_dropout)):
            if not 0 <= share < 1:
                raise InputError(f"task_options.{name}={share}: expected from 0 up to but not including 1")
        self.most, self.rare, self.most_pieces, self.max_length = vocabulary, rare, pieces, max_length
        self.word_dropout, self.piece_dropout, self.split_seed = word_dropout, piece_dropout, split_seed
        self._set(None, None)

    def _set(self, vocabulary, pieces):
        self.input = WordsInput("english", "an English sentence", "I am cold.", vocabulary, self.most)
        self.answer = PiecesAnswer("french", pieces, self.most_pieces, self.max_length)

    def learn(self, training, *others):
        """The words and the pieces of the examples to train on; and all characters that there can be."""
        pieces = learn_pieces(training.answers, self.most_pieces)
        more = sorted(set("".join(answer for part in others for answer in part.answers)) - set(pieces))
        self._set(common_words(training.inputs, self.most, self.rare), [*pieces, *more])

    def recall(self, learned):
        """See `Task`."""
        self._set(learned["vocabulary"], learned["alphabet"])

    def augment(self, inputs, targets, weights, rng):
        """Some words are taken for unknown, and some of what is fed for something else, others in every epoch."""
        source, fed = inputs["source"], inputs["target"]
        unknown = (rng.random(source.shape) < self.word_dropout) & (source != 0)
        source = np.where(unknown, self.input.unknown, source).astype(source.dtype)
        other = (rng.random(fed.shape) < self.piece_dropout) & (fed != 0) & (fed != self.answer.end_token)
        fed = np.where(other, rng.integers(1, self.answer.end_token, fed.shape), fed).astype(fed.dtype)
        return {"source": source, "target": fed}, targets, weights

    def samples(self):
        return ["I am cold.", "Where is my book?", "She likes the cat.", "We have to go home now."]

    def raw_inputs(self):
        return [*self.samples(), "Go!", "Don't worry.", "Zweihundert xylophones!", "…"]

    def score(self, examples, predicted):
        """BLEU, all answers to the same input being references of it, and the share of answers that are one of them."""
        given, right = {}, collections.defaultdict(list)
        for raw, answer, one in zip(examples.inputs, examples.answers, predicted, strict=True):
            given[raw] = one
            right[raw].append(answer)
        exact = np.mean([given[raw] in right[raw] for raw in given])
        return {"bleu": bleu([*given.values()], [right[raw] for raw in given])[0], "exact_match": float(exact)}

    def references(self):
        """The BLEU of the translation memory on the sentences held out."""
        held_out = self.first_test()
        found = dict.fromkeys(held_out.inputs)
        memory = dict(zip(found, nearest_answers(self.train(), [*found]), strict=True))
        return {"translation_memory_bleu": self.score(held_out, [memory[raw] for raw in held_out.inputs])["bleu"]}

    def tests(self):
        require_bleu()  # before a long training, not after it
        return super().tests()

    @functools.cached_property
    def _parts(self):
        """`Examples` to train on, to validate with and held out."""
        pairs = sentence_pairs()
        keys = sorted({_key(english) for english, _ in pairs})
        count = round(HELD_OUT * len(keys))
        side = {}
        for rank, i in enumerate(np.random.default_rng(self.split_seed).permutation(len(keys)).tolist()):
            side[keys[i]] = 2 if rank < count else 1 if rank < 2 * count else 0
        parts = [Examples([], []) for _ in range(3)]
        for english, french in pairs:
            part = parts[side[_key(english)]]
            part.inputs.append(english)
            part.answers.append(french)
        return parts


def sentence_pairs():
    """The (English, French) pairs of the data set that are taken, in its order, none twice."""
    found = {}
    for line in data.read_member(ARCHIVE, MEMBER, SIZE).decode("utf-8").splitlines():
        english, french = (" ".join(text.translate(PLAIN).split()) for text in line.split("\t"))
        if len(english.split()) <= MOST_WORDS and FRENCH.fullmatch(french):
            found[english, french] = None
    return [*found]


def _key(english):
    """The letters and digits of a sentence, by which it is told from others."""
    return "".join(filter(str.isalnum, english.lower()))


def nearest_answers(examples, inputs):
    """For each input the answer to the one of the examples that has the most words in common with it (Dice 1945)."""
    ids = collections.defaultdict(lambda: len(ids))
    rows = [sorted({ids[word] for word in words(raw)}) for raw in examples.inputs]
    sizes, having = np.array([len(row) for row in rows]), collections.defaultdict(list)
    for i, row in enumerate(rows):
        for word in row:
            having[word].append(i)
    having = {word: np.array(places) for word, places in having.items()}
    answers = []
    for raw in inputs:
        asked = {ids[word] for word in words(raw) if word in ids}
        shared = np.zeros(len(rows))
        for word in asked:
            shared[having[word]] += 1
        answers.append(examples.answers[int(np.argmax(2 * shared / (sizes + len(asked))))])
    return answers
