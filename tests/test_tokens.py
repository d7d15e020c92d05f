"""Sentences as tokens, tokens as bags of ids, the corpus, what is marked, and files in columns."""

import collections
import json

import numpy as np
import pytest
import tensorflow as tf

import rnnzoo
from rnnzoo import tasks, userdata
from rnnzoo.registry import Source
from rnnzoo.running import _tensors
from rnnzoo.tasks._task import Examples, marked
from rnnzoo.tasks._tokens import APART as NAMES
from rnnzoo.tasks._tokens import TokensInput, features, learned_apart, learned_features, shape, tokens, word
from rnnzoo.tasks.entities import APART, LABELS, lexicon_labels


@pytest.fixture(scope="module")
def task():
    made = tasks.create("entities")
    made.train()  # skips where the data are absent
    return made


# Sentences as tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Barack Obama visits Paris", "Barack|Obama|visits|Paris"),
        ('"Obama\'s in Paris."', '"|Obama|\'s|in|Paris|.|"'),
        ("It’s late, isn't it? I'M off!!!", "It|’s|late|,|is|n't|it|?|I|'M|off|!|!|!"),
        (
            "RT @BBCNews: wow... (The U.S. won) https://t.co/a?b=c,",
            "RT|@|BBCNews|:|wow|...|(|The|U.S.|won|)|https://t.co/a?b=c|,",
        ),
        (".@Ann #Paris at 10:30, 3,000 for $5 or 50%", ".|@|Ann|#Paris|at|10:30|,|3,000|for|$|5|or|50|%"),
        ("so happy:) ;-) Tom &amp; Jo-Ann's 'best' day", "so|happy|:)|;-)|Tom|&amp;|Jo-Ann|'s|'|best|'|day"),
        ("  Ana\u00a0Núñez\u2003😀 ☃\n", "Ana|Núñez|😀|☃"),
        ("New York\tis, I'm told, \t\tbig ", "New York|is, I'm told,|big"),
        ("Paris.\t", "Paris."),
    ],
)
def test_tokens(text, expected):
    assert tokens(text, APART) == expected.split("|")


def test_what_is_apart_is_learned():
    """As the tokens of the examples have it; what they do not have is as before."""
    sentences = [["@", "Ann", "#", "#x", "#y", "ca", "n't"], ["don't", "won't", "Ann's", "'s", "'s", "5%"]]
    assert learned_apart(sentences, ["$", "#"]) == ["@", "$", "'s"]
    assert learned_apart([["a"]], APART) == sorted(APART, key=list(NAMES).index)
    assert tokens("@Ann's 5% isn't #x", ["'s", "@"]) == ["@", "Ann", "'s", "5%", "isn't", "#x"]


def test_most_sentences_of_the_corpus_are_taken_apart_as_there(task):
    sentences = [task.input.tokens(raw) for raw in task.validation().inputs]
    same = [tokens(" ".join(sentence), APART) == sentence for sentence in sentences]
    assert np.mean(same) > 0.75


# Tokens as bags of ids


def test_features():
    assert word("O’Neill’s") == "o'neill's" and word("10:30PM") == "00:00pm" and word("HTTPS://x.y/Z1") == "<url>"
    assert [shape(one) for one in ("McDonald's", "USA", "x", "iPhone6", "2024", "😀:)", "Łódź", "日本", "ß1É")] == [
        "XxXx.",
        "X",
        "x",
        "xXx0",
        "0",
        ".",
        "Xx",
        ".",
        "x0X",
    ]
    assert features("Łód") == ("łód", "ł", "łó", "łód", "", "d", "ód", "łód", "", "Xx")


def test_what_is_frequent_enough_is_known():
    sentences = ["Ann\tand\tAnna\t", "Anton and Ann", "U2 and u2"]
    learned = learned_features(sentences, APART, least_word=2, least_affix=3)
    assert learned["vocabulary"] == ["and", "ann", "u0"] and learned["prefixes"] == ["a", "an", "and", "ann"]
    assert learned["suffixes"] == ["and", "d", "n", "nd"] and learned["shapes"] == ["Xx", "x"]


STRANGE = [
    "Ann",
    "☃",
    "a\tb c\t\t d\t",
    "“Ἀθῆναι” Ünited ŁÓDŹ İstanbul ǅ 日本",
    "\ufeffLi N\0 a\u2028b e\u0301é 😀Kim",
    "(('Hi'))!!! -- -5 ... 's ' s",
    "&amp; http: HTTPS://X.Y",
    "x" * 300,
    "Ann",
]


