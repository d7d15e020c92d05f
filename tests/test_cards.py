"""Model cards, the tables of results, and learning curves."""

import re

import pytest

from rnnzoo.cards import card
from rnnzoo.curves import draw_curve, is_of
from rnnzoo.registry import load_preset, override

ROWS = """stage,epoch,loss,accuracy,val_loss,val_accuracy,seconds
first,1,100.0,0.1,90.0,0.2,1.0
first,2,10.0,0.2,9.0,0.3,1.0
"""


@pytest.fixture
def history(tmp_path):
    path = tmp_path / "history.csv"
    path.write_text(ROWS)
    return path


def texts(path):
    return re.findall(r"<text.*?>(.*?)</text>", path.read_text())


def test_a_learning_curve(history, tmp_path):
    pytest.importorskip("matplotlib", reason="drawing is the extra `plot`")
    draw_curve(history, tmp_path / "a.svg")
    assert {"loss", "accuracy", "training", "validation", "epoch"} <= set(texts(tmp_path / "a.svg"))
    draw_curve(history, tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert is_of(tmp_path / "a.svg", history)
    history.write_text(ROWS.replace("val_", "") + "second,1,nan,0.5,1.0,0.5,1.0\nsecond,1,0.5,0.5,1.0,0.5,1.0\n")
    assert not is_of(tmp_path / "a.svg", history)


def test_stages_and_a_large_range(tmp_path):
    pytest.importorskip("matplotlib", reason="drawing is the extra `plot`")
    path = tmp_path / "history.csv"
    path.write_text("stage,epoch,loss,exact_match,seconds\na,1,100.0,0.0,1\nb,1,nan,0.0,1\nb,2,0.001,1.0,1\n")
    draw_curve(path, tmp_path / "a.svg")
    found = texts(tmp_path / "a.svg")
    assert "epoch, a dotted line where a stage begins" in found and "exact match" in found and "validation" not in found
    assert {"100", "0.01"} <= set(found) and not any("$" in text for text in found)  # numbers, not formulas


def test_a_card_shows_what_others_have_published(tmp_path):
    preset = load_preset("digit-sum")
    plain = card(preset, preset.metadata())
    assert "## Published figures" not in plain and "limits =" not in plain and preset.limits in plain
    sets = ['published.GRU={metric="exact_match", figure=0.5, source="Somebody 2020"}']
    shown = card(override(preset, sets), preset.metadata())
    assert "| GRU | exact match | 0.5 | Somebody 2020 |" in shown


def test_the_seeds_that_were_trained_are_said():
    preset = load_preset("digit-sum")
    one = {"held_out": {"examples": 10, "exact_match": 1.0}}
    shown = card(preset, preset.metadata(), {"command": "c --seeds 1", "seeds": {"0": one}})
    assert "## Results of seed 0 alone" in shown and "Others were not trained: one training takes long." in shown
    shown = card(preset, preset.metadata(), {"command": "c", "seeds": {"0": one, "1": one, "2": one}})
    assert "## Results over seeds 0, 1, 2" in shown and "Others were not trained" not in shown
