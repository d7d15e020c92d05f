"""Networks over time as pictures: what is linked to what, that nothing lies on anything else, and the heat maps."""

import importlib.util
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import rnnzoo
from rnnzoo import explaining
from rnnzoo.building import architecture_module, start
from rnnzoo.cli.main import cli
from rnnzoo.errors import InputError, MissingExtraError
from rnnzoo.explaining._network_of import network
from rnnzoo.explaining._network_plot import _given
from rnnzoo.explaining._unfolded import plan, visible

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="drawing needs matplotlib, the extra `plot`"
)
_spec = importlib.util.spec_from_file_location("variants", Path(__file__).parent / "architectures" / "conftest.py")
variants = importlib.util.module_from_spec(_spec)
sys.modules["variants"] = variants
_spec.loader.exec_module(variants)
VARIANTS = variants.VARIANTS
PICTURES = Path(__file__).parent.parent / "rnnzoo" / "architectures"
IN_README = {
    "one_to_one": [],
    "one_to_many": ["--set", "timesteps=4"],
    "many_to_one": [],
    "many_to_many": [],
    "encoder_decoder": [],
}


def unfolded(model, timesteps=4, traced=None, **texts):
    found = network(model)
    return plan(found, _given(found, traced, texts.get("tokens", {}), texts.get("outputs"), timesteps), "A title")


def folded(model):
    return plan(network(model), None, "A title", "folded")


def arrows(picture):
    """((part, t), (part, t), the weight's letter or the kind) of every arrow."""
    return {(arrow.source, arrow.target, arrow.weight.letter if arrow.weight else arrow.kind) for arrow in picture.arrows}


def texts(path):
    found = [element.text for element in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]
    return [text for text in found if text]


def run(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


# Nothing lies on anything else


def corners(boxes):
    """Boxes (left, right, top, bottom) -> their least and their largest (x, y), each (boxes, 2)."""
    boxes = np.array(boxes, float).reshape(-1, 4)
    return boxes[:, ::2], boxes[:, 1::2]


def check_places(picture):
    """Nodes, texts and arrows keep clear of each other and of the rim."""
    nodes = [(f"node {key}", node.box) for key, node in picture.nodes.items()]
    written = [(f"text {text.text!r}", text.box) for text in (*picture.labels, *picture.texts)]
    keys = [(f"key {key.weight.symbol}", (key.x, key.x + key.length, key.y - 2, key.y + 2)) for key in picture.keys]
    names, boxes = zip(*nodes, *written, *keys, strict=True)
    (least,), (largest,) = corners([picture.bounds])
    low, high = corners(boxes)
    shared = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)  # (boxes, boxes, 2)
    for i, j in np.argwhere(np.triu((shared > 0.5).all(-1), 1)):
        raise AssertionError(f"{names[i]} lies on {names[j]}")
    for i in np.flatnonzero(~((low > least) & (high < largest)).all(-1)):
        raise AssertionError(f"{names[i]} is cut off")
    # Arrows touch the nodes that they link, and the label that is their own.
    obstacles = [(key, name) for key, (name, _) in zip(picture.nodes, nodes, strict=True)]
    obstacles += [(text.text, name) for text, (name, _) in zip(picture.labels, written, strict=False)]
    obstacles += [(None, name) for name, _ in written[len(picture.labels) :]]
    low, high = low[: len(obstacles)], high[: len(obstacles)]
    for arrow in picture.arrows:
        points = np.array(arrow.points(30))
        own = {arrow.source, arrow.target, arrow.weight.symbol if arrow.weight else ""}
        met = ((points[:, None] > low) & (points[:, None] < high)).all(-1).any(0)
        for i in np.flatnonzero(met):
            key, name = obstacles[i]
            assert key in own, f"the arrow from {arrow.source} to {arrow.target} runs through {name}"
        assert ((points > least) & (points < largest)).all()