@pytest.fixture(scope="module")
def sentence():
    learned = {
        "vocabulary": ["ann", "łódź", "'", "<url>", "hi"],
        "prefixes": ["a", "an", "ann", "ł", "http"],
        "suffixes": ["n", "nn", "hi", "<url"],
        "shapes": ["Xx", ".", "X.X.X", "xXx0."],
    }
    return TokensInput("sentence", "a sentence", "Ann", APART, learned)


def test_every_token_has_its_bag(sentence, task):
    """In the graph, in NumPy and by hand, in a batch and alone; of the corpus, too."""
    checked = [sentence.check(raw) for raw in [*STRANGE, *task.raw_inputs(), *task.validation().inputs[::20]]]
    about = json.loads(json.dumps(sentence.describe()))
    ids, graph = _tensors.front(about, checked), sentence.front(sentence.tensor(checked)).numpy()
    np.testing.assert_array_equal(ids, graph)
    assert ids.dtype == graph.dtype == np.int32 and ids.max() < sentence.vocabulary_size == 20
    np.testing.assert_array_equal(_tensors.used(about, ids).sum(axis=1), list(map(sentence.steps, checked)))
    assert ids[0, 0].tolist() == [1, 7, 8, 9, 0, 12, 13, 0, 0, 16] and not ids[0, 1:].any()
    assert ids[1, 0].tolist() == [6, *[0] * 8, 17]
    for text, row in zip(checked[:4], ids, strict=False):
        np.testing.assert_array_equal(sentence.front(sentence.tensor([text])).numpy()[0], row[: sentence.steps(text)])


def test_before_anything_is_learned():
    nothing = TokensInput("sentence", "a sentence", "Ann", APART, most=50)
    ids = nothing.front(nothing.tensor(STRANGE)).numpy()
    assert nothing.vocabulary_size == 50 and set(ids[..., 0].ravel().tolist()) == {0, 1} and not ids[..., 1:].any()
    np.testing.assert_array_equal(_tensors.front(nothing.describe(), STRANGE), ids)


def test_rows_of_tokens(sentence):
    for row in (["New York", "is", "big."], [b"New York", "is", "big."]):
        assert sentence.join(row, padded=False) == "New York\tis\tbig.\t"
    assert sentence.tokens(sentence.join(["a", "b", "", ""], padded=True)) == ["a", "b"]
    for wrong, said in (("a\tb", "has a tab"), ("", "is empty"), (" ", "is no token"), (5, "5 at position 2 is no token")):
        with pytest.raises(rnnzoo.InputError, match=said):
            sentence.join(["a", wrong, "b"], padded=False)


@pytest.mark.parametrize(
    ("raw", "said"), [("", "is empty"), (" \t\n", "is empty"), (5, "int 5 is no text"), (None, "is no text")]
)
def test_bad_sentences(raw, said, sentence):
    with pytest.raises(rnnzoo.InputError, match=said):
        sentence.check(raw)
    if isinstance(raw, str):
        with pytest.raises(tf.errors.InvalidArgumentError, match="expected a sentence; got one without words"):
            sentence.front(tf.constant(["a", raw]))


def test_words_are_dropped(sentence):
    made = tasks.create("entities", word_dropout=0.25)
    made.input = sentence
    inputs = np.tile(sentence.front(tf.constant(["Ann hi"])).numpy(), (3000, 1, 1))
    inputs[:, 1, 9] = 0
    varied, *rest = made.augment(inputs, "targets", "weights", np.random.default_rng(0))
    assert rest == ["targets", "weights"] and varied.dtype == np.int32
    np.testing.assert_array_equal(varied[..., 1:], inputs[..., 1:])
    changed = varied[..., 0] != inputs[..., 0]
    assert changed.mean() == pytest.approx(0.25, abs=0.02) and set(varied[changed, 0].tolist()) == {sentence.unknown}


# The corpus


def test_the_split(task):
    sides = [task.train(), task.validation(), task.first_test()]
    assert [len(side.inputs) for side in sides] == [6338, 1000, 2001]
    assert all(task.input.steps(raw) == len(labels) for side in sides for raw, labels in zip(*side[:2], strict=True))
    assert not set(sides[2].inputs) & set(sides[0].inputs)
    counts = collections.Counter(label for labels in sides[2].answers for label in labels)
    assert set(counts) == set(LABELS)


