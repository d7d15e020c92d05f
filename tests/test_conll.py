"""Sentences in CoNLL columns, and entities counted strictly, against cases worked by hand."""

import itertools

import pytest

from rnnzoo.errors import InputError
from rnnzoo.tasks._conll import entities, entity_scores, read_conll


def test_sentences():
    text = "\ufeffWe\tO\nlike\tO\nNew\tB-LOC\nYork\tI-LOC\n\n\n \t\n# a\tB-ORG\nBob\tB-PER\r\nAnn\tB-PER"
    found = read_conll(text, "x.conll")
    assert [sentence.tokens for sentence in found] == [["We", "like", "New", "York"], ["# a", "Bob", "Ann"]]
    assert [sentence.tags for sentence in found] == [["O", "O", "B-LOC", "I-LOC"], ["B-ORG", "B-PER", "B-PER"]]
    assert [sentence.line for sentence in found] == [1, 8]


def test_more_columns_and_documents():
    text = "-DOCSTART- -X- O O\n\nEU NNP I-NP B-ORG\nrejects VBZ I-VP O\n"
    (sentence,) = read_conll(text, "x.conll")
    assert sentence == (["EU", "rejects"], ["B-ORG", "O"], 3)


@pytest.mark.parametrize(
    ("tags", "read"),
    [
        ("O I-PER I-PER O", "O B-PER I-PER O"),
        ("I-PER I-LOC I-LOC", "B-PER B-LOC I-LOC"),
        ("I-LOC B-LOC I-LOC", "B-LOC B-LOC I-LOC"),
        ("B-LOC I-PER", "B-LOC B-PER"),
    ],
)
def test_an_i_that_begins_an_entity_is_read_as_b(tags, read):
    """As in the files of CoNLL-2003, where B is only what follows an entity of the same type."""
    text = "".join(f"x {tag}\n" for tag in tags.split())
    assert [sentence.tags for sentence in read_conll(text + "\n" + text, "x.conll")] == [read.split()] * 2


def test_empty_tokens_can_be_left_out():
    (sentence,) = read_conll("Ann\tB-PER\n\tO\nLee\tB-PER\n", "x.conll", drop_empty=True)
    assert sentence == (["Ann", "Lee"], ["B-PER", "B-PER"], 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\tO\nword\n", "x.conll, line 2: 1 column; expected a token and its tag, separated by blanks or a tab"),
        ("a\tO\n\tO\n", "x.conll, line 2: the token is empty"),
        ("a\tB-\n", "x.conll, line 1: the tag 'B-'; expected O, B-TYPE or I-TYPE, for example B-PER"),
        ("a\tPER\n", "line 1: the tag 'PER'"),
        ("a\t\n", "line 1: the tag ''"),
        ("a\tO\nb\0\tI-PER\n", "line 2: a NUL character, which is no text"),
        ("a\tO\nb\udce9\tI-PER\n", "line 2: not UTF-8"),
        ("\n \n", "x.conll: no sentence; expected a token and its tag a line"),
        ("", "x.conll: no sentence"),
    ],
)
def test_what_is_wrong(text, said):
    with pytest.raises(InputError) as error:
        read_conll(text, "x.conll")
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O O", set()),
        ("B-PER I-PER O", {("PER", 0, 2)}),
        ("B-PER B-PER", {("PER", 0, 1), ("PER", 1, 2)}),
        ("B-PER I-LOC I-LOC", {("PER", 0, 1)}),  # strict: what no B begins is none
        ("I-PER I-PER O B-LOC", {("LOC", 3, 4)}),
        ("O I-PER B-PER I-PER", {("PER", 2, 4)}),
        ("B-PER I-PER B-LOC I-LOC I-LOC", {("PER", 0, 2), ("LOC", 2, 5)}),
        ("B-a-b I-a-b", {("a-b", 0, 2)}),
        ("", set()),
    ],
)
def test_entities(tags, expected):
    assert entities(tags.split()) == expected


def by_hand(tags):
    """Every stretch of tokens, asked whether it is an entity by the definition."""
    found = set()
    for first, end in itertools.combinations(range(len(tags) + 1), 2):
        kind = tags[first][2:]
        inside = all(tag == f"I-{kind}" for tag in tags[first + 1 : end])
        goes_on = end < len(tags) and tags[end] == f"I-{kind}"
        if tags[first].startswith("B-") and inside and not goes_on:
            found.add((kind, first, end))
    return found


def test_entities_by_their_definition():
    for tags in itertools.product(["O", "B-x", "I-x", "B-y", "I-y"], repeat=5):
        assert entities(tags) == by_hand(tags)


def test_scores():
    right = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-ORG", "O"], ["O"]]
    given = [["B-PER", "I-PER", "O", "B-ORG"], ["B-ORG", "I-ORG", "O"], ["B-PER"]]
    # One of four that are marked is right, of three that are wanted.
    assert entity_scores(given, right) == pytest.approx(
        {"entity_precision": 1 / 4, "entity_recall": 1 / 3, "entity_f1": 2 / 7}
    )
    assert entity_scores(right, right) == {"entity_precision": 1, "entity_recall": 1, "entity_f1": 1}
    nothing = [["O"] * len(tags) for tags in right]
    assert set(entity_scores(nothing, right).values()) == set(entity_scores(nothing, nothing).values()) == {0}
    with pytest.raises(ValueError, match="1 tags for 2 tokens"):
        entity_scores([["O"]], [["O", "O"]])
