"""Music: the pieces, frames of notes as text, MIDI files, what a frame costs, transposition, and pieces that are written."""

import collections
import contextlib
import io
import json
import sys

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

import rnnzoo
from rnnzoo import losses, tasks
from rnnzoo.building import build, create_task
from rnnzoo.cli.main import cli
from rnnzoo.composing import save_music
from rnnzoo.evaluating import read_split
from rnnzoo.likelihood import nats
from rnnzoo.piano_roll import digest
from rnnzoo.predicting import Predictor
from rnnzoo.registry import WRITTEN, Source, list_presets, load_preset
from rnnzoo.running import _tensors
from rnnzoo.tasks import _midi
from rnnzoo.tasks._notes import KEYS, LOWEST, PADDING, frames_of, texts_of
from rnnzoo.tasks._polyphony import pieces

mido = pytest.importorskip("mido", reason="the extra `music` is absent")

# Of the published splits: frames of the three parts, keys that sound in the first, and the floors of SOURCE.md, roughly.
PUBLISHED = {
    "chorales": ([229, 76, 77], [13_807, 4_602, 4_725], (51, 43, 96), (11.09, 10.49)),
    "folk_tunes": ([694, 173, 170], [176_561, 45_513, 44_463], (57, 31, 93), (10.26, 5.15)),
}

PRESETS = [name for name in list_presets() if load_preset(name).task in PUBLISHED]


@pytest.fixture(scope="module")
def made():
    """A function: a task's name -> the task, with its parts; skips where the data are absent."""
    found = {}

    def task(name):
        if name not in found:
            found[name] = tasks.create(name)
            found[name].train()
        return found[name]

    return task


@pytest.fixture(scope="module")
def small():
    """A `Predictor` of few units whose outputs are far from certain, and which knows its keys."""
    preset = load_preset("chorales", ["model.units=8", "model.layers=1"])
    task = tasks.create("chorales")
    task.recall({"keys": [*range(50, 90, 3)]})
    model = build(preset, seed=3, task=task)
    kernel, _ = model.get_layer("readout").get_weights()
    model.get_layer("readout").set_weights([2 * kernel, np.linspace(-3, 1, KEYS, dtype=np.float32)])
    return Predictor(model, preset, task)


# The pieces


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_the_published_split(name, made):
    """Every frame of every piece is to be predicted, the first one from a silence."""
    task, (counts, frames, keys, floors) = made(name), PUBLISHED[name]
    assert [len(part.inputs) for part in task._parts] == counts
    assert [sum(map(len, part.answers)) for part in task._parts] == frames
    for part in task._parts:
        for given, answer in zip(part.inputs[:20], part.answers[:20], strict=True):
            assert not given[0].any() and texts_of(given[1:]) == answer[:-1] and len(given) == len(answer)
    task.learn(task.train())
    assert (len(task.answer.keys), task.answer.keys[0], task.answer.keys[-1]) == keys
    found = task.references()
    assert [found["marginal_nats"], found["markov_nats"]] == pytest.approx(floors, abs=0.04)


def test_the_floors_by_hand():
    task = tasks.create("chorales")
    train, test = np.zeros((2, 3, KEYS)), np.zeros((1, 2, KEYS))
    train[0, :, 5], train[1, 1:, 7], test[0, :, 5] = 1, 1, 1
    task._parts = [pieces(train), None, pieces(test)]
    marginal, after, not_after = 3.5 / 7, 2.5 / 3, 1.5 / 5  # of key 5, in the frame before or not
    rest = -2 * (86 * np.log(6.5 / 7) + np.log(1 - 2.5 / 7)) / 2
    assert task.references()["marginal_nats"] == pytest.approx(-np.log(marginal) + rest)
    never = -(86 * np.log(6.5 / 7) + np.log(1 - 1.5 / 6))  # key 7: once after silence in five frames, once after itself
    assert task.references()["markov_nats"] == pytest.approx(-(np.log(after) + np.log(not_after)) / 2 + never)


