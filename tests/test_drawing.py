"""Every architecture as a diagram: what it says, what feeds what, and that nothing lies on top of anything else."""

import collections
import importlib.util
import itertools
import sys
from xml.etree import ElementTree

import keras
import numpy as np
import pytest
from keras import ops

import rnnzoo
from rnnzoo import _layout, drawing
from rnnzoo.building import architecture_module, factory
from rnnzoo.errors import InputError, MissingExtraError
from rnnzoo.registry import factory_arguments, list_architectures

needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="drawing needs matplotlib, the extra `plot`"
)
# What an architecture is drawn with, where its factory takes such arguments.
VARIANTS = [
    {"features": 4},
    {"features": 4, "mask_value": 0.0, "layers": 2},
    {"features": 4, "layers": 3, "dropout": 0.1},
    {"vocabulary_size": 7},
    {"vocabulary_size": 7, "embedding": 4, "layers": 3},
    {"vocabulary_size": 7, "bidirectional": True, "layers": 2},
    {"vocabulary_size": 7, "return_sequences": True, "layers": 2},
    {"vocabulary_size": 7, "return_sequences": False},
    {"vocabulary_size": 7, "hidden": (16,), "layers": 2},
    {"features": 4, "feedback": "token", "layers": 3},
]


def cases():
    """Every architecture with each variant that it takes."""
    found = []
    for name in list_architectures():
        taken = factory_arguments(name)
        common = {"outputs": 3, "timesteps": 5} if "timesteps" in taken else {"outputs": 3}
        for variant in VARIANTS:
            if set(variant) <= set(taken):
                label = ",".join(f"{key}={value}" for key, value in variant.items())
                found.append(pytest.param(name, {**common, **variant}, id=f"{name}({label})"))
    return found


@pytest.fixture(scope="module")
def models():
    """Builds each model once."""
    built = {}

    def build(name, arguments):
        key = (name, tuple(arguments.items()))
        if key not in built:
            built[key] = factory(name)(**arguments)
        return built[key]

    return build


def tangled_model():
    """What the factories have none of: plain operations, layers called twice, two outputs, an image, odd names."""
    a, b = keras.Input((None, 4), name="a_$x$_&"), keras.Input((None, 4), name="b")
    image = keras.Input((None, None, 3), name="image")
    backward = keras.layers.SimpleRNN(8, go_backwards=True, name="backward")
    twice = keras.layers.Dense(8, name="twice")
    joined = ops.concatenate([backward(a) + backward(b), twice(twice(backward(a)))], axis=-1)
    pooled = keras.layers.GlobalMaxPooling2D(name="pooled")(image)
    last = keras.layers.Dense(1, name="last")(ops.concatenate([joined, pooled], axis=-1))
    early = keras.layers.LSTM(3, name="early")(b)
    return keras.Model([a, b, image], {"last": last, "early": early}, name="tangled")


