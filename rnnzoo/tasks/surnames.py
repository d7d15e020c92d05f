"""Which language a surname comes from."""

import collections
import functools

import numpy as np

from rnnzoo import data
from rnnzoo.errors import InputError
from rnnzoo.tasks._answers import LabelAnswer
from rnnzoo.tasks._naive_bayes import NaiveBayes
from rnnzoo.tasks._pairs import UNKNOWN, PairsInput, common_pairs
from rnnzoo.tasks._scores import accuracy, macro_f1
from rnnzoo.tasks._task import Examples, SplitTask, learned_labels

URL = "https://raw.githubusercontent.com/spro/practical-pytorch/c520c52e68e945d88fff563dba1c028b6ec0197b/data/names"
FILES = {  # language -> the size and sha256 of its file, a surname a line
    "Arabic": (13_190, "6f424a8dbe51cbbbabab7a57d38b617210125e4e3991f3c657cb79b8f104bafc"),
    "Chinese": (1_246, "09ba8f1f7e38dbc99372d461b26ad4433b811fc6bfa6a3ecca6fe11a9a777465"),
    "Czech": (3_916, "e17ab0ec47616a72c39cb85c783f70c3663ab64488721e5d8378f146d2226be7"),
    "Dutch": (2_351, "924f32b635170eae561f84538632138fc07d4c8bbd70ba3fb980de1ecc4d2af3"),
    "English": (27_125, "9cca037066d3d5989e24bc01801416162de506b5e28e15b7c092a47905d29bf2"),
    "French": (2_178, "81e65b36c60ed5b89a17422f6edcadbb89546f38ad69e960e64e7ba682012a95"),
    "German": (5_610, "7449cd590b97a733e18d613a4155decd77ec35dc5f8aadd7a82204dce4f051db"),
    "Greek": (1_981, "3555b5186de7f401e6d991b088e9e644ca3099116477818c25ab5793801389e6"),
    "Irish": (1_858, "cf8c7013256252a88d2503127b87282a11f21b2ff6db1bded68834c19a1ec058"),
    "Italian": (5_657, "f88414c27d0606a11a678b4859277828c2565d6cc4d9ee932deef6e94f3b35e4"),
    "Japanese": (7_622, "e0e717e114fec3e7eade4d9dabe0067c475f43147e36a22b47902ee76ad9e67f"),
    "Korean": (423, "cd54221ccb362a6cba4c78828838cf3268a0e59744767a37cf6ec4b74036b136"),
    "Polish": (1_165, "45bab898af2f60ed3a728bbf6980e28821011a7caa53227553b5785903a40826"),
    "Portuguese": (554, "50a8735f41f4f73757c8ce5b16cb0275cd86b2b214bcbc8c9805f508cb131c53"),
    "Russian": (85_168, "0cfe53ac18041e8f63666aa77313e0a3ff378facb132abee052d8ebdc8c3d62c"),
    "Scottish": (752, "78d0252711d87d948ea86fe34826c51d2d794a8e52d15b5d6f7b6244d45d62dd"),
    "Spanish": (2_284, "1bcb462ed3316756a85781d68232bddae04498fdddd5d9219c53fd1fbdeba7a7"),
    "Vietnamese": (339, "f3f9e4164ab47601178a6e45b216464a64122f49d05541f24bf18a757253281d"),
}
LANGUAGES = tuple(FILES)
# Characters that at least five names of the training part have are in the alphabet; the others are rare enough to teach what
# unknown is. Pairs of characters that at least three have are known.
RARE, RARE_PAIR = 5, 3
# Those of this data set.
ALPHABET = " '-ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyzßàáäéíñóöúü"
MOST_PAIRS = 600
HELD_OUT = 0.1
# Of naive Bayes; of 1, 0.3, 0.1, 0.03 and 0.01 the one that is right most often on the validation part.
SMOOTHING = 0.3