def check_texts_as_drawn(picture):
    """What the plan takes for a text's width is no less than what is drawn."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    for text in (*picture.labels, *picture.texts):
        font = FontProperties(family="DejaVu Sans", size=text.size, weight="bold" if text.bold else "normal")
        width = text_to_path.get_text_width_height_descent(text.text, font, ismath=False)[0]
        assert width <= text.box[1] - text.box[0] + 2, text.text
    for node in picture.nodes.values():
        if node.text:
            font = FontProperties(family="DejaVu Sans", size=10.5)
            assert text_to_path.get_text_width_height_descent(node.text, font, ismath=False)[0] < node.width


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_every_variant_has_room(variant):
    for picture in (folded(variant.model), unfolded(variant.model), unfolded(variant.model, 400)):
        check_places(picture)
        check_texts_as_drawn(picture)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_every_variant_is_drawn_for_an_input(variant, rng, tmp_path):
    inputs = variant.inputs(rng)
    traced = explaining.trace(variant.model, inputs)
    picture = unfolded(variant.model, traced=traced)
    check_places(picture)
    for name, array in inputs.items():
        if variant.model.get_layer(name).output.shape[1] is None:
            mask = variant.mask(name, array)
            used = [True] * array.shape[1] if mask is None else mask[0].tolist()
            assert [picture.nodes[name, t].is_masked for t in range(1, len(used) + 1)] == [not one for one in used]
    explaining.draw_network(variant.model, tmp_path / "u.svg", unfolded=True, traced=traced)
    found = texts(tmp_path / "u.svg")
    assert Counter(node.text for node in picture.nodes.values() if node.text) <= Counter(found)
    assert {arrow.weight.symbol for arrow in picture.arrows if arrow.weight} <= set(found)
    explaining.draw_network(variant.model, tmp_path / "f.svg")
    assert {"readout", variant.model.name} <= set(texts(tmp_path / "f.svg"))


@pytest.mark.parametrize("variant", [v for v in VARIANTS if hasattr(v.module, "teacher_forced")], ids=str)
def test_teacher_forced_twins_are_drawn(variant):
    twin = architecture_module(variant.architecture).teacher_forced(variant.model)
    for picture in (folded(twin), unfolded(twin), unfolded(twin, 50)):
        check_places(picture)
    picture = unfolded(twin)
    assert picture.nodes["target", 1].text == "y*₀" and (("target", 2), ("decoder/rnn", 2), "W") in arrows(picture)
    # The array holds each step's own target, and is fed one step late.
    fed = np.zeros((1, 3), int) if twin.inputs[1].dtype == "int32" else np.zeros((1, 3, variants.OUTPUTS))
    traced = explaining.trace(twin, {"inputs": np.ones((1, variants.FEATURES)), "target": fed + 1})
    written = unfolded(twin, traced=traced, tokens={"target": ["a", "b", "c"]}).texts
    assert {"0", "a", "b"} <= {text.text for text in written} and "c" not in {text.text for text in written}


# What is linked to what


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_weights_are_those_of_the_layers(variant):
    """Every kernel of the model is on an arrow, with its shape; and in a picture each colour is one weight's."""
    picture = unfolded(variant.model)
    kernels = Counter(
        tuple(weight.shape)
        for weight in variant.model.weights
        if len(weight.shape) == 2 and weight.path.split("/")[-1] in ("kernel", "recurrent_kernel", "embeddings")
    )
    weights = {arrow.weight for arrow in picture.arrows if arrow.weight}
    assert Counter(weight.shape for weight in weights) == kernels
    assert len({weight.symbol for weight in weights}) == len(weights) == len(picture.keys)
    assert {text.text for text in picture.labels} - {"="} == {weight.symbol for weight in weights}
    per_letter = Counter(weight.letter for weight in weights)
    if max(per_letter[letter] for letter in "WU") <= 6 and max(per_letter[letter] for letter in "DA") <= 4:
        assert len(set(picture.colors.values())) == len(weights)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_states_go_with_time(variant):
    picture = unfolded(variant.model)
    for arrow in picture.arrows:
        source, target = picture.nodes[arrow.source], picture.nodes[arrow.target]
        if arrow.weight and arrow.weight.letter == "U":
            backwards = arrow.target[0].endswith("/backward")
            assert (target.x < source.x) == backwards and source.y == target.y
        elif arrow.how == "step" and arrow.target[1] is not None:
            assert arrow.source[1] == arrow.target[1] and target.y < source.y
    for name, layer in network(variant.model).parts.items():
        if layer.role == "state":
            own = [arrow for arrow in picture.arrows if arrow.how == "recur" and arrow.target[0] == name]
            assert len(own) == 4 and {arrow.weight.symbol for arrow in own} == {layer.symbol("U")}