def test_windows():
    frames = np.zeros((10, KEYS), np.float32)
    frames[np.arange(10), np.arange(10)] = 1
    whole = pieces([frames, frames[:3]])
    cut = tasks.create("folk_tunes", window=4).cut(whole)
    assert [texts_of(one)[-1] for one in cut.inputs] == [whole.answers[0][t] for t in (2, 6, 8)] + [whole.answers[1][1]]
    assert list(cut.answers) == [whole.answers[0][t : t + 4] for t in (0, 4, 6)] + [whole.answers[1]]
    assert tasks.create("folk_tunes", window=0).cut(whole) is whole
    with pytest.raises(rnnzoo.InputError, match="transpose=13, window=0; expected 0 to 12"):
        tasks.create("folk_tunes", transpose=13, window=0)


def test_transposition():
    """All keys of a piece by as much, its inputs with its targets; never beyond the piano, and padding stays padding."""
    task, rng = tasks.create("chorales"), np.random.default_rng(0)
    piece = np.zeros((6, KEYS), np.float32)
    piece[:, 40], piece[2:, 47] = 1, 1
    edge, silence = np.zeros((2, 6, KEYS), np.float32)
    edge[1, 1], edge[3, 86] = 1, 1
    examples = pieces([*[piece] * 300, edge, silence, piece[:4]])
    inputs = task.input.front(task.input.tensor(examples.inputs)).numpy()
    targets, weights = task.answer.targets(examples.answers)
    before = inputs.copy(), targets.copy()
    moved, answers, same = task.augment(inputs, targets, weights, rng)
    assert same is weights and (inputs == before[0]).all() and (targets == before[1]).all()
    by = collections.Counter()
    for given, answer in zip(moved[:300], answers[:300], strict=True):
        semitones = int(answer[0].argmax()) - 40
        by[semitones] += 1
        np.testing.assert_array_equal(answer, np.roll(piece, semitones, axis=1))
        np.testing.assert_array_equal(given[1:], answer[:-1])
    assert set(by) == set(range(-5, 6)) and min(by.values()) > 10
    shift = int(answers[300, 1].argmax()) - 1
    assert abs(shift) <= 1 and answers[300, 3, 86 + shift] == 1 and answers[300].sum() == 2
    assert not answers[301].any() and (moved[302, 4:] == PADDING).all() and not answers[302, 4:].any()
    still = tasks.create("chorales", transpose=0).augment(inputs, targets, weights, rng)
    assert (still[0] == inputs).all() and (still[1] == targets).all()


# Frames as text


def test_notes_as_text(rng):
    frames = (rng.random((30, KEYS)) < 0.1).astype(np.float32)
    frames[4] = 0
    texts = texts_of(frames)
    assert texts[4] == "r" and (frames_of(texts) == frames).all()
    names = ["C4:E4:G4", "60:64:67", "c4:e4:g4", "G4:E4:C4", "Db3", "C#3", "Bb2", "A0", "C8", "B3", "Cb4", "B#3", "r"]
    numbers = [[60, 64, 67]] * 4 + [[49], [49], [46], [21], [108], [59], [59], [60], []]
    assert [(np.flatnonzero(frame) + LOWEST).tolist() for frame in frames_of(names)] == numbers
    assert tasks.create("chorales").answer.parse("g4:e4 60 r") == ["E4:G4", "C4", "r"]


def test_what_is_no_music():
    check = tasks.create("chorales").input.check
    for raw, said in (
        ("", "there are no notes; expected a MIDI file, or frames of notes"),
        ("C4 H4", "'H4' at timestep 2 is no notes of a piano"),
        ("C9", "'C9' at timestep 1"),
        ("C4:", "'C4:' at timestep 1"),
        ("109", "'109' at timestep 1"),
        ([[0.5] * KEYS], "0.5 at timestep 1, key 1; expected 0 or 1"),
        ([[0] * KEYS, [0] * 4 + [-1] + [0] * 83], "-1 at timestep 2, key 5"),
        ([[1] * 87], "timestep 1 of the frames: 87 numbers"),
        (None, "expected a MIDI file"),
    ):
        with pytest.raises(rnnzoo.InputError, match=said):
            check(raw)
    timestep = tasks.create("chorales").input.timestep
    assert (timestep("C4:E4") == check("C4:E4")[0]).all() and (timestep(check("60")[0]) == check("60")[0]).all()
    for raw in ("C4 E4", "x", "", [2] * KEYS, [1] * 5):
        with pytest.raises(rnnzoo.InputError, match="expected"):
            timestep(raw)
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected 0 or 1"):
        tasks.create("chorales").input.front(tf.fill([1, 2, KEYS], 0.5))