def texts(path):
    return [element.text for element in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def shown(shape):
    """A shape as it is to be read, of at most three axes."""
    names = [str(size or axis) for size, axis in zip(shape, ("batch", "timesteps", "?"), strict=False)]
    return f"({', '.join(names)})"


def arrows(model):
    return {tuple(edge) for edge in drawing._graph(model)[1]}


@needs_matplotlib
@pytest.mark.parametrize(("name", "arguments"), cases())
def test_drawing_holds_every_layer(name, arguments, models, tmp_path):
    model = models(name, arguments)
    drawing.draw(model, tmp_path / "model.svg")
    found = texts(tmp_path / "model.svg")
    assert model.name in found
    for layer in model.layers:
        assert found.count(layer.name) == 1 + (layer.name == model.name)
        assert any(type(layer).__name__ in text for text in found)
        assert not layer.count_params() or any(text.startswith(f"{layer.count_params():,} parameter") for text in found)
        tensors = keras.tree.flatten(model.outputs if layer.name in model.output_names else layer.output)
        for tensor in tensors:
            assert any(text.startswith(shown(tensor.shape)) for text in found), (layer.name, tensor.shape)
    assert any("Bidirectional(SimpleRNN)" in text for text in found) == (
        name == "bidirectional" or arguments.get("bidirectional", False)
    )


@needs_matplotlib
@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_same_model_gives_same_bytes(suffix, models, tmp_path):
    model = models("encoder_decoder", {"vocabulary_size": 7, "outputs": 3, "layers": 2})
    paths = [tmp_path / f"{i}{suffix}" for i in range(2)]
    for path in paths:
        drawing.draw(model, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@needs_matplotlib
@pytest.mark.parametrize("name", list_architectures())
def test_png_is_a_picture(name, models, tmp_path):
    from matplotlib.image import imread

    path = tmp_path / "model.png"
    drawing.draw(models(name, next(case.values[1] for case in cases() if case.values[0] == name)), path)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    grey = imread(path)[..., :3].mean(-1)
    assert min(grey.shape) > 300
    assert (grey < 0.3).mean() > 0.005
    rim = np.concatenate([grey[:5].ravel(), grey[-5:].ravel(), grey[:, :5].ravel(), grey[:, -5:].ravel()])
    assert rim.min() == 1  # nothing is cut off


@needs_matplotlib
def test_user_settings_and_pyplot_are_left_alone(models, tmp_path, monkeypatch):
    import matplotlib

    model = models("many_to_one", {"vocabulary_size": 7, "outputs": 3})
    drawing.draw(model, tmp_path / "plain.svg")
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it would now fail
    settings = {
        "font.family": "serif",
        "font.size": 30,
        "text.usetex": True,
        "path.sketch": (1, 100, 2),
        "figure.facecolor": "black",
        "figure.autolayout": True,
        "savefig.bbox": "tight",
        "savefig.transparent": True,
        "svg.fonttype": "path",
        "patch.linewidth": 5,
    }
    with matplotlib.rc_context(settings):
        drawing.draw(model, tmp_path / "set.svg")
        assert matplotlib.rcParams["text.usetex"]
    assert (tmp_path / "plain.svg").read_bytes() == (tmp_path / "set.svg").read_bytes()


def test_arrows_of_many_to_one():
    assert arrows(rnnzoo.many_to_one(vocabulary_size=7, outputs=3, layers=2)) == {
        ("inputs", "inputs_one_hot", "data"),
        ("inputs", "inputs_mask", "data"),
        ("inputs_one_hot", "hidden", "data"),
        ("inputs_mask", "hidden", "mask"),
        ("hidden", "hidden_2", "data"),
        ("inputs_mask", "hidden_2", "mask"),
        ("hidden_2", "readout", "data"),
    }


def test_arrows_of_encoder_decoder():
    assert arrows(rnnzoo.encoder_decoder(features=4, outputs=3, mask_value=0.0, hidden=(16,))) == {
        ("source", "source_mask", "data"),
        ("source", "encoder", "data"),
        ("source_mask", "encoder", "mask"),
        ("encoder", "hidden", "data"),
        ("hidden", "state", "data"),
        ("state", "decoder", "data"),
        ("target", "decoder", "data"),
        ("decoder", "readout", "data"),
    }


def test_arrows_of_one_to_many():
    """The readout is called twice: its weights go up to the decoder, and the encoder does not feed it."""
    model = rnnzoo.one_to_many(features=4, outputs=3, timesteps=5)
    assert arrows(model) == {
        ("inputs", "encoder", "data"),
        ("encoder", "decoder", "data"),
        ("readout", "decoder", "weights"),
        ("decoder", "readout", "data"),
    }
    boxes, _ = drawing._graph(model)
    assert [boxes[name].row for name in ("inputs", "encoder", "decoder", "readout")] == [0, 1, 2, 3]


def test_calls_by_other_models_are_left_out():
    model = rnnzoo.one_to_many(features=4, outputs=3, timesteps=5)
    before = drawing._graph(model)
    architecture_module("one_to_many").teacher_forced(model)
    assert drawing._graph(model) == before


@pytest.mark.parametrize("name", ["one_to_many", "encoder_decoder"])
def test_loaded_model_is_drawn_alike(name, models, tmp_path):
    model = models(name, {"features": 4, "outputs": 3} | ({"timesteps": 5} if name == "one_to_many" else {}))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert arrows(loaded) == arrows(model)
    assert drawing._graph(loaded)[0] == drawing._graph(model)[0]


def test_loops_show_the_directions_of_time():
    def loops(model, name):
        return drawing._graph(model)[0][name].loops

    assert loops(rnnzoo.many_to_one(features=4, outputs=3), "hidden") == ("forward",)
    assert loops(rnnzoo.bidirectional(features=4, outputs=3), "hidden") == ("forward", "backward")
    assert loops(rnnzoo.one_to_many(features=4, outputs=3, timesteps=5), "decoder") == ("forward",)
    assert loops(rnnzoo.one_to_one(features=4, outputs=3), "hidden") == ()
    assert loops(tangled_model(), "backward") == ("backward",)
    assert loops(tangled_model(), "early") == ("forward",)


def check_places(model):
    """Inputs stand above, outputs below, and nothing lies on anything else."""
    boxes, edges = drawing._graph(model)
    rows = [box.row for box in boxes.values()]
    assert all((box.row == 0) == (box.role == "input") for box in boxes.values())
    assert all(box.is_output for box in boxes.values() if box.row == max(rows))
    sizes = {name: drawing._size(box.lines, box.loops) for name, box in boxes.items()}
    assert all(sizes[name][0] - drawing._size(box.lines)[0] > 35.9 for name, box in boxes.items() if box.loops)
    check_layout(boxes, edges, sizes)


def check_layout(boxes, edges, sizes):
    """Nothing that is drawn lies on or passes through a box or leaves the page, and arrows arrive where they should."""
    places, lines, (width, height) = _layout.layout(boxes, edges, sizes, (200.0, 50.0))
    assert sorted(boxes, key=lambda name: places[name][1]) == sorted(boxes, key=lambda name: boxes[name].row)
    spans = {
        name: (x - sizes[name][0] / 2, x + sizes[name][0] / 2, y - sizes[name][1] / 2, y + sizes[name][1] / 2)
        for name, (x, y) in places.items()
    }
    for left, right, upper, lower in spans.values():
        assert left > 0 and right < width and upper > 50 and lower < height
    for one, other in itertools.combinations(spans.values(), 2):
        assert one[1] < other[0] or other[1] < one[0] or one[3] < other[2] or other[3] < one[2]

    t = np.linspace(0, 1, 50)[:, None]
    for points, _, _ in lines:
        p0, p1, p2, p3 = np.array(points)
        middle = (p1[1] + p2[1]) / 2
        curve = (1 - t) ** 3 * p1 + 3 * (1 - t) ** 2 * t * [p1[0], middle] + 3 * (1 - t) * t**2 * [p2[0], middle] + t**3 * p2
        path = np.concatenate([p0 + t * (p1 - p0), curve, p2 + t * (p3 - p2)])
        assert p0[0] == p1[0] and p2[0] == p3[0]
        for left, right, upper, lower in spans.values():
            inside = (path > (left + 0.01, upper + 0.01)) & (path < (right - 0.01, lower - 0.01))
            assert not inside.all(-1).any()
        assert (path > 0).all() and (path < (width, height)).all()
    # Heads touch the upper rim of what is fed from above, and the lower rim of what is fed from below.
    heads = collections.Counter()
    for points, kind, has_head in lines:
        (_, start), (x, end) = points[0], points[-1]
        met = [
            name
            for name, (left, right, upper, lower) in spans.items()
            if left < x < right and abs(end - (upper if end > start else lower)) < 0.01
        ]
        assert len(met) == has_head or not has_head
        heads.update((name, kind) for name in met if has_head)
    expected = set()
    for source, target, kind in edges:
        rows_up = boxes[source].row - boxes[target].row
        # Arrows that go up several rows to one box share their way, and their head.
        expected.add((target, kind, "shared" if rows_up > 1 else source))
    assert heads == collections.Counter((target, kind) for target, kind, _ in expected)


@needs_matplotlib
@pytest.mark.parametrize(("name", "arguments"), cases())
def test_arrows_run_around_boxes(name, arguments, models):
    check_places(models(name, arguments))


@needs_matplotlib
def test_arrows_run_around_boxes_in_other_models():
    check_places(tangled_model())
    features = [keras.Input((8,), name="dense_inputs")]
    for i in range(8):
        x = keras.layers.Concatenate(name=f"joined_{i}")(features) if i else features[0]
        features.append(keras.layers.Dense(8, name=f"layer_{i}")(x))
    check_places(keras.Model(features[0], features[-1]))


@pytest.mark.parametrize("seed", range(20))
def test_arrows_run_around_boxes_at_random(seed):
    """Graphs that no factory makes: many arrows across many rows, some of them upwards."""
    rng = np.random.default_rng(seed)
    names = [f"box_{i}" for i in range(14)]
    rows = [*range(6), *rng.integers(0, 6, 8)]
    boxes = {
        name: drawing._Box((name,), str(rng.choice(["layer", "mask"])), (), False, int(row))
        for name, row in zip(names, rows, strict=True)
    }
    sizes = {name: (float(rng.uniform(40, 200)), float(rng.uniform(20, 80))) for name in names}
    pairs = [(a, b) for a, b in itertools.permutations(names, 2) if boxes[a].row < boxes[b].row]
    chosen = [pairs[i] for i in rng.permutation(len(pairs))[:24]]
    edges = [drawing._Edge(*pair, "mask" if boxes[pair[0]].role == "mask" else "data") for pair in chosen[:21]]
    edges += [drawing._Edge(b, a, "weights") for a, b in chosen[21:]]
    check_layout(boxes, edges, sizes)


@needs_matplotlib
def test_tangled_model(tmp_path):
    boxes, _ = drawing._graph(tangled_model())
    assert boxes["early"].row == boxes["last"].row == max(box.row for box in boxes.values())
    drawing.draw(tangled_model(), str(tmp_path / "model.SVG"))
    found = texts(tmp_path / "model.SVG")
    assert {"a_$x$_&", "(batch, any, any, 3)", "Add", "twice", "early", "last"} <= set(found)


@needs_matplotlib
@pytest.mark.parametrize("name", ["one_to_many", "encoder_decoder"])
def test_models_of_decoding(name, models, tmp_path):
    model = models(name, {"features": 4, "outputs": 3} | ({"timesteps": 5} if name == "one_to_many" else {}))
    for part in architecture_module(name).inference(model):
        drawing.draw(part, tmp_path / "part.png")
        check_places(part)


@needs_matplotlib
def test_model_without_layers(tmp_path):
    inputs = keras.Input((4,), name="alone")
    drawing.draw(keras.Model(inputs, inputs), tmp_path / "model.svg")
    assert "alone" in texts(tmp_path / "model.svg")


@pytest.mark.parametrize("path", ["model.pdf", "model", ".png"])
def test_other_formats_are_refused(path, models):
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        drawing.draw(models("one_to_one", {"features": 4, "outputs": 3}), path)


def test_other_models_are_refused(tmp_path):
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    for model in (Subclassed(), keras.Sequential([keras.layers.Dense(2)])):
        with pytest.raises(InputError, match="functional"):
            drawing.draw(model, tmp_path / "model.png")
    assert not list(tmp_path.iterdir())


def test_missing_matplotlib(models, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError) as error:
        drawing.draw(models("one_to_one", {"features": 4, "outputs": 3}), tmp_path / "model.png")
    assert str(error.value) == "drawing needs matplotlib: pip install 'rnnzoo[plot]'"
    assert not list(tmp_path.iterdir())
