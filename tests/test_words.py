"""Text as words: taken apart alike in Python and in a TensorFlow graph, and the input with a vocabulary."""

import json
import random
import unicodedata

import numpy as np
import pytest
import tensorflow as tf

import rnnzoo
from rnnzoo.running import _tensors
from rnnzoo.tasks._words import TABLE, WordsInput, common_words, split_words, words

EXAMPLES = {
    'It’s a "must-see"!': ["it's", "a", '"', "must-see", '"', "!"],
    "  one\ttwo\u00a0three\u3000four\nfive  ": ["one", "two", "three", "four", "five"],
    "'great' -- really--good": ["'", "great", "'", "--", "really", "--", "good"],
    "the actors' rock 'n' roll": ["the", "actors", "'", "rock", "'", "n", "'", "roll"],
    "J.R.R. Tolkien, 2½/5 [sic]": ["j", ".", "r", ".", "r", ".", "tolkien", ",", "2½", "/", "5", "[", "sic", "]"],
    "ÜBER ΣΟΦΟΣ ЖИЗНЬ Ａ": ["über", "σοφοσ", "жизнь", "Ａ"],
    "İ ẞ 😀 ": ["İ", "ẞ", "😀"],  # whose lower case is two characters; beyond the table; of two UTF-16 units
    "a\\b (c) <d> e_f": ["a", "\\", "b", "(", "c", ")", "<", "d", ">", "e", "_", "f"],
    "- ' -' --' 'em-": ["-", "'", "-'", "--", "'", "'", "em", "-"],
    "well - known": ["well", "-", "known"],
    "\ufeffx\0y\x96z": ["\ufeffx", "y", "z"],
}


def test_words():
    for text, expected in EXAMPLES.items():
        assert words(text) == expected
        assert words(" ".join(expected)) == expected, "what was taken apart stays so"


def in_graph(texts):
    split = tf.function(split_words, input_signature=[tf.TensorSpec([None], tf.string)])
    return [[word.decode() for word in row] for row in split(tf.constant(texts)).to_list()]


def test_a_graph_takes_every_character_as_python_does():
    texts = [f"A{chr(point)}b {chr(point)}" for point in range(0x3100) if not 0xD800 <= point < 0xE000]
    texts += [f"A{chr(point)}b" for point in range(0xD000, 0x11000, 7) if not 0xD800 <= point < 0xE000]
    assert in_graph(texts) == [words(text) for text in texts]


def test_a_graph_takes_any_text_as_python_does():
    draw = random.Random(0)
    pool = [
        *map(chr, range(0x250)),
        *map(chr, range(0x370, 0x590)),
        *map(chr, range(0x2000, 0x2070)),
        *"'-\" aB." * 60,
        "😀",
    ]
    texts = ["".join(draw.choices(pool, k=draw.randrange(1, 30))) for _ in range(3000)] + list(EXAMPLES)
    assert in_graph(texts) == [words(text) for text in texts]


def test_the_table_holds_every_space():
    spaces = [point for point in range(0x110000) if chr(point).isspace() or unicodedata.category(chr(point)) == "Zs"]
    assert max(spaces) < TABLE
    assert all(words(f"a{chr(point)}b") == ["a", "b"] for point in spaces)


def test_the_commonest_words():
    texts = ["the the the cat", "a cat", "a dog!", "the dog sat"]
    assert common_words(texts, 9, 1) == ["the", "a", "cat", "dog"]  # of as many, in the order of the alphabet
    assert common_words(texts, 2, 0) == ["the", "a"]
    assert common_words(texts, 9, 9) == []


@pytest.fixture(scope="module")
def text():
    return WordsInput("review", "a review", "A film.", ["the", "film", "it's", "über", "."], most=50)


def test_the_fronts_give_the_same_ids(text):
    checked = [text.check(raw) for raw in ["The FILM.", "It’s über ☃", *EXAMPLES]]
    ids = _tensors.front(json.loads(json.dumps(text.describe())), checked)
    graph = tf.function(text.front, input_signature=[text.spec])(text.tensor(checked)).numpy()
    np.testing.assert_array_equal(ids, graph)
    assert ids.dtype == graph.dtype == np.int32 and text.unknown == ids.max() == 6 == text.vocabulary_size - 1
    assert ids[0, :4].tolist() == [1, 2, 5, 0] and ids[1, :4].tolist() == [3, 4, 6, 0]
    assert [np.count_nonzero(row) for row in ids] == [text.steps(one) for one in checked]
    assert _tensors.dtype(text.describe()) == np.int32 and _tensors.timed(text.describe())
    np.testing.assert_array_equal(_tensors.used(text.describe(), ids), ids != 0)


def test_every_word_has_its_id():
    """The search in sorted hashes finds each of many words, and takes no other word for one of them."""
    vocabulary = [f"word{i}" for i in range(5000)]
    large = WordsInput("review", "a review", "A film.", vocabulary)
    ids = large.front(tf.constant([" ".join(vocabulary), " ".join(f"other{i}" for i in range(5000))])).numpy()
    assert ids[0].tolist() == list(range(1, 5001)) and set(ids[1].tolist()) == {large.unknown}


def test_before_a_vocabulary_is_learned():
    """The model is made for the largest there may be, and every word is unknown."""
    empty = WordsInput("review", "a review", "A film.", most=50)
    assert empty.vocabulary_size == 52 and empty.describe()["vocabulary"] is None
    assert empty.front(tf.constant(["a film", "x"])).numpy().tolist() == [[51, 51], [51, 0]]
    with pytest.raises(rnnzoo.InputError, match="there is no vocabulary before training"):
        empty.join([3], padded=False)
    nothing = WordsInput("review", "a review", "A film.", [])
    assert nothing.front(tf.constant(["a film"])).numpy().tolist() == [[1, 1]] and nothing.vocabulary_size == 2


def test_what_is_refused(text):
    for raw, message in (
        ("", "the review is empty; expected a review, for example A film."),
        (" \t\u2028\0", "is empty"),
        (5, "int 5 is no text"),
        (None, "is no text"),
    ):
        with pytest.raises(rnnzoo.InputError, match=message):
            text.check(raw)
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected a review; got one without words"):
        text.front(tf.constant(["a", " "]))
    assert text.check(b"a\xffb") == "a\ufffdb" and text.check("\ud83d\ude00") == "😀" and text.check("\udcff") == "\ufffd"
    assert text.front(text.tensor([text.check("\udcff")])).numpy().tolist() == [[6]]


def test_single_timesteps_and_rows(text):
    assert [text.timestep(one) for one in ("The", b"film", "☃", 3, 6, " über ")] == [1, 2, 6, 3, 6, 4]
    assert text.join([1, 2, 6, 0, 0], padded=True) == "the film \ufffd"
    assert text.join([b"The", "film"], padded=False) == "The film"
    with pytest.raises(rnnzoo.InputError, match=r"'film\.' is 2 words \(film, \.\); expected one a timestep"):
        text.timestep("film.")
    for wrong in ("", 7, 0, -1, 1.5, True):
        with pytest.raises(rnnzoo.InputError):
            text.timestep(wrong)