def test_many_to_one():
    assert arrows(unfolded(rnnzoo.many_to_one(features=2, outputs=1), 3)) == {
        *((("hidden", t), ("hidden", t + 1), "U") for t in range(3)),
        *((("inputs", t), ("hidden", t), "W") for t in (1, 2, 3)),
        (("hidden", 3), ("readout", None), "V"),
    }
    assert arrows(folded(rnnzoo.many_to_one(features=2, outputs=1))) == {
        (("hidden", "t"), ("hidden", "t"), "U"),
        (("inputs", "t"), ("hidden", "t"), "W"),
        (("hidden", "t"), ("readout", None), "V"),
    }


def test_both_directions_meet_where_they_end():
    picture = unfolded(rnnzoo.bidirectional(features=2, outputs=1, return_sequences=False))
    joined = ("[hidden/forward, hidden/backward] final", None)
    found = arrows(picture)
    assert (("hidden/forward", 4), joined, "plain") in found and (("hidden/backward", 1), joined, "plain") in found
    assert (joined, ("readout", None), "V") in found
    assert (("hidden/backward", 5), ("hidden/backward", 4), "U") in found
    assert (("hidden/forward", 0), ("hidden/forward", 1), "U") in found


def test_outputs_are_fed_back():
    picture = unfolded(rnnzoo.one_to_many(features=2, outputs=3, timesteps=3))
    found = arrows(picture)
    assert {arrow for arrow in found if arrow[2] == "W"} == {(("readout", t), ("decoder/rnn", t + 1), "W") for t in (1, 2)}
    assert (("inputs", None), ("encoder", None), "A") in found and (("encoder", None), ("decoder/rnn", 1), "U") in found
    assert picture.nodes["encoder", None].text == "h₀"
    assert (("readout", "t"), ("decoder/rnn", "t"), "W") in arrows(
        folded(rnnzoo.one_to_many(features=2, outputs=3, timesteps=3))
    )


def test_the_encoder_hands_its_state_over():
    found = arrows(unfolded(rnnzoo.encoder_decoder(features=2, outputs=3, layers=2), 3))
    assert {arrow for arrow in found if arrow[2] == "same"} == {
        (("encoder", 3), ("decoder", 0), "same"),
        (("encoder_2", 3), ("decoder_2", 0), "same"),
    }
    assert (("decoder", 0), ("decoder", 1), "U") in found and (("target", 1), ("decoder", 1), "W") in found
    bridged = arrows(unfolded(rnnzoo.encoder_decoder(features=2, outputs=3, layers=2, hidden=(4,)), 3))
    assert {arrow for arrow in bridged if arrow[2] in "AD"} == {
        (("encoder_2", 3), ("hidden", None), "D"),
        (("hidden", None), ("state", None), "A"),
        (("hidden", None), ("state_2", None), "A"),
    }
    assert (("state_2", None), ("decoder_2", 1), "U") in bridged


def test_the_state_stands_still_where_masked():
    model = rnnzoo.many_to_one(vocabulary_size=5, outputs=1)
    picture = unfolded(model, traced=explaining.trace(model, [[1, 2, 0, 0]]))
    found = arrows(picture)
    assert (("hidden", 2), ("hidden", 3), "same") in found and (("hidden", 3), ("hidden", 4), "same") in found
    assert not [arrow for arrow in found if arrow[2] == "W" and arrow[1][1] > 2]
    assert (("hidden", 4), ("readout", None), "V") in found
    both = rnnzoo.bidirectional(vocabulary_size=5, outputs=1)
    found = arrows(unfolded(both, traced=explaining.trace(both, [[1, 2, 0]])))
    assert (("hidden/backward", 4), ("hidden/backward", 3), "same") in found
    assert (("hidden/backward", 3), ("hidden/backward", 2), "U") in found


