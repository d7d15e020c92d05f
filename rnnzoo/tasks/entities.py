"""Which words of a sentence name a person, a place or an organisation."""

import collections
import functools

from rnnzoo import data
from rnnzoo.errors import InputError
from rnnzoo.tasks._conll import (
    OUTSIDE,
    SNIFFED,
    Wrong,
    each_sentence,
    entities,
    entity_scores,
    is_tag,
    looks_like,
    read_conll,
)
from rnnzoo.tasks._inputs import short
from rnnzoo.tasks._labels import EachLabel
from rnnzoo.tasks._scores import accuracy
from rnnzoo.tasks._task import Examples, SplitTask
from rnnzoo.tasks._tokens import TokensInput, learned_apart, learned_features
from rnnzoo.texts import open_text

URL = "https://raw.githubusercontent.com/GateNLP/broad_twitter_corpus/0c45ef7b1924a6b8115bceab388781590b1b553a"
FILES = {  # section of the corpus -> the size and sha256 of its file
    "a": (121_889, "ac824cc13c88283fe3cca05343e46c79ec4cd5b174429f27bf8fe0ebdc1bbf33"),
    "b": (235_519, "504a094a0398e03fd7b394510e313b8fc844407102252182d90aea23f53cc322"),
    "e": (34_631, "77aca745cdc28ae0fafbcf36a93ccfd15357a8db97c21d91083592dd85e348c5"),
    "f": (294_166, "3bd2387dfc98ebc9d8b77d8b9c59826262e9beadce71ce8edde272821b9c87c8"),
    "g": (320_339, "d53a27645cabc4e63313d573498b48b0cc5ed780d280edfbdc4fedefe23479da"),
    "h": (235_158, "7f31215a79f3131526236203907c8d003b8e0f8ee6eef2a216ebb685340ebe39"),
}
# Of section h so many sentences are learned from, as the corpus's authors have it; the others are for validation.
HALF = 1000
LABELS = (OUTSIDE, "B-LOC", "B-ORG", "B-PER", "I-LOC", "I-ORG", "I-PER")
# What that corpus takes off its tokens.
APART = ("@", "$", "£", "€", "%", "'s", "'m", "n't")
# How many ids a model is made for that has learned nothing yet.
MOST_IDS = 20_000