class Surnames(SplitTask):
    """`Nakamura` -> Japanese: 17,450 surnames of 18 languages, from Robertson's tutorial "Classifying Names" of 2017.

    An example is a distinct name in a language. Of each language's names a tenth are held out and another tenth are for
    validation, drawn by the name whatever the case of its letters: a name that several languages have is one example in
    each, all on the same side, and is drawn with the language of the fewest names. Of such examples at most one can be
    answered right. Accuracy counts every example alike, macro-F1 every language.

    A timestep is a character and the pair that it makes with the one before it. The alphabet and the pairs are learned from
    the examples that are trained on, and of a user's own the labels, too.

    Beside the scores stand those of a naive Bayes classifier with character trigrams, trained on the same names.

    Args:
        split_seed: of the split; no part of a training run's seed.
    """

    description = "a surname -> the likeliest of 18 languages"
    metric = "accuracy"
    source = "github.com/spro/practical-pytorch, MIT licence"
    learns = ("alphabet", "pairs", "labels")

    def __init__(self, split_seed: int = 0):
        self.split_seed = split_seed
        self._set(ALPHABET, None, LANGUAGES)

    def _set(self, alphabet, pairs, labels):
        self.input = PairsInput("surname", alphabet, pairs, "a surname", "Nakamura", most=MOST_PAIRS)
        self.answer = LabelAnswer("language", labels, open=pairs is None)

    def learn(self, training, *others):
        """The alphabet and the pairs of the examples to train on, and the labels of all."""
        labels = learned_labels(training, *others)
        names = set(training.inputs)
        counts = collections.Counter(character for name in names for character in set(name))
        alphabet = "".join(sorted(c for c, count in counts.items() if count >= RARE and c != UNKNOWN))
        if not alphabet:
            raise InputError(f"no character is in {RARE} names or more; expected more names")
        self._set(alphabet, common_pairs(names, alphabet, RARE_PAIR), labels)

    def recall(self, learned):
        """See `Task`."""
        self._set(learned["alphabet"], learned["pairs"], learned["labels"])

    def samples(self):
        return ["Nakamura", "Kowalczyk", "Papadopoulos", "O'Sullivan"]

    def raw_inputs(self):
        few = ["Nguyễn", "Li", "Müller", "De la Fuente", "Ó Súilleabháin", "Dvořák", "Kuznetsov", "Ferrari", "Kim"]
        return [*self.samples(), *few]

    def score(self, examples, predicted):
        """Accuracy and macro-F1."""
        return {**super().score(examples, predicted), "macro_f1": macro_f1(predicted, examples.answers)}

    def references(self):
        """The scores of naive Bayes on the names held out."""
        held_out = self.first_test()
        given = NaiveBayes(self.train(), trigrams, SMOOTHING).predict(held_out.inputs)
        scores = {"accuracy": accuracy(given, held_out.answers), "macro_f1": macro_f1(given, held_out.answers)}
        return {f"naive_bayes_{name}": value for name, value in scores.items()}

    @functools.cached_property
    def _parts(self):
        """`Examples` to train on, to validate with and held out."""
        names = {language: _names(language) for language in LANGUAGES}
        homes = collections.defaultdict(list)
        for language in LANGUAGES:
            for name in names[language]:
                homes[name.casefold()].append(language)
        strata = collections.defaultdict(list)
        for name, languages in sorted(homes.items()):
            strata[min(languages, key=lambda language: len(names[language]))].append(name)
        side = {}
        for i, language in enumerate(LANGUAGES):
            stratum = strata[language]
            order = np.random.default_rng([self.split_seed, i]).permutation(len(stratum))
            tenth = round(HELD_OUT * len(stratum))
            for rank, j in enumerate(order.tolist()):
                side[stratum[j]] = 2 if rank < tenth else 1 if rank < 2 * tenth else 0
        parts = [Examples([], []) for _ in range(3)]
        for language in LANGUAGES:
            for name in names[language]:
                part = parts[side[name.casefold()]]
                part.inputs.append(name)
                part.answers.append(language)
        return parts


def trigrams(text):
    """A text's trigrams, those of its two edges included: `Li` -> `^^L`, `^Li`, `Li$`, `i$$`."""
    padded = f"^^{text}$$"
    return [padded[i : i + 3] for i in range(len(padded) - 2)]


def _names(language):
    """The distinct names of a language, in order."""
    size, sha256 = FILES[language]
    file = data.DataFile(f"char_names/names/{language}.txt", f"{URL}/{language}.txt", sha256, size)
    return sorted({line.strip() for line in data.read(file).decode("utf-8").splitlines()} - {""})
