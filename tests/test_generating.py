"""What is written: which characters may be drawn and how often, prompts, batches, seeds, and the command."""

import json

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

import rnnzoo
from rnnzoo.building import build, create_task
from rnnzoo.cli.main import cli
from rnnzoo.predicting import Predictor
from rnnzoo.registry import load_preset
from rnnzoo.sampling import Sampler, kept, log_softmax


@pytest.fixture(scope="module")
def untrained():
    """A function: a preset's name -> its `Predictor` with weights as they begin, so that no text is certain."""
    made = {}

    def predictor(name):
        if name not in made:
            preset = load_preset(name)
            task = create_task(preset)
            made[name] = Predictor(build(preset, seed=1), preset, task)
        return made[name]

    return predictor


# Drawing


def kept_by_hand(logits, top_k, top_p):
    """The nucleus of the `top_k` likeliest of one row: taken one by one from the likeliest on until there is enough."""
    order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    order = order[:top_k] if top_k else order
    share = np.exp(logits[order].astype(np.float64))
    taken, total = [], 0.0
    for i, p in zip(order, share / share.sum(), strict=True):
        if total >= top_p < 1:
            break
        taken.append(i)
        total += p
    return np.isin(np.arange(len(logits)), taken)


@pytest.mark.parametrize("top_k", [0, 1, 3, 50])
@pytest.mark.parametrize("top_p", [1e-6, 0.3, 0.9, 1.0])
def test_which_may_be_drawn(top_k, top_p, rng):
    logits = (3 * rng.normal(size=(40, 12))).astype(np.float32)
    logits[0] = 1.0  # all alike
    found = kept(tf.constant(logits), tf.constant(top_k), tf.constant(top_p, tf.float32)).numpy()
    expected = np.array([kept_by_hand(row, top_k, np.float32(top_p)) for row in logits])
    np.testing.assert_array_equal(found, expected)
    assert found.any(axis=1).all()


@pytest.mark.parametrize(("temperature", "top_k", "top_p"), [(1.0, 0, 1.0), (0.5, 0, 1.0), (2.0, 3, 1.0), (1.0, 0, 0.7)])
def test_how_often_each_is_drawn(temperature, top_k, top_p):
    logits = np.array([0.5, -1.0, 2.0, 0.0, 1.5], np.float32)
    count = 40_000
    options = (tf.constant(temperature), tf.constant(top_k), tf.constant(7, tf.int64), tf.constant(top_p))
    drawn = Sampler(*options)(tf.constant(np.tile(logits, (count, 1))), tf.constant(0)).numpy()
    allowed = kept_by_hand(logits / temperature, top_k, top_p)
    p = np.exp(log_softmax(logits / temperature)) * allowed
    p /= p.sum()
    share = np.bincount(drawn, minlength=5) / count
    assert (share[~allowed] == 0).all()
    np.testing.assert_allclose(share, p, atol=4 * np.sqrt(0.25 / count))


@pytest.mark.parametrize("top_p", [0.0, -1.0, 1.1, float("nan")])
def test_a_top_p_that_is_none(top_p):
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected a top_p over 0 up to 1"):
        Sampler(tf.constant(1.0), tf.constant(0), tf.constant(0, tf.int64), tf.constant(top_p))


# Texts

NAMES = ["baby-names", "shakespeare"]
MORE = {"baby-names": {"prompt": "an"}, "shakespeare": {"prompt": "ROMEO:\n", "length": 30}}