class Entities(SplitTask):
    """`Barack Obama visits London` -> B-PER I-PER O B-LOC: tweets of the Broad Twitter Corpus, tagged by people.

    Derczynski, Bontcheva and Roberts 2016, "Broad Twitter Corpus: A Diverse Named Entity Recognition Resource". B begins an
    entity and I goes on with it (IOB2; Ramshaw and Marcus 1995). Sections a, b, e, g and the first half of h are learned
    from, the second half of h is for validation, and f is held out, as the authors split them.

    Beside the scores stands the F1 of a lexicon, which marks what was an entity in training. A user's own sentences are
    in CoNLL columns (of IOB1, too: an I that continues nothing is read as B), or in CSV, TSV or JSONL with a label for each
    token; whichever types of entities they have are learned, with the vocabulary and with what their tokens have apart, such
    as the @ of a name.

    Args:
        least_word: how often the examples that are learned from have a word that is known.
        least_affix: how often they have the beginning, the end or the shape of a word that is known.
        word_dropout: the share of words that are taken for unknown in training, with `training.augment`.
    """

    description = "a sentence -> the persons, places and organisations in it"
    metric = "token_accuracy"
    source = (
        "Broad Twitter Corpus (Derczynski, Bontcheva and Roberts 2016), github.com/GateNLP/broad_twitter_corpus, CC BY 4.0"
    )
    learns = ("vocabulary", "prefixes", "suffixes", "shapes", "apart", "labels")

    def __init__(self, least_word: int = 2, least_affix: int = 3, word_dropout: float = 0.1):
        if least_word < 1 or least_affix < 1:
            raise InputError(f"task_options: least_word={least_word}, least_affix={least_affix}; expected at least 1")
        if not 0 <= word_dropout < 1:
            raise InputError(f"task_options.word_dropout={word_dropout}: expected from 0 up to but not including 1")
        self.least_word, self.least_affix, self.word_dropout = least_word, least_affix, word_dropout
        self._set(APART, None, LABELS)

    def _set(self, apart, learned, labels):
        self.input = TokensInput("sentence", "a sentence", "Barack Obama visits London", apart, learned, MOST_IDS)
        self.answer = TagsAnswer("labels", labels, open=learned is None)

    def learn(self, training, *others):
        """What the tokens of the examples to train on are known by, and the labels of all."""
        labels = sorted({label for part in (training, *others) for answer in part.answers for label in answer} - {OUTSIDE})
        if not labels:
            raise InputError("no sentence has an entity; expected labels such as B-PER")
        as_tokens = [self.input.tokens(sentence) for sentence in training.inputs if "\t" in sentence]
        apart = learned_apart(as_tokens, APART) if as_tokens else APART
        self._set(apart, learned_features(training.inputs, apart, self.least_word, self.least_affix), [OUTSIDE, *labels])

    def recall(self, learned):
        """See `Task`."""
        self._set(learned["apart"], learned, learned["labels"])

    def augment(self, inputs, targets, weights, rng):
        """Some words are taken for unknown, others in every epoch (word dropout; Iyyer et al. 2015)."""
        dropped = (rng.random(inputs.shape[:2]) < self.word_dropout) & (inputs[..., 0] != 0)
        varied = inputs.copy()
        varied[dropped, 0] = self.input.unknown
        return varied, targets, weights

    def rows(self, path):
        """A file in CoNLL columns: whatever is no CSV, TSV or JSONL by its name, and of the first two what looks like it."""
        suffix = path.suffix.lower()
        if suffix in (".jsonl", ".ndjson"):
            return None
        with open_text(path) as file:
            if suffix in (".csv", ".tsv", ".tab") and not looks_like(file.read(SNIFFED)):
                return None
        return self._sentences(path)

    def _sentences(self, path):
        """The rows of a file in CoNLL columns."""
        labels = None if self.answer.open else self.answer.labels
        with open_text(path, newline="\n") as file:
            for sentence in each_sentence(file, labels):
                yield self._row(path, sentence)

    def _row(self, path, sentence):
        """A sentence as a row of the user's own examples; see `Task.rows`."""
        where = f"{path}, line {sentence.line}"
        if isinstance(sentence, Wrong):
            return where, None, None, sentence.error
        try:
            return where, self.input.join(sentence.tokens, padded=False), " ".join(sentence.tags)
        except InputError as error:  # a token of control characters alone
            return where, None, None, str(error)

    def found(self, raw, labels):
        """The entities that labels mark in a sentence.

        Args:
            raw: the sentence, a text or a list of tokens.
            labels: those of its tokens.

        Returns:
            The text of the sentence, which is `raw` itself unless that is tokens, and a list of dicts of an entity's `type`,
            its `text`, and where it `start`s in the sentence's and `end`s, counted in characters.
        """
        checked = self.input.check(raw)
        tokens, places, at = self.input.tokens(checked), [], 0
        text = " ".join(tokens) if "\t" in checked else checked
        for token in tokens:
            at = text.index(token, at)
            places.append((at, at + len(token)))
            at += len(token)
        found = []
        for kind, first, end in sorted(entities(labels), key=lambda one: one[1]):
            start, stop = places[first][0], places[end - 1][1]
            found.append({"type": kind, "text": text[start:stop], "start": start, "end": stop})
        return text, found

    def pieces(self, raw, labels):
        """A sentence in pieces: a list of (text, the type of entity that it is or `None`)."""
        text, found = self.found(raw, labels)
        pieces, at = [], 0
        for one in found:
            pieces += [(text[at : one["start"]], None)] * (at < one["start"]) + [(one["text"], one["type"])]
            at = one["end"]
        return pieces + [(text[at:], None)] * (at < len(text))

    def told(self, raw, labels):
        """What is told of an answer beside it, name -> value that JSON has: the tokens and the entities."""
        return {"tokens": self.input.tokens(self.input.check(raw)), "entities": self.found(raw, labels)[1]}

    def samples(self):
        return [
            "Good morning, London! Rain again today...",
            "RT @BBCNews: Microsoft buys Nokia's phones for $7.2bn http://t.co/abc",
            "I can't wait to see Taylor Swift in New York with @Anna :)",
            "Barack Obama visits London",
        ]

    def raw_inputs(self):
        few = [
            "Paris",
            "…",
            "(Dr. Ana Núñez, U.N.)",
            "Ok",
            "☃ Łódź 2024",
            "a\tb c\tO'Neill",
            "so tired",
            "#London is 100% ready",
        ]
        return [*self.samples(), *few]

    def score(self, examples, predicted):
        """Precision, recall and F1 of the entities, counted strictly, and the share of tokens that have the right label."""
        given, right = ([label for labels in side for label in labels] for side in (predicted, examples.answers))
        return {**entity_scores(predicted, examples.answers), "token_accuracy": accuracy(given, right)}

    def references(self):
        """The F1 of a lexicon on the sentences held out."""
        held_out = self.first_test()
        given = lexicon_labels(self.train(), held_out, self.input.tokens)
        return {"lexicon_entity_f1": entity_scores(given, held_out.answers)["entity_f1"]}

    @functools.cached_property
    def _parts(self):
        """`Examples` to train on, to validate with and held out."""
        of = {name: self._section(name) for name in FILES}
        h = of["h"].take(range(HALF)), of["h"].take(range(HALF, len(of["h"].inputs)))
        known = [of["a"], of["b"], of["e"], of["g"], h[0]]
        training = Examples([one for part in known for one in part.inputs], [one for part in known for one in part.answers])
        return [training, h[1], of["f"]]

    def _section(self, name):
        """The sentences of a section of the corpus as `Examples`; some have lines without a token, which are left out."""
        size, sha256 = FILES[name]
        file = data.DataFile(f"ner/btc/{name}.conll", f"{URL}/{name}.conll", sha256, size)
        sentences = read_conll(data.read(file).decode("utf-8"), file.path, drop_empty=True)
        return Examples([self.input.join(one.tokens, padded=False) for one in sentences], [one.tags for one in sentences])