# Answers


def test_answers_and_their_twin(small, rng):
    """The keys over a half that can sound; -1 at padding; the same in NumPy and from the SavedModel's tensors."""
    answer = small.task.answer
    inputs = small.task.input.tensor([small.task.input.check(text) for text in ("r C4 E4", "r")]).numpy()
    outputs = rng.normal(size=(2, 3, KEYS)).astype(np.float32)
    named = {name: tensor.numpy() for name, tensor in answer.back(tf.constant(outputs), tf.constant(inputs)).items()}
    twin = _tensors.back(answer.describe(), outputs, inputs)
    assert all((named[key] == twin[key]).all() for key in ("next", "lengths"))
    assert named["lengths"].tolist() == [3, 1] and (named["next"][1, 1:] == -1).all()
    likely = 1 / (1 + np.exp(-outputs.astype(float))) > 0.5
    expected = [[":".join(_names(likely[i, t], answer.keys)) or "r" for t in range(n)] for i, n in ((0, 3), (1, 1))]
    assert answer.answers(named) == answer.answers(twin) == expected


def _names(likely, keys):
    letters = ["C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B"]
    return [f"{letters[note % 12]}{note // 12 - 1}" for note in keys if likely[note - 21]]


def test_what_a_frame_costs(small, rng):
    """Minus the logarithm of the product of what each key's state had for a probability; a loss that Keras has not."""
    outputs = 3 * rng.normal(size=(2, 4, KEYS)).astype(np.float32)
    targets = (rng.random((2, 4, KEYS)) < 0.3).astype(np.float32)
    p = 1 / (1 + np.exp(-outputs.astype(np.float64)))
    expected = -np.log(np.where(targets == 1, p, 1 - p)).sum(axis=-1)
    np.testing.assert_allclose(small.task.answer.costs(targets, outputs), expected, rtol=1e-12)
    for loss, given in (
        (losses.SummedBinaryCrossentropy(from_logits=True, reduction=None), outputs),
        (losses.SummedBinaryCrossentropy(reduction=None), p.astype(np.float32)),
    ):
        np.testing.assert_allclose(loss(targets, given), expected, rtol=1e-5)
        assert type(loss).from_config(loss.get_config()).from_logits == loss.from_logits
    assert "summed_binary_crossentropy" in losses.named()


def test_nats_a_frame(small, rng):
    """Over all frames of pieces of other lengths, padding left out, from the model's own outputs."""
    rolls = [(rng.random((n, KEYS)) < 0.05).astype(np.float32) for n in (3, 7, 1)]
    examples, total = pieces(rolls), 0.0
    for roll in rolls:
        given = np.concatenate([np.zeros((1, KEYS), np.float32), roll[:-1]])
        p = 1 / (1 + np.exp(-small.model(given[None]).numpy()[0].astype(float)))
        total -= np.log(np.where(roll == 1, p, 1 - p)).sum()
    done = []
    assert nats(small, examples, done.append) == pytest.approx(total / 11, rel=1e-6) and sum(done) == 3
    outputs = small.scores(examples.inputs)
    assert outputs.shape == (3, 7, KEYS) and not outputs[0, 3:].any()


def test_frames_that_are_right(small, rng):
    targets = (rng.random((1, 4, KEYS)) < 0.2).astype(np.float32)
    outputs = 2 * targets - 1
    outputs[0, 1, 7] *= -1
    weights = np.array([[1, 1, 1, 0]], np.float32)
    assert small.task.answer.correct(targets, tf.constant(outputs), weights).numpy() == pytest.approx([2 / 3])


# MIDI files


@pytest.mark.parametrize("quarters", [1.0, 0.5])
def test_what_is_written_is_read_again(quarters, tmp_path, rng):
    sounds = np.zeros((20, 128), bool)
    sounds[:, 40:70] = rng.random((20, 30)) < 0.2
    sounds[-1, 60] = True
    _midi.write(tmp_path / "x.mid", sounds, quarters, 90)
    np.testing.assert_array_equal(_midi.read(tmp_path / "x.mid", quarters), sounds)
    file = mido.MidiFile(tmp_path / "x.mid")
    assert file.length == pytest.approx(20 * quarters * 60 / 90) and file.ticks_per_beat == 480
    struck = sum(message.type == "note_on" for message in file.tracks[0])
    assert struck == (np.diff(sounds.astype(int), axis=0, prepend=0) == 1).sum()  # what goes on is held


