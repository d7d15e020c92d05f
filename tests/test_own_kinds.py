"""Labels, alphabets and pictures of a user's own, where the task's own examples have others."""

import json
import shutil

import numpy as np
import pytest

import rnnzoo
from rnnzoo import tasks
from rnnzoo.registry import LEARNED, Source, list_presets, load_preset
from rnnzoo.userdata import read


def drawn(folder, signs, count=12):
    """Pictures of signs of one's own, a folder each: strokes between corners that the sign's name decides."""
    image = pytest.importorskip("PIL.Image")
    draw = pytest.importorskip("PIL.ImageDraw")
    for sign in signs:
        (folder / sign).mkdir(parents=True)
        corners = np.random.default_rng([*map(ord, sign)]).integers(8, 56, (4, 2))
        for i in range(count):
            picture = image.new("L", (64, 64), 0)
            draw.Draw(picture).line([tuple(map(int, at + i % 3)) for at in corners], fill=255, width=4)
            picture.save(folder / sign / f"{i}.png")
    return folder


def named(tmp_path):
    """A table that names pictures beside it."""
    drawn(tmp_path / "data" / "pictures", "7382")
    rows = [f"pictures/{sign}/{i}.png,{sign}" for sign in "7382" for i in range(12)]
    (tmp_path / "data" / "own.csv").write_text("image,label\n" + "\n".join(rows) + "\n")
    return tmp_path / "data" / "own.csv"


def test_pictures_are_looked_for_beside_the_table_that_names_them(tmp_path, monkeypatch):
    path = named(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = read(Source(path), tasks.create("mnist")).examples
    assert len(found.inputs) == 48 and found.answers[0] == 7
    sequences = tmp_path / "data" / "sums.jsonl"
    rows = [("pictures/7/1.png pictures/3/0.png", 10), (["pictures/8/1.png"], 8), ("drawn:2 pictures/2/0.png", 4)]
    sequences.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read(Source(sequences), tasks.create("handwritten_sum")).examples
    assert [len(one) for one in found.inputs] == [2, 1, 2] and found.answers == [10, 8, 4]


@pytest.mark.slow
def test_a_run_has_the_pictures_that_its_table_named(tmp_path):
    path = named(tmp_path)
    run = rnnzoo.train("mnist", run_dir=tmp_path / "run", data=path, overrides=["training.epochs=2"])
    shutil.rmtree(path.parent)
    assert rnnzoo.evaluate(tmp_path / "run") == run.metrics
    rnnzoo.export(tmp_path / "run", tmp_path / "export")
    assert not (tmp_path / "run" / LEARNED).exists()  # ten digits, as ever
    again = rnnzoo.train(tmp_path / "run", run_dir=tmp_path / "again")
    assert again.metrics == run.metrics


def signs(folder):
    drawn(folder, ["cat", "dog", "7"])
    return folder, {"labels": ["7", "cat", "dog"]}, str(folder / "cat" / "3.png")


def names(folder):
    few = ["Émile", "Zoë", "Ünal Öz", "Mary-Ann", "José"]
    (folder / "names.txt").write_text("".join(f"{name}{end}\n" for name in few for end in ("", "a", "o")), "utf-8")
    text = "".join(sorted({*"".join(few), *"ao"}))
    return folder / "names.txt", {"alphabet": text, "max_length": 9}, "start"


def text(folder):
    line = "Мой дядя самых честных правил,\tкогда не в шутку занемог…\n"
    (folder / "own.txt").write_text(line * 80, "utf-8")
    return folder / "own.txt", {"alphabet": "".join(sorted({*line}))}, "Мой ☃"


def words(folder):
    german = ["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn", "elf", "zwölf"]
    (folder / "own.csv").write_text("".join(f"{n},{word}\n" for n, word in enumerate(german)), "utf-8")
    return folder / "own.csv", {"alphabet": "".join(sorted({*"".join(german)})), "max_length": 6}, 5


def frames(folder):
    from rnnzoo.tasks._movement import COLUMNS, synthetic

    for i in range(5):
        rows = [",".join(map(str, row)) + f",{'wave' if t > 20 else 'still'}" for t, row in enumerate(synthetic(40 + i))]
        (folder / f"{i}.csv").write_text("\n".join([",".join([*COLUMNS, "phase"]), *rows]) + "\n")
    return folder, {"labels": ["still", "wave"]}, synthetic(12)


OWN = {"mnist": signs, "baby-names": names, "shakespeare": text, "number-spelling": words, "gesture-phases": frames}


def test_every_such_task_is_tried():
    learning = {task for task in map(_task_of, list_presets()) if tasks.create(task).learns_own}
    assert learning == {*map(_task_of, OWN), "mnist_rows", "mnist_pixels"}


def _task_of(name):
    return load_preset(name).task


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_what_is_learned_travels(name, tmp_path):
    """In the run's folder and in exports, which answer alike; the zoo's own preset stays what it is."""
    from rnnzoo.running import load

    (tmp_path / "data").mkdir()
    data, learned, example = OWN[name](tmp_path / "data")
    small = ["training.epochs=2", "model.units=16", "training.batch_size=16"]
    run = rnnzoo.train(name, run_dir=tmp_path / "run", data=data, overrides=small)
    found = json.loads((tmp_path / "run" / LEARNED).read_text())
    assert {key: value for key, value in found.items() if key != "task_options"} == learned
    assert rnnzoo.evaluate(tmp_path / "run") == run.metrics
    answers = rnnzoo.from_preset(tmp_path / "run").predict([example])
    rnnzoo.export(tmp_path / "run", tmp_path / "one.onnx", format="onnx")
    assert load(tmp_path / "one.onnx").predict([example]) == answers
    assert rnnzoo.train(tmp_path / "run", run_dir=tmp_path / "again").metrics == run.metrics
    fixed = tasks.create(load_preset(name).task)
    assert fixed.learns == () and rnnzoo.from_preset(name).task.answer.describe() == fixed.answer.describe()


def test_a_control_character_is_no_letter(tmp_path):
    task = tasks.create("baby_names")
    task.open()
    (tmp_path / "names.txt").write_bytes(b"ann\nb\x1bob\n")
    with pytest.raises(rnnzoo.InputError, match=r"names\.txt, line 2: U\+001B at position 2 of the answer 'b\\x1bob'"):
        read(Source(tmp_path / "names.txt"), task)