def test_long_sequences_are_shortened():
    assert visible(8) == list(range(1, 9)) and visible(9) == visible(400)[:3] + ["…", 7, 8, 9]
    model = rnnzoo.encoder_decoder(vocabulary_size=5, outputs=5)
    traced = explaining.trace(model, {"source": np.ones((1, 400)), "target": np.ones((1, 5))})
    picture = unfolded(model, traced=traced)
    assert [t for name, t in picture.nodes if name == "source"] == [1, 2, 3, "…", 398, 399, 400]
    assert [t for name, t in picture.nodes if name == "target"] == [1, 2, 3, 4, 5]
    assert (("encoder", 3), ("encoder", "…"), "U") in arrows(picture)
    assert (("encoder", "…"), ("encoder", 398), "U") in arrows(picture)
    assert any("timesteps 4 to 397 of source" in text.text for text in picture.texts)


def test_long_tokens_fit():
    model = rnnzoo.many_to_many(vocabulary_size=5, outputs=1)
    traced = explaining.trace(model, [[1, 2, 3, 4]])
    tokens = {"inputs": ["<start>", "international", "a" * 50, "<end>"]}
    picture = unfolded(model, traced=traced, tokens=tokens, outputs=["<unknown>", " ", "$x$", "\n"])
    check_places(picture)
    found = {text.text for text in picture.texts}
    assert {"<start>", "international", "a" * 15 + "…", "<end>", "<unknown>", "␣", "$x$", "↵"} <= found


def test_a_loaded_model_is_drawn_alike(tmp_path):
    model = rnnzoo.one_to_many(features=2, outputs=3, timesteps=5, layers=2)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert arrows(unfolded(loaded)) == arrows(unfolded(model))


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_same_call_gives_the_same_bytes(suffix, tmp_path):
    import matplotlib

    model = rnnzoo.bidirectional(vocabulary_size=5, outputs=1, layers=2)
    traced = explaining.trace(model, [[1, 2, 3, 0]])
    for i, settings in enumerate([{}, {"font.family": "serif", "svg.fonttype": "path", "lines.linewidth": 9}]):
        with matplotlib.rc_context(settings):
            explaining.draw_network(model, tmp_path / f"{i}.{suffix}", unfolded=True, traced=traced)
            explaining.plot_states(traced, tmp_path / f"h{i}.{suffix}")
    for name in ("", "h"):
        assert (tmp_path / f"{name}0.{suffix}").read_bytes() == (tmp_path / f"{name}1.{suffix}").read_bytes()


# What is refused


def test_what_cannot_be_drawn(tmp_path, monkeypatch):
    model = rnnzoo.many_to_one(features=2, outputs=1)
    traced = explaining.trace(model, np.zeros((1, 3, 2)))
    path = tmp_path / "x.svg"
    inputs = keras.Input((3, 2))
    gru = keras.Model(inputs, keras.layers.GRU(2, name="gated")(inputs))

    def refused(said, *arguments, **more):
        with pytest.raises(InputError, match=said):
            explaining.draw_network(*arguments, **more)

    refused(r"layer 'gated' .GRU. cannot be drawn over time; what can are", gru, path)
    refused("no functional model", keras.Sequential([keras.layers.Dense(2)]), path)
    refused("expected a keras.Model", "digit-sum", path)
    refused(r"\.png or \.svg", model, tmp_path / "x.pdf")
    refused("timesteps must be a positive integer, not 0", model, path, unfolded=True, timesteps=0)
    refused("a folded network shows no input", model, path, traced=traced)
    other = rnnzoo.encoder_decoder(features=2, outputs=1)
    refused("of another model: its inputs are inputs; expected source, target", other, path, unfolded=True, traced=traced)
    with pytest.raises(InputError, match="nothing in the model recurs"):
        explaining.plot_states(explaining.trace(rnnzoo.one_to_one(features=2, outputs=1), [[0, 0]]), path)
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        explaining.plot_states(traced, tmp_path / "x.pdf")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"'rnnzoo\[plot\]'"):
        explaining.draw_network(model, path)
    with pytest.raises(MissingExtraError, match=r"'rnnzoo\[plot\]'"):
        explaining.plot_states(traced, path)
    assert not list(tmp_path.iterdir())