def midi(*tracks, ticks=100):
    """The bytes of a MIDI file of tracks of (type, note, ticks since the last) or (type, note, ticks, channel)."""
    file = mido.MidiFile(ticks_per_beat=ticks)
    for events in tracks:
        track = mido.MidiTrack()
        file.tracks.append(track)
        for kind, note, time, *channel in events:
            velocity = 0 if kind == "silent" else 64
            name = "note_on" if kind == "silent" else f"note_{kind}"
            track.append(mido.Message(name, note=note, time=time, velocity=velocity, channel=channel[0] if channel else 0))
    content = io.BytesIO()
    file.save(file=content)
    return content.getvalue()


def read(content, tmp_path, quarters=1.0):
    """What sounds at each frame, as lists of notes."""
    (tmp_path / "x.mid").write_bytes(content)
    return [np.flatnonzero(frame).tolist() for frame in _midi.read(tmp_path / "x.mid", quarters)]


def test_the_grid(tmp_path):
    """What sounds an eighth of a frame after its beginning, of all tracks; percussion does not."""
    passing = midi([("on", 60, 0), ("off", 60, 50), ("on", 62, 0), ("off", 62, 50), ("on", 64, 0), ("off", 64, 100)])
    assert read(passing, tmp_path) == [[60], [64]] and read(passing, tmp_path, 0.5) == [[60], [62], [64], [64]]
    late = midi([("on", 60, 10), ("off", 60, 95), ("on", 62, 8), ("silent", 62, 87)])  # 10 to 105, and 113 to 200
    assert read(late, tmp_path) == [[60]] and read(late, tmp_path, 0.5) == [[], [60], [], [62]]
    two = midi([("on", 60, 0), ("off", 60, 200)], [("on", 67, 100), ("on", 36, 0, 9)])
    assert read(two, tmp_path) == [[60], [60]]  # a note that is never let go ends with its track, at once here
    again = midi([("on", 60, 0), ("on", 60, 150), ("off", 60, 50), ("on", 70, 100), ("off", 70, 100)])
    assert read(again, tmp_path) == [[60], [60], [], [70]]


def test_files_that_are_none(tmp_path):
    good = midi([("on", 60, 0), ("off", 60, 100)])
    check = tasks.create("chorales").input.check
    for content, said in (
        (b"", "breaks off"),
        (b"hello, this is a text", "no MIDI file, or damaged"),
        (good[:20], "breaks off"),
        (midi([]), "no notes"),
        (midi([("on", 5, 0), ("off", 5, 100)]), r"note 5 is none of the piano's; expected 21 \(A0\) to 108"),
        (midi([("on", 60, 0), ("off", 60, 2**27)], ticks=1), "134,217,728 frames; expected 100,000 at the most"),
        (good[:12] + b"\xe8\x28" + good[14:], "not in quarter notes"),
        (good[:12] + b"\x00\x00" + good[14:], "not in quarter notes"),
    ):
        (tmp_path / "x.mid").write_bytes(content)
        with pytest.raises(rnnzoo.InputError, match=f"x.mid: .*{said}"):
            check(str(tmp_path / "x.mid"))
    for end in range(len(good)):  # whatever is left of a file, nothing but an `InputError` comes of it
        (tmp_path / "x.mid").write_bytes(good[:end])
        with pytest.raises(rnnzoo.InputError, match=r"x\.mid: "):
            check(tmp_path / "x.mid")
    rng = np.random.default_rng(0)
    for _ in range(200):
        wrong = bytearray(good)
        wrong[rng.integers(len(good))] = rng.integers(256)
        (tmp_path / "x.mid").write_bytes(wrong)
        with contextlib.suppress(rnnzoo.InputError):
            assert check(tmp_path / "x.mid").shape[1] == KEYS
    with pytest.raises(rnnzoo.InputError, match=r"none\.mid: no such file"):
        check("none.mid")