class TagsAnswer(EachLabel):
    """A tag for each token: O, or B or I and the type of an entity.

    Args:
        name, labels: see `LabelsAnswer`.
        open: whether any tag is an answer, too: of examples that labels are still to be learned from.
    """

    def __init__(self, name, labels, open=False):
        super().__init__(name, labels)
        self.open = open

    def parse(self, text):
        """The tags that `text` writes, with spaces between them."""
        if not self.open:
            return super().parse(text)
        for t, label in enumerate(text.split(), 1):
            if not is_tag(label):
                raise InputError(
                    f"'{short(label)}' (timestep {t}) is no tag; expected O, B-TYPE or I-TYPE, for example B-PER"
                )
        if not text.split():
            raise InputError("the answer is empty")
        return text.split()


def lexicon_labels(known, examples, tokens):
    """Labels by what was an entity in the examples known, as its commonest type; the longest stretches of tokens first.

    What more often was none is none.

    Args:
        known: `Examples`.
        examples: those whose labels are wanted.
        tokens: a function that gives an input's tokens.
    """
    types, counts = collections.defaultdict(collections.Counter), collections.Counter()
    sentences = [tokens(raw) for raw in known.inputs]
    for found, labels in zip(sentences, known.answers, strict=True):
        for kind, first, end in entities(labels):
            types[tuple(found[first:end])][kind] += 1
    longest = max(map(len, types), default=0)
    for found in sentences:
        counts.update(tuple(found[first:end]) for first in range(len(found)) for end in _ends(first, longest, found))
    types = {stretch: kinds for stretch, kinds in types.items() if 2 * kinds.total() >= counts[stretch]}
    given = []
    for raw in examples.inputs:
        found, labels = tokens(raw), []
        while len(labels) < len(found):
            at = len(labels)
            end = next((end for end in _ends(at, longest, found) if tuple(found[at:end]) in types), None)
            if end is None:
                labels.append(OUTSIDE)
            else:
                kind = types[tuple(found[at:end])].most_common(1)[0][0]
                labels += [f"B-{kind}", *[f"I-{kind}"] * (end - at - 1)]
        given.append(labels)
    return given


def _ends(first, longest, found):
    """Where stretches of at most so many tokens may end that begin at `first`, the longest first."""
    return range(min(first + longest, len(found)), first, -1)