# Heat maps


@pytest.mark.parametrize(("units", "timesteps"), [(1, 1), (1, 4), (128, 40), (3, 1000), (700, 5)])
def test_heat_maps_of_any_size(units, timesteps, tmp_path):
    from matplotlib.image import imread

    model = rnnzoo.many_to_one(vocabulary_size=5, outputs=1, units=units)
    ids = np.ones((1, timesteps), int)
    tokens = {"inputs": [f"{t % 7}" for t in range(timesteps)]}
    explaining.plot_states(explaining.trace(model, ids), tmp_path / "x.svg", tokens=tokens, title="title")
    found = texts(tmp_path / "x.svg")
    assert any(text.startswith(f"hidden: {units} unit") for text in found) and "title" in found
    explaining.plot_states(explaining.trace(model, ids), tmp_path / "x.png", tokens=tokens)
    picture = imread(tmp_path / "x.png")
    assert 100 < picture.shape[0] < 1000 and 500 < picture.shape[1] < 2500


def test_heat_maps_say_what_they_show(tmp_path):
    told = explaining.explain("digit-sum-both-ways", "7172")
    explaining.plot_states(told.trace, tmp_path / "x.svg", tokens=told.tokens)
    found = texts(tmp_path / "x.svg")
    assert {"8", "15", "17", "10", "9", "2"} <= set(found)  # the states, which are the sums
    assert any("hidden/backward" in text and "from the last timestep to the first" in text for text in found)
    model = rnnzoo.many_to_one(vocabulary_size=5, outputs=1, units=2)
    explaining.plot_states(explaining.trace(model, [[1, 2, 0, 0]]), tmp_path / "y.svg")
    assert any("masked" in text for text in texts(tmp_path / "y.svg"))
    explaining.plot_states(explaining.trace(model, [[0, 0]]), tmp_path / "z.png")  # nothing is used


def test_heat_maps_of_states_that_explode(tmp_path):
    model = rnnzoo.many_to_one(features=1, outputs=1, units=1, activation="linear")
    model.get_layer("hidden").set_weights([np.ones((1, 1)), np.full((1, 1), 1e10), np.zeros(1)])
    with np.errstate(over="ignore", invalid="ignore"):
        traced = explaining.trace(model, np.ones((1, 60, 1)))
    assert not np.isfinite(traced.layers["hidden"].states).all() or np.abs(traced.layers["hidden"].states).max() > 1e100
    explaining.plot_states(traced, tmp_path / "x.svg")


# The commands


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["explain", "digit-sum", "1294", "--draw", "unfolded"], {"digit-sum: 1294", "9", "16", "h₄", "W", "U", "V"}),
        (["explain", "digit-sum", "--draw", "unfolded"], {"digit-sum", "x₄", "h₀"}),
        (["explain", "digit-sum", "--draw", "folded"], {"hₜ", "xₜ", "U"}),
        (["explain", "addition", "39+12", "--draw", "unfolded"], {"<start>", "<end>", "s₀", "y*₀", "Uᵉ", "Uᵈ", "="}),
        (["explain", "number-spelling", "42", "--draw", "states"], {"number-spelling: 42", "unit", "w"}),
        (["build", "deep", "--draw", "unfolded"], {"deep", "h₄⁽²⁾", "U⁽¹⁾", "D"}),
        (["build", "digit-sum", "--draw", "folded"], {"digit-sum", "hₜ"}),
    ],
)
def test_the_commands_draw(arguments, expected, tmp_path):
    path = tmp_path / "x.svg"
    result = run(*arguments, "-o", path)
    assert result.exit_code == 0, result.output
    assert str(path) in result.output and expected <= set(texts(path))
    before = path.read_bytes()
    again = run(*arguments, "-o", path)
    assert again.exit_code == 2 and "exists" in again.output and path.read_bytes() == before
    assert run(*arguments, "-o", path, "--force").exit_code == 0 and path.read_bytes() == before