def test_a_lexicon():
    """By hand: the longest stretch first, what was mostly none is none."""
    known = Examples(
        ["New York is new", "York is old", "New Ann", "is York here is", "is"],
        [["B-LOC", "I-LOC", "O", "O"], ["B-LOC", "O", "O"], ["O", "B-PER"], ["B-PER", "B-PER", "O", "O"], ["O"]],
    )
    asked = Examples(["Ann is in New York York", "new York"], [])
    assert lexicon_labels(known, asked, str.split) == [["B-PER", "O", "O", "B-LOC", "I-LOC", "B-LOC"], ["O", "B-LOC"]]


# What is marked


def test_entities_are_marked(task):
    raw = "“Ann's\u00a0in  New York.” wow"
    labels = ["O", "B-PER", "O", "O", "B-LOC", "I-LOC", "O", "O", "I-ORG"]
    assert task.input.tokens(raw) == ["“", "Ann", "'s", "in", "New", "York", ".", "”", "wow"]
    assert marked(task.pieces(raw, labels)) == "“[Ann]PER's\u00a0in  [New  York]LOC.” wow".replace("New  York", "New York")
    told = task.told(raw, labels)
    assert told["tokens"] == task.input.tokens(raw)
    assert [(one["type"], raw[one["start"] : one["end"]], one["text"]) for one in told["entities"]] == [
        ("PER", "Ann", "Ann"),
        ("LOC", "New York", "New York"),
    ]
    assert marked(task.pieces(["Ann", "New York", "!"], ["B-PER", "B-LOC", "O"])) == "[Ann]PER [New York]LOC !"
    assert task.pieces("a\tb\t", ["B-X", "I-X"]) == [("a b", "X")] and task.pieces("a", ["O"]) == [("a", None)]


# Files


TEXT = "Ann\tB-PER\nlives\tO\n\nin\tO\nNew\tB-place\nYork\tI-place\n"


@pytest.mark.parametrize("name", ["a.conll", "a.txt", "a", "a.tsv", "a.csv", "a.annotated"])
def test_columns(name, tmp_path):
    made = tasks.create("entities")
    (tmp_path / name).write_text("\ufeff" * (name == "a.tsv") + TEXT, encoding="utf-8")
    examples = userdata.read(Source(tmp_path / name), made).examples
    assert examples.inputs == ["Ann\tlives\t", "in\tNew\tYork\t"]
    assert examples.answers == [["B-PER", "O"], ["O", "B-place", "I-place"]]


def test_other_formats(tmp_path):
    made, expected = tasks.create("entities"), [["O", "B-PER", "O"], ["B-LOC", "O"]]
    contents = {
        "a.csv": 'sentence,labels\n"Hi Ann,",O B-PER O\nParis!,B-LOC O\n',
        "a.tsv": "Hi Ann,\tO B-PER O\nParis!\tB-LOC O\n",
        "a.jsonl": '{"sentence": ["Hi", "Ann", ","], "labels": ["O", "B-PER", "O"]}\n["Paris!", "B-LOC O"]\n',
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
        assert userdata.read(Source(tmp_path / name), made).examples.answers == expected


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a\tO\nb\n\nc\tO\n", "line 2: 1 column; expected a token and its tag, separated by blanks or a tab"),
        ("a\tO\n\nb\tPER\n", "line 3: the tag 'PER'; expected O, B-TYPE or I-TYPE"),
        ("a\tO\n\n\tO\n", "line 3: the token is empty"),
        ("a\tO\n\nb\tO\n\x7f\tO\n", "line 3: '\\x7f' at position 2 is no token: it is empty"),
    ],
)
def test_bad_lines(content, said, tmp_path):
    """Where, and why; the sentences around them are kept where that is asked for."""
    made = tasks.create("entities")
    (tmp_path / "a.conll").write_text(content)
    with pytest.raises(rnnzoo.InputError) as error:
        userdata.read(Source(tmp_path / "a.conll"), made)
    assert str(error.value).startswith(f"{tmp_path / 'a.conll'}, {said}") and "\n" not in str(error.value)
    found = userdata.read(Source(tmp_path / "a.conll", skip_bad=True), made)
    assert len(found.examples.inputs) == 1 and len(found.skipped) == 1
