"""Presets: found, validated, frozen."""

import shutil

import pytest

import rnnzoo
from rnnzoo import registry, toml
from rnnzoo.registry import list_architectures, list_presets, list_tasks, load_preset

MINIMAL = """
description = "a test"
architecture = "many_to_one"
task = "digit_sum"
[training]
loss = "mean_squared_error"
learning_rate = 0.1
epochs = 2
"""


@pytest.fixture
def folder(tmp_path):
    def write(text=MINIMAL):
        path = tmp_path / "mine"
        path.mkdir(exist_ok=True)
        (path / "preset.toml").write_text(text)
        return path

    return write


def test_what_is_found():
    assert {"digit-sum", "addition", "seven-segment"} <= set(list_presets())
    assert list_presets("digit-*") == [name for name in list_presets() if name.startswith("digit-")]
    assert list_presets("digit_sum_r*") == ["digit-sum-running"]
    assert {"one_to_one", "encoder_decoder"} <= set(list_architectures())
    assert "digit_sum" in list_tasks()


@pytest.mark.parametrize("name", list_presets())
def test_names_are_one_with_dashes_or_underscores(name):
    assert load_preset(name) == load_preset(name.replace("-", "_")) == load_preset(name.upper())


@pytest.mark.parametrize("name", list_presets())
def test_the_written_form_reads_back(name, tmp_path):
    preset = load_preset(name)
    (tmp_path / "preset.toml").write_text(toml.dumps({"name": name, **preset.content()}))
    assert load_preset(tmp_path).model_copy(update={"folder": preset.folder}) == preset


def test_a_preset_is_frozen():
    preset = load_preset("digit-sum")
    with pytest.raises(ValueError, match="frozen"):
        preset.task = "addition"
    with pytest.raises(ValueError, match="frozen"):
        preset.training.epochs = 3


def test_one_more_preset_is_one_more_folder(tmp_path, monkeypatch):
    """The zoo, with one more folder in it, has one more preset."""
    zoo = tmp_path / "presets"
    shutil.copytree(registry.presets_folder(), zoo)
    (zoo / "one-more").mkdir()
    (zoo / "one-more" / "preset.toml").write_text(MINIMAL)
    monkeypatch.setattr(registry, "presets_folder", lambda: zoo)
    assert "one-more" in list_presets()
    preset = load_preset("one-more")
    assert preset.name == "one-more" and not preset.has_weights
    assert rnnzoo.build("one-more").name == "one_more"


def test_overrides():
    preset = load_preset("digit-sum", ["training.epochs=5", "model.activation=relu", "task_options.max_timesteps=3"])
    assert preset.training.epochs == 5
    assert preset.model["activation"] == "relu"
    assert preset.task_options["max_timesteps"] == 3
    assert load_preset("digit-sum-seq2seq", ["model.hidden=[8, 9]"]).model["hidden"] == (8, 9)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epoch=5", r"unknown key training.epoch \(did you mean 'epochs'\?\)"),
        ("trainin.epochs=5", r"unknown key trainin \(did you mean 'training'\?\)"),
        ("model.unit=5", r"unknown key model.unit \(did you mean 'units'\?\)"),
        ("task_options.max_timestep=5", r"unknown key task_options.max_timestep \(did you mean 'max_timesteps'\?\)"),
        ("training.epochs=five", "training.epochs: should be a valid integer, not 'five'"),
        ("training.epochs=1.5", "training.epochs: should be a valid integer"),
        ("training.epochs=0", "training.epochs: should be greater than or equal to 1"),
        ("training.epochs=true", "training.epochs: should be a valid integer"),
        ("training.learning_rate=-1", "training.learning_rate: should be greater than 0"),
        ("training.schedule=linear", "training.schedule: should be 'constant' or 'cosine', not 'linear'"),
        ("model.units=abc", "model.units: should be a valid integer, not 'abc'"),
        ("model.use_bias=1", "model.use_bias: should be a valid boolean"),
        ("model=3", "model"),
        ("architecture=many_to_on", r"unknown architecture 'many_to_on' \(did you mean 'many_to_one'\?\)"),
        ("task=digit_sun", r"unknown task 'digit_sun' \(did you mean 'digit_sum'\?\)"),
        ("training", "expected KEY=VALUE"),
        ("training.epochs.x=3", "is a value, not a table"),
    ],
)
def test_a_wrong_override(override, message):
    with pytest.raises(rnnzoo.InputError, match=message) as error:
        load_preset("digit-sum", [override])
    assert "\n" not in str(error.value) and "--set" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL + "epoch = 3", r"preset.toml: unknown key training.epoch \(did you mean 'epochs'\?\)"),
        (MINIMAL.replace("epochs = 2", ""), "preset.toml: training.epochs: field required"),
        (MINIMAL + "[model]\nunitz = 3", r"unknown key model.unitz \(did you mean 'units'\?\)"),
        ("nonsense", "preset.toml"),
        ("", "field required"),
        ("name = 'a/b'\n" + MINIMAL, r"name: expected one line without / and \\ that does not begin with a dot, not 'a/b'$"),
        (MINIMAL + "batch_size = 'big'", "training.batch_size: should be a valid integer, not 'big'"),
    ],
)
def test_a_wrong_file(folder, text, message):
    with pytest.raises(rnnzoo.InputError, match=message) as error:
        load_preset(folder(text))
    assert "\n" not in str(error.value)


