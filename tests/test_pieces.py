"""Byte-pair pieces against the plain algorithm, what they are put together to, and the answer that is written in them."""

import collections
import itertools
import json

import pytest
import tensorflow as tf

import rnnzoo
from rnnzoo.running import _tensors
from rnnzoo.tasks._pieces import PiecesAnswer, learn_pieces, parts

TEXTS = [
    "J'ai froid.",
    "Tu as froid ?",
    "Il n'a pas froid, aujourd'hui !",
    "Elle a froid aux pieds.",
    "C'est l'été : il fait 30 degrés.",
    "Qu'est-ce que c'est ?",
    "Est-ce qu'il a froid ?",
    "a  b\n_",
]


@pytest.fixture
def answer():
    return PiecesAnswer("french", learn_pieces(TEXTS, 60), 60, 20)


def by_hand(texts, most):
    """As Sennrich et al. write it: count all pairs, merge the most frequent, and count all again."""
    words = [tuple(part) for text in texts for part in parts(text)]
    pieces = sorted({character for word in words for character in word})
    while len(pieces) < most:
        counts = collections.Counter(pair for word in words for pair in itertools.pairwise(word))
        pair, count = min(counts.items(), key=lambda item: (-item[1], item[0]), default=(None, 0))
        if count < 2:
            break
        merged = []
        for word in words:
            found, rest = [], list(word)
            while rest:
                take = 2 if tuple(rest[:2]) == pair else 1
                found.append("".join(rest[:take]))
                rest = rest[take:]
            merged.append(tuple(found))
        words = merged
        if "".join(pair) not in pieces:
            pieces.append("".join(pair))
    return pieces, words


@pytest.mark.parametrize("most", [5, 40, 55, 1000])
def test_the_pieces_are_those_of_the_plain_algorithm(most):
    pieces, _ = by_hand(TEXTS, most)
    assert learn_pieces(TEXTS, most) == pieces
    assert len(pieces) <= max(most, len(set("".join(TEXTS))))


def test_random_texts(rng):
    """Of few letters, where pairs overlap and are as frequent as others."""
    for _ in range(20):
        texts = ["".join(rng.choice(list("ab "), rng.integers(1, 30))) for _ in range(12)]
        pieces, words = by_hand(texts, 20)
        assert learn_pieces(texts, 20) == pieces
        answer = PiecesAnswer("x", pieces, 20, 99)
        assert [piece for text in texts for piece in answer.pieces(text)] == [piece for word in words for piece in word]


def test_parts_are_the_text():
    for text in TEXTS:
        assert "".join(parts(text)) == text
    assert parts("J'ai 30 pieds, l’été !") == ["J'", "ai", " 3", "0", " pieds", ",", " l’", "été", " !"]
    assert parts("a  b\n_") == ["a", "  ", "b", "\n", "_"]
    assert learn_pieces([], 5) == []


def test_there_and_back(answer):
    for text in TEXTS:
        assert "".join(answer.pieces(text)) == text
    assert answer.pieces(" froid") == [" froid"] and len(answer.pieces("froid")) > 1  # a blank belongs to its word
    ids, weights = answer.targets(TEXTS)
    assert (weights == (ids != 0)).all() and ids.max() == answer.end_token == 56
    written = answer.answers({key: value.numpy() for key, value in answer.back(tf.constant(ids), None).items()})
    about = json.loads(json.dumps(answer.describe()))
    assert written == answer.answers(_tensors.back(about, ids, None)) == TEXTS


def test_what_cannot_be_written(answer):
    with pytest.raises(rnnzoo.InputError, match="'ß' at position 4 of ' aaß' cannot be written"):
        answer.pieces("Il aaß")
    with pytest.raises(rnnzoo.InputError, match="has over 20 pieces"):
        answer.parse("froid " * 21)
    with pytest.raises(rnnzoo.InputError, match="the answer is empty"):
        answer.parse("")
    assert answer.parse(TEXTS[0]) == TEXTS[0]
    unlearned = PiecesAnswer("french", None, 55, 20)
    assert unlearned.describe()["alphabet"] is None and unlearned.vocabulary_size == answer.vocabulary_size == 57
    assert unlearned.parse("Straße") == "Straße"