def test_a_folder_of_midi_files(small, tmp_path):
    """A piece a file: it is evaluated, and trained on; what is malformed is named, and left out where that is asked for."""
    texts = rnnzoo.generate(small, count=6, length=9, seed=0)
    folder = tmp_path / "own"
    folder.mkdir()
    save_music(texts, folder / "piece.mid", small)
    (folder / "readme.txt").write_text("no music")
    train, held_out = read_split(Source(folder), tasks.create("chorales"))
    assert len(train.inputs) == 5 and len(held_out.inputs) == 1
    assert sorted(" ".join(answer) for answer in train.answers + held_out.answers) == sorted(map(_trimmed, texts))
    whole = rnnzoo.evaluate(small, folder)["data"]
    rolls = [frames_of(_trimmed(text).split()) for text in texts]
    assert whole == {"examples": 6, "nats_per_frame": pytest.approx(nats(small, pieces(rolls), lambda n: None), rel=1e-5)}
    (folder / "bad.mid").write_bytes(b"MThd")
    with pytest.raises(rnnzoo.InputError, match=r"bad\.mid: no whole MIDI file: it breaks off"):
        rnnzoo.evaluate(small, folder)
    notices = []
    assert rnnzoo.evaluate(small, folder, skip_bad=True, notice=notices.append)["data"] == whole
    assert notices[0] == "1 of 7 examples were skipped:" and "bad.mid" in notices[1]
    (tmp_path / "empty").mkdir()
    with pytest.raises(rnnzoo.InputError, match=r"empty: no \.mid file in it; expected one a piece"):
        rnnzoo.evaluate(small, tmp_path / "empty")


def _trimmed(text):
    """A piece without the silence at its end, which no MIDI file has notes of."""
    frames = text.split()
    while frames[-1] == "r":
        frames.pop()
    return " ".join(frames)


# What is written


def test_seeds_and_batches_of_pieces(small):
    five = rnnzoo.generate(small, count=5, seed=3, length=6)
    assert five == rnnzoo.generate(small, count=5, seed=3, length=6) and len(set(five)) == 5
    assert rnnzoo.generate(small, count=2, seed=3, length=6) == five[:2]
    assert rnnzoo.generate(small, count=5, seed=4, length=6) != five
    assert all(len(text.split()) == 6 for text in five) and len(rnnzoo.generate(small)[0].split()) == 64
    parts = []
    assert rnnzoo.generate(small, seed=3, length=6, written=parts.append) == five[:1]
    assert parts[0] == "" and "".join(parts) == five[0] and [len(part.split()) for part in parts[1:]] == [1] * 6


@pytest.mark.parametrize("temperature", [1.0, 0.5, 0.0])
def test_how_often_each_key_is_drawn(temperature, small):
    """With the probability that the model gives it after all that came before; none that it never heard."""
    count, prompt = 2000, "C4:E4 G4"
    texts = rnnzoo.generate(small, count=count, seed=1, length=1, temperature=temperature, prompt=prompt)
    drawn = np.mean([frames_of(text.split()[-1:])[0] for text in texts], axis=0)
    outputs = small.scores([f"r {prompt}"])[0, -1].astype(float)
    able = np.isin(np.arange(LOWEST, LOWEST + KEYS), small.task.answer.keys)
    p = np.where(able, 1 / (1 + np.exp(-outputs)), 0)
    expected = p.sum()
    if temperature == 0:
        p[:] = 0
        p[sorted(np.flatnonzero(able), key=lambda i: -outputs[i])[: round(expected)]] = 1
    elif temperature != 1:
        # The shift by which as many sound as before, to a thousandth.
        shifted = [np.where(able, 1 / (1 + np.exp(-outputs / temperature - shift)), 0) for shift in np.arange(-20, 20, 1e-3)]
        p = min(shifted, key=lambda p: abs(p.sum() - expected))
    np.testing.assert_allclose(drawn, p, atol=4 * np.sqrt(0.25 / count) if temperature else 0)
    assert (drawn[p == 0] == 0).all() and p.max() > 0


def test_prompts(small, tmp_path):
    """Frames as text, or a MIDI file, or its first frames; then the same follows."""
    prompt = "C4:E4:G4 r C4:E4:G4 D4"
    (expected,) = rnnzoo.generate(small, prompt=prompt, seed=0, length=5)
    assert expected.startswith(prompt) and len(expected.split()) == 9
    (path,) = save_music([prompt], tmp_path / "begin.mid", small)
    assert rnnzoo.generate(small, prompt=path, seed=0, length=5) == [expected]
    assert rnnzoo.generate(small, prompt=frames_of(prompt.split()), seed=0, length=5) == [expected]
    two = rnnzoo.generate(small, prompt=str(path), prompt_length=2, seed=0, length=5)
    assert two == rnnzoo.generate(small, prompt="C4:E4:G4 r", seed=0, length=5) != [expected]