def test_an_unknown_name(tmp_path):
    with pytest.raises(rnnzoo.InputError, match=r"unknown preset 'digit-sun' \(did you mean 'digit-sum'\?\)"):
        load_preset("digit-sun")
    with pytest.raises(rnnzoo.InputError, match="no such folder"):
        load_preset("runs/absent")
    with pytest.raises(rnnzoo.InputError, match="the folder is no preset"):
        load_preset(tmp_path)


def test_factory_arguments_are_read_off_the_source():
    """What is read without importing TensorFlow is what Python says the signature is."""
    import inspect

    from rnnzoo.building import factory

    for architecture in list_architectures():
        parameters = inspect.signature(factory(architecture)).parameters
        found = registry.factory_arguments(architecture)
        assert list(found) == list(parameters)
        for name, (annotation, default, has_default) in found.items():
            assert annotation == parameters[name].annotation
            assert has_default == (parameters[name].default is not inspect.Parameter.empty)
            assert not has_default or default == parameters[name].default


def test_task_arguments_are_read_off_the_source():
    import importlib
    import inspect

    from rnnzoo import _signatures, tasks

    for name in list_tasks():
        cls = getattr(importlib.import_module(f"rnnzoo.tasks.{name}"), tasks.class_name(name))
        parameters = inspect.signature(cls).parameters
        assert list(_signatures.task_arguments(name)) == list(parameters)


def test_one_more_architecture_is_one_more_module(tmp_path, monkeypatch):
    """A module beside the others is found, read, built from a preset and shown by the command line without any list."""
    from rnnzoo import _signatures, architectures
    from rnnzoo.building import start

    folder = tmp_path / "architectures"
    folder.mkdir()
    source = (_signatures.PACKAGE / "architectures" / "many_to_one.py").read_text()
    (folder / "one_more.py").write_text(source.replace("many_to_one", "one_more"))
    for name in list_architectures():
        (folder / f"{name}.py").write_text((_signatures.PACKAGE / "architectures" / f"{name}.py").read_text())
    shutil.copytree(_signatures.PACKAGE / "tasks", tmp_path / "tasks")
    zoo = registry.presets_folder()
    monkeypatch.setattr(registry, "presets_folder", lambda: zoo)
    monkeypatch.setattr(_signatures, "PACKAGE", tmp_path)
    monkeypatch.setattr(architectures, "__path__", [*architectures.__path__, str(folder)])
    assert "one_more" in list_architectures()
    model, defaults = start("one-more", ["units=3"])
    assert model.name == "one_more" and defaults == {"features": 8, "outputs": 4}
    assert rnnzoo.build(load_preset("digit-sum", ["architecture=one_more"])).count_params() == 13