def test_a_saved_model_is_drawn(tmp_path):
    model = rnnzoo.many_to_many(features=1, outputs=1, units=2)
    model.save(tmp_path / "mine.keras")
    for kind, sample in [("folded", []), ("unfolded", []), ("unfolded", ["[[1], [2.5]]"]), ("states", ["[[1], [2.5]]"])]:
        result = run("explain", tmp_path / "mine.keras", *sample, "--draw", kind, "-o", tmp_path / "x.svg", "--force")
        assert result.exit_code == 0, result.output
        assert "mine" in texts(tmp_path / "x.svg")
        assert ("2.5" in texts(tmp_path / "x.svg")) == (kind == "unfolded" and bool(sample))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["explain", "digit-sum", "--draw", "folded"], "--draw folded needs a file to draw: give -o FILE.svg"),
        (["build", "deep", "--draw", "folded"], "--draw folded needs a file to draw: give -o FILE.svg"),
        (["explain", "digit-sum", "12", "--draw", "folded", "-o", "x.svg"], "leave SAMPLE out"),
        (["explain", "digit-sum", "--draw", "states", "-o", "x.svg"], "give a SAMPLE"),
        (["explain", "digit-sum", "--draw", "unfolded", "--gradients", "-o", "x.svg"], "neither --gradients"),
        (["explain", "digit-sum", "12", "--draw", "unfolded", "--json", "-o", "x.svg"], "nor --json"),
        (["explain", "digit-sum", "--draw", "unfolded", "--answer", "3", "-o", "x.svg"], "--answer goes with a SAMPLE"),
        (["explain", "digit-sum", "12", "--draw", "sideways", "-o", "x.svg"], "is not one of"),
        (["explain", "digit-sum", "12", "--draw", "unfolded", "-o", "x.pdf"], "Error: x.pdf: expected a name that ends"),
        (["build", "deep", "--draw", "unfolded", "-o", "x.keras"], "Error: x.keras: expected a name that ends"),
        (["explain", "digit-sum", "1x", "--draw", "states", "-o", "x.svg"], "'x' at position 2"),
        (["explain", "digit-summ", "--draw", "folded", "-o", "x.svg"], "did you mean 'digit-sum'"),
        (["explain", "seven-segment", "1110111", "--draw", "states", "-o", "x.svg"], "nothing in the model recurs"),
        (["explain", "none.keras", "--draw", "folded", "-o", "x.svg"], "no such file"),
    ],
)
def test_bad_combinations_are_one_line(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2 and said in result.output and "Traceback" not in result.output
    assert not list(tmp_path.iterdir())


# The README's


@pytest.mark.parametrize("name", IN_README)
def test_the_pictures_of_the_readme_are_current(name, tmp_path):
    kept = PICTURES / f"{name}.svg"
    command = " ".join(
        ["rnnzoo build", name, *IN_README[name], "--draw unfolded --force -o", f"rnnzoo/architectures/{name}.svg"]
    )
    overrides = IN_README[name][1:]
    explaining.draw_network(start(name, overrides)[0], tmp_path / "x.svg", unfolded=True, title=name)
    assert kept.is_file() and Counter(texts(kept)) == Counter(texts(tmp_path / "x.svg")), f"draw it again: `{command}`"
    assert f"]({kept.relative_to(PICTURES.parent.parent).as_posix()})" in (PICTURES.parent.parent / "README.md").read_text()