@pytest.mark.parametrize("name", NAMES)
def test_seeds_and_batches(name, untrained):
    """The same seed writes the same; the first texts of a batch are those of a smaller one; another seed writes others."""
    zoo, more = untrained(name), MORE[name]
    five = rnnzoo.generate(zoo, count=5, seed=3, **more)
    assert five == rnnzoo.generate(zoo, count=5, seed=3, **more) and len(set(five)) > 1
    assert rnnzoo.generate(zoo, count=2, seed=3, **more) == five[:2]
    assert rnnzoo.generate(zoo, count=5, seed=4, **more) != five
    assert rnnzoo.generate(zoo, **more) != rnnzoo.generate(zoo, **more)
    assert all(text.startswith(more["prompt"]) for text in five)
    parts = []
    assert rnnzoo.generate(zoo, seed=3, written=parts.append, **more) == five[:1]
    assert parts[0] == more["prompt"] and "".join(parts) == five[0] and max(map(len, parts[1:])) == 1


@pytest.mark.parametrize("name", NAMES)
def test_each_character_is_drawn_from_what_the_model_says(name, untrained):
    """Greedily: at each place the likeliest of the outputs for the whole text before it, by the model itself."""
    zoo = untrained(name)
    (text,) = rnnzoo.generate(zoo, temperature=0, length=12, prompt="a")
    assert rnnzoo.generate(zoo, top_k=1, length=12, prompt="a") == [text]
    assert rnnzoo.generate(zoo, top_p=1e-9, length=12, prompt="a", count=2) == [text] * 2
    if name == "shakespeare":
        assert len(text) == 13 and zoo.predict([text[:-1]])[0][-12:] == text[-12:]
        return
    decoder, alphabet = zoo.serving.decoder, zoo.task.answer.alphabet
    states, ids = decoder.start(tf.ones((1, 1))), [0, *(alphabet.index(character) + 1 for character in text)]
    for t, fed in enumerate(ids[:-1]):
        states = dict(decoder.step({"fed": tf.constant([fed]), **states}))
        outputs = states.pop("outputs").numpy()[0]
        assert t == 0 or outputs[1:].argmax() + 1 == ids[t + 1]  # the first was given


def test_without_a_prompt(untrained):
    likeliest = untrained("baby-names").predict(["start"])
    assert rnnzoo.generate(untrained("baby-names"), temperature=0, length=16) == likeliest
    (text,) = rnnzoo.generate(untrained("shakespeare"), temperature=0, length=5)
    assert len(text) == 5 and text[0] == untrained("shakespeare").predict(["\n"])[0]
    assert len(rnnzoo.generate(untrained("shakespeare"), seed=0)[0]) == 500


def test_a_prompt_of_characters_that_are_not_known(untrained):
    """A language model goes on with any text; what is written letter by letter has its alphabet."""
    (text,) = rnnzoo.generate(untrained("shakespeare"), prompt="☃ü", length=4, seed=1)
    assert text.startswith("☃ü") and len(text) == 6


def test_answers_to_an_input(zoo):
    spelling = zoo("number-spelling")
    assert rnnzoo.generate(spelling, input="1294", temperature=0) == spelling.predict(["1294"])
    assert rnnzoo.generate(spelling, input=1294, temperature=0, prompt="one ", count=2) == spelling.predict([1294]) * 2
    assert rnnzoo.generate(zoo("addition"), input="535+61", temperature=0) == zoo("addition").predict(["535+61"])
    assert rnnzoo.generate(spelling, input="1294", temperature=0, length=3) == ["one"]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("digit-sum", {}, "'digit-sum' writes no text; ask `rnnzoo predict digit-sum`"),
        ("number-spelling", {}, "writes an answer to an input: give one, a whole number from 0 to 9999"),
        ("number-spelling", {"input": "x"}, "number-spelling: 'x' at position 1"),
        ("number-spelling", {"input": "1", "prompt": "o?"}, r"'\?' at position 2 of the prompt 'o\?' is nothing that"),
        ("number-spelling", {"input": "1", "prompt": "one", "length": 3}, "the prompt has 3 characters"),
        ("number-spelling", {"input": "1", "prompt": 5}, "int 5 is no text to begin with"),
        ("number-spelling", {"count": 0}, "count must be a whole number from 1 up to 100,000, not 0"),
        ("number-spelling", {"count": True}, "count must be"),
        ("number-spelling", {"length": 0}, "length must be a whole number from 1 up to 10,000,000, not 0"),
        ("number-spelling", {"top_k": -1}, "top_k must be a whole number from 0, not -1"),
        ("number-spelling", {"seed": -1}, "seed must be a whole number from 0, not -1"),
        ("number-spelling", {"temperature": -0.5}, r"temperature must be a number, 0 \(greedy\) or more, not -0.5"),
        ("number-spelling", {"temperature": float("nan")}, "temperature must be"),
        ("number-spelling", {"temperature": float("inf")}, "temperature must be"),
        ("number-spelling", {"top_p": 0.0}, "top_p must be a number, over 0 up to 1, not 0.0"),
        ("number-spelling", {"top_p": "a"}, "top_p must be"),
        ("number-spelling", {"input": "1", "count": 2, "written": print}, "one text alone can be shown"),
    ],
)
def test_what_is_refused(name, options, message, zoo):
    with pytest.raises(rnnzoo.InputError, match=message) as error:
        rnnzoo.generate(zoo(name), **options)
    assert "\n" not in str(error.value)