def test_options_that_have_no_meaning(small, tmp_path):
    for options, said in (
        ({"top_k": 3}, r"top_k: 'chorales' draws for each key by itself whether it sounds"),
        ({"top_p": 0.5}, r"top_p: .*; give a temperature below 1"),
        ({"input": "C4"}, "takes no input but the music that it goes on with"),
        ({"prompt": "C4 X"}, "the prompt: 'X' at timestep 2"),
        ({"prompt": "none.mid"}, r"the prompt: none\.mid: no such file"),
        ({"prompt_length": 0}, "prompt_length must be a whole number from 1"),
    ):
        with pytest.raises(rnnzoo.InputError, match=said):
            rnnzoo.generate(small, **options)
    with pytest.raises(rnnzoo.InputError, match=r"x\.wav: expected a name that ends in \.mid"):
        save_music(["C4"], tmp_path / "x.wav", small)


@pytest.mark.parametrize("name", PRESETS)
def test_the_command(name, tmp_path, monkeypatch):
    """MIDI and pictures by the file's ending, several of them numbered, text to the terminal; as `predict` reads them."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        return CliRunner().invoke(cli, arguments)

    options = ["generate", name, "--seed", "1", "--length", "8"]
    shown = run(*options)
    assert shown.exit_code == 0 and len(shown.stdout.split()) == 8
    assert run(*options, "-o", "out.mid").stdout == "out.mid\n"
    input = create_task(load_preset(name)).input
    assert texts_of(input.read("out.mid")) == _trimmed(shown.stdout).split()
    assert run(*options, "-o", "out.mid").exit_code == 2 and run(*options, "-o", "out.mid", "--force").exit_code == 0
    pytest.importorskip("matplotlib", reason="drawing is the extra `plot`")
    assert run(*options, "--count", "2", "-o", "two.svg").stdout.split() == ["two-1.svg", "two-2.svg"]
    assert f"music {digest(frames_of(shown.stdout.split()))}" in (tmp_path / "two-1.svg").read_text()
    answered = json.loads(run("predict", name, "out.mid", "--json").stdout)
    assert len(answered[0]["answer"]) == len(_trimmed(shown.stdout).split()) + 1
    assert run("evaluate", name, "--data", "out.mid").exit_code == 0
    wrong = run("predict", name, "none.mid")
    assert wrong.exit_code == 2 and "none.mid: no such file" in wrong.stderr


def test_without_the_extra(small, tmp_path, monkeypatch):
    """Answers and music as text need neither mido nor SciPy; what does says which extra brings it."""
    for module in ("mido", "scipy", "scipy.io"):
        monkeypatch.setitem(sys.modules, module, None)
    assert small.predict(["r C4"]) and rnnzoo.generate(small, length=2)
    for call in (
        lambda: save_music(["C4"], tmp_path / "x.mid", small),
        lambda: tasks.create("chorales").train(),
    ):
        with pytest.raises(rnnzoo.MissingExtraError, match=r"pip install 'rnnzoo\[music\]'"):
            call()
    (tmp_path / "there.mid").write_bytes(b"MThd")
    with pytest.raises(rnnzoo.MissingExtraError, match=r"rnnzoo\[music\]"):
        small.predict([str(tmp_path / "there.mid")])
    assert not (tmp_path / "x.mid").exists()


# What ships


@pytest.mark.parametrize("name", PRESETS)
def test_the_weights_are_better_than_counting(name):
    preset = load_preset(name)
    for metrics in preset.metadata()["metrics"].values():
        assert metrics["nats_per_frame"] < min(metrics["marginal_nats"], metrics["markov_nats"])


@pytest.mark.parametrize("name", PRESETS)
def test_the_card_shows_what_was_written(name):
    preset = load_preset(name)
    (text,) = preset.metadata()["written"]["texts"]
    assert f"music {digest(frames_of(text.split()))}" in (preset.folder / WRITTEN).read_text(encoding="utf-8")
    sounded = np.flatnonzero(frames_of(text.split()).any(axis=0)) + LOWEST
    assert set(sounded.tolist()) <= set(create_task(preset).answer.keys)