def test_a_language_model_takes_no_input(untrained):
    with pytest.raises(rnnzoo.InputError, match="takes no input but the text that it goes on with"):
        rnnzoo.generate(untrained("shakespeare"), input="ROMEO:")
    with pytest.raises(
        rnnzoo.InputError, match="'A' at position 1 of the prompt 'Anna' is nothing that 'baby-names' writes"
    ):
        rnnzoo.generate(untrained("baby-names"), prompt="Anna")


# The command


def run(*arguments):
    return CliRunner().invoke(cli, ["generate", *arguments])


def test_the_command(tmp_path):
    done = run("number-spelling", "--input", "1294", "--greedy")
    assert done.exit_code == 0 and done.output == "one thousand two hundred ninety-four\n"
    drawn = ["number-spelling", "--input", "7", "--temperature", "3", "--top-k", "5", "--top-p", "0.9", "--seed", "2"]
    one, three = run(*drawn), run(*drawn, "--count", "3")
    assert len(three.output.splitlines()) == 3 and three.output.startswith(one.output)
    as_json = json.loads(run(*drawn, "--count", "3", "--json").output)
    assert [found["text"] for found in as_json] == three.output.splitlines()
    file = tmp_path / "texts"
    assert run(*drawn, "--count", "3", "-o", str(file)).output == f"{file}\n" and file.read_text() == three.output
    again = run(*drawn, "-o", str(file))
    assert again.exit_code == 2 and "exists" in again.output and file.read_text() == three.output
    assert run(*drawn, "-o", str(file), "--force").exit_code == 0 and file.read_text() == one.output


def test_a_prompt_that_is_wrong_is_not_shown():
    done = run("baby-names", "--prompt", "Zoë")
    assert done.exit_code == 2 and done.stdout == "" and "'Z' at position 1 of the prompt 'Zoë'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digit-sum"], "writes no text"),
        (["number-speling", "--input", "1"], "did you mean 'number-spelling'"),
        (["number-spelling"], "writes an answer to an input"),
        (["number-spelling", "--input", "1", "--greedy", "--temperature", "1"], "not both"),
        (["number-spelling", "--input", "1", "--top-p", "2"], "top_p must be"),
        (["number-spelling", "--input", "1", "--count", "x"], "'x' is not a valid integer"),
        (
            ["number-spelling", "--input", "1", "-o", "a.MID"],
            "'number-spelling' writes text; expected a file such as a.txt",
        ),
        (["number-spelling", "--input", "1", "--json", "-o", "a.png"], "a.png: JSON; expected a file such as a.json"),
        (["chorales", "-o", "a.wav"], "a.wav: expected .mid, .midi, .png, .svg, or .txt for notes as text"),
    ],
)
def test_errors_of_the_command(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exit_code == 2 and message in done.output and "Traceback" not in done.output
    assert list(tmp_path.iterdir()) == []
