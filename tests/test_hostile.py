"""Input that is meant to do harm, and slips that would: a line that says what is wrong, and nothing else happens.

What is drawn at random is in `benchmarks/fuzz.py`, which also runs for longer.
"""

import hashlib
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import rnnzoo
from rnnzoo.archives import check_zip
from rnnzoo.bounded import checked, first_line, from_json, from_toml
from rnnzoo.cli.main import cli
from rnnzoo.registry import check_size, load_preset, presets_folder

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def fuzz():
    sys.path.insert(0, str(FOLDER))
    try:
        import fuzz

        yield fuzz
    finally:
        sys.path.remove(str(FOLDER))
        sys.modules.pop("fuzz", None)


@pytest.fixture
def sandbox(fuzz, tmp_path):
    with fuzz.Sandbox(tmp_path).entered() as found:
        yield found


def failure(call, *args, **kwargs):
    with pytest.raises(rnnzoo.InputError) as caught:
        call(*args, **kwargs)
    text = str(caught.value)
    assert "\n" not in text
    return text


def ask(*args, **kwargs):
    return CliRunner().invoke(cli, [*map(str, args)], **kwargs)


@pytest.fixture
def mine(tmp_path):
    """A function: text of `preset.toml` -> a folder with it and with digit-sum's weights."""
    folder = tmp_path / "mine"
    shutil.copytree(presets_folder() / "digit-sum", folder)

    def written(change=lambda text: text):
        path = folder / "preset.toml"
        path.write_text(change(path.read_text()))
        return folder

    return written


# Drawn at random, always the same.

QUICK = {"toml": 40, "arguments": 50, "metadata": 15, "recipes": 20, "samples": 6, "data_files": 8, "archives": 25}
QUICK |= {"music": 8, "images": 12, "weights": 10, "keras_files": 8, "checkpoints": 6}


@pytest.mark.parametrize("surface", QUICK)
def test_anything(fuzz, sandbox, surface):
    if surface == "music":
        pytest.importorskip("mido")
    if surface == "images":
        pytest.importorskip("PIL")
    fuzz.drive(surface.replace("_", "-"), sandbox, QUICK[surface])
    assert sum(sandbox.counts.values()) > QUICK[surface] // 2


@pytest.mark.slow
@pytest.mark.parametrize("surface", [*QUICK, "exported"])
def test_anything_for_longer(fuzz, sandbox, surface):
    for package in {"music": ["mido"], "images": ["PIL"], "exported": ["onnx", "onnxruntime", "ai_edge_litert"]}.get(
        surface, []
    ):
        pytest.importorskip(package)
    fuzz.drive(surface.replace("_", "-"), sandbox, 5 * QUICK.get(surface, 12), seed=1)


def test_what_is_right_is_taken(fuzz, sandbox):
    """What is bent and altered is right to begin with: what is refused is refused for that alone."""
    for name, content in fuzz.DATA.items():
        sandbox.fresh()
        path = "mine.txt" if name in fuzz.TEXTUAL else "mine.csv"
        (sandbox.work / path).write_bytes(content)
        result = sandbox.ask("train", name, "--data", path, "-o", "out", out="out")
        assert result.exit_code == 1 and "is not asked here" in result.stderr, (name, result.stderr)
    for name in fuzz.SMALL:
        fuzz.copy_of(name, sandbox.fresh() / "mine")
        (sandbox.work / "mine" / "preset.toml").write_bytes(fuzz.toml_bytes(fuzz.toml_of(name)))
        assert sandbox.ask("info", "mine").exit_code == 0
    sandbox.fresh()
    (sandbox.work / "x.keras").write_bytes(fuzz.keras_file("many-to-one"))
    assert sandbox.ask("explain", "x.keras", "[[0,0,0,0,0,0,0,1]]").exit_code == 0


@pytest.mark.slow
def test_exports_that_are_right_are_taken(fuzz, sandbox):
    for package in ("onnx", "onnxruntime", "ai_edge_litert"):
        pytest.importorskip(package)
    for format, ending in (("onnx", ".onnx"), ("litert", ".tflite")):
        files = dict(fuzz.exports(format)["digit-sum"])
        (sandbox.fresh() / "x").mkdir()
        (sandbox.work / f"x{ending}").write_bytes(files.pop("alone"))
        for name, content in files.items():
            (sandbox.work / "x" / name).write_bytes(content)
        for where in ("x", f"x{ending}"):
            assert "16" in sandbox.ask("run", where, "1294").stdout


def test_every_surface_is_tested(fuzz):
    assert {name.replace("-", "_") for name in fuzz.SURFACES} == {*QUICK, "exported"}


def test_what_is_found_is_found(fuzz, sandbox, monkeypatch):
    """The checks themselves: each of what must not happen is noticed."""
    import click

    def told(function, out=None):
        @click.command()
        def command():
            function()

        sandbox.fresh()
        with pytest.raises(fuzz.Found) as caught:
            sandbox.ask(command=command, out=out, seconds=0.2)
        return str(caught.value)

    def loop():
        while True:
            pass

    def fails(text):
        raise click.ClickException(text)

    precious = sandbox.root / "home" / "precious.txt"
    other = sandbox.root / "tmp" / "other"  # where temporary files may be written, but not stay
    assert "ZeroDivisionError" in told(lambda: 1 / 0)
    assert "takes over" in told(loop)
    assert "changes" in told(lambda: other.write_text("x"))
    other.unlink()
    assert "does what it must not: open" in told(lambda: (sandbox.work / "other").write_text("x"), out="out")
    assert "does what it must not: os.remove" in told(precious.unlink)
    assert "not one line" in told(lambda: fails("one\ntwo"))
    assert "control character" in told(lambda: fails("\x1b[31m"))
    assert "another exit code" in told(lambda: sys.exit(9))
    assert "pickle.find_class" in told(lambda: __import__("pickle").loads(b"cbuiltins\nlen\n."))
    assert "imported" in told(lambda: __import__("evil"))
    assert "os.system" in told(lambda: os.system("true"))


# One by one: what was found, and what an attacker would try first.


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = " + "[" * 40 + "]" * 40, "over 32 levels"),
        ("a = " + "[" * 5_000 + "]" * 5_000, "over 32 levels"),
        ("a = " + "{a = " * 5_000, "over 32 levels"),
        (".".join("a" * 20_000) + " = 1", "a key of over 32 names"),
        ("[" + ".".join("a" * 20_000) + "]", "a key of over 32 names"),
        ("x = {" + ".".join('"a=b"' for _ in range(500)) + " = 1}", "a key of over 32 names"),
        ("a = " + "9" * 5_000, "4300 digits"),
        ("a = 0x" + "f" * 5_000, "over 64 bits"),
        ("a = 1" + "#" * 2**20, "over 1,048,576 characters"),
        ("a = ", "Invalid value"),
    ],
)
def test_toml_is_bounded(fuzz, text, said):
    with fuzz.time_limit(2), pytest.raises(ValueError, match=said):
        from_toml(text)


def test_toml_that_is_long_is_read():
    numbers = ", ".join(["0.125"] * 5_000)
    sentences = 'a "quoted" word. ' * 200
    text = f"a = [{numbers}]\nb = '''\n{sentences}'''\n[c.'d.e'.\"f=g\"]\nh = '{sentences}'\n"
    assert from_toml(text)["c"]["d.e"]["f=g"]["h"] == sentences


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "levels|Expecting"),
        ('{"a":' * 40 + "1" + "}" * 40, "over 32 levels"),
        ("9" * 5_000, "4300 digits"),
        (str(2**64), "over 64 bits"),
        (r'"\ud83d"', "surrogate"),
        (b"\xff", "utf-8"),
        ("{", "Expecting"),
    ],
)
def test_json_is_bounded(text, said):
    with pytest.raises(ValueError, match=said):
        from_json(text)


def test_what_is_right_is_within_bounds():
    value = {"a": [1, -(2**63), 2.5, None, True, "ü€😀", {"b": [[]]}]}
    assert checked(value) == from_json(json.dumps(value)) == value
    assert first_line(KeyError()) == "KeyError"


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "a/b", "a\\b", "..", ".hidden", "a\nb", "a" * 101])
def test_a_name_is_no_path(mine, tmp_path, name):
    folder = mine(lambda text: f"name = {json.dumps(name)}\n{text}")
    assert "preset.toml: name: " in failure(load_preset, folder)
    for args in (["train", folder], ["train", "digit-sum", "--set", f"name={name}"]):
        result = ask(*args, "-o", tmp_path / "out")
        assert result.exit_code == 2 and "name: " in result.stderr and not (tmp_path / "out").exists()


def test_a_folder_may_be_called_anything(tmp_path):
    for name in (".x", "a:b", "ü b"):
        folder = tmp_path / name
        shutil.copytree(presets_folder() / "digit-sum", folder)
        assert load_preset(folder).name not in ("", ".", "..")


def test_files_that_are_none(mine, tmp_path):
    for name in ("metadata.json", "learned.json", "preset.toml"):
        folder = mine()
        shutil.copyfile(presets_folder() / "surnames" / "learned.json", folder / "learned.json")
        (folder / name).rename(tmp_path / "kept")
        os.mkfifo(folder / name)
        if name == "learned.json":
            assert "no file" in failure(load_preset(folder).learned)
        else:
            assert ask("info", folder).exit_code == (2 if name == "preset.toml" else 0)
        (folder / name).unlink()
        (tmp_path / "kept").rename(folder / name)
    os.mkfifo(tmp_path / "data.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    for name in ("data.csv", "zero.csv"):
        assert "neither a file nor a folder" in failure(
            rnnzoo.train, "entities", data=tmp_path / name, run_dir=tmp_path / "out"
        )


def test_links_that_go_round(tmp_path):
    pytest.importorskip("PIL")
    (tmp_path / "data" / "7").mkdir(parents=True)
    (tmp_path / "data" / "7" / "again").symlink_to("..")
    from rnnzoo.runs import _copy

    assert "a link to a folder" in failure(_copy, tmp_path / "data", tmp_path / "copy")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"units": 10**9, "features": 2, "outputs": 1}, "units=1,000,000,000; expected 1,048,576 at the most"),
        ({"units": 2**20, "features": 2, "outputs": 1}, "parameters; expected 268,435,456 at the most"),
        ({"layers": 10**6, "features": 2, "outputs": 1}, "1,000,000 layers; expected 256 at the most"),
        ({"dense": (8,) * 1000, "features": 2, "outputs": 1}, "1,002 layers"),
        ({"units": 8, "vocabulary_size": 2**20, "embedding": 2**10, "outputs": 1}, "parameters"),
    ],
)
def test_sizes_are_bounded(arguments, said):
    assert said in failure(check_size, {"layers": 2, **arguments}, "x")


def test_every_preset_is_within_bounds():
    from rnnzoo.building import create_task

    for name in rnnzoo.list_presets():
        preset = load_preset(name)
        check_size({**create_task(preset).model_arguments(preset.architecture), **preset.model}, name)


@pytest.mark.parametrize(
    "override",
    [
        "training.epochs=1000000000",
        "training.batch_size=10000000",
        "training.learning_rate=inf",
        "training.learning_rate=nan",
    ]
    + ["training.curriculum.timesteps=[-1]", "task_options.max_timesteps=true", "training.loss=\udcff", "a.b.c=1"]
    + [
        f"{'a.' * 50}=1",
        f"training.epochs={'9' * 5000}",
        "training.epochs=0x" + "f" * 5000,
        "folder=/tmp",
        "data.file=../x",
    ],
)
def test_overrides_are_bounded(override):
    assert len(failure(load_preset, "digit-sum", [override])) < 20_000
    result = ask("train", "digit-sum", "--set", override)
    assert result.exit_code == 2 and len(result.stderr) < 1_500


def test_a_recipe_is_not_its_own_pretraining(mine, tmp_path):
    folder = mine(
        lambda text: f"{text}\n[training.pretrain]\npreset = {json.dumps(str(tmp_path / 'mine'))}\nlayers = {{}}\n"
    )
    assert "over 8 recipes" in failure(rnnzoo.train, folder, run_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_override_is_one_value():
    assert "training.epochs" in failure(load_preset, "digit-sum", ["training.epochs=5\nother = 1"])
    assert load_preset("digit-sum", ["training.epochs=5"]).training.epochs == 5


def test_errors_are_seen():
    result = ask("info", "a\x1b[2J\x07b\u202e")
    assert result.stderr.startswith("Error: unknown preset 'a\\x1b[2J\\x07b\\u202e'")
    assert len(ask("predict", "digit-sum", "x" * 10**6).stderr) < 1_500
    assert "\x1b" not in ask("info", "--\x1b[31m").stderr


def test_text_of_a_stranger_is_seen(mine):
    folder = mine(lambda text: text.replace("Sum the", "\\u001b]0;x\\u0007\\u009b"))
    for flags in ([], ["--json"]):
        result = ask("info", folder, *flags)
        assert result.exit_code == 0 and not {"\x1b", "\x07", "\x9b"} & {*result.output}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_are_finite(value, with_weights):
    said = with_weights(lambda h5py, file, name, shape: file.create_dataset(name, data=np.full(shape, value, "f4")))
    assert re.search(r"model\.weights\.h5: damaged \(\w+/\w+ is not finite\); train again or restore it$", said)


@pytest.mark.parametrize("key", ["metrics", "weights_sha256", "parameters", "examples"])
@pytest.mark.parametrize("value", [None, [], "x", {"a": {"b": "c"}}, [[]]])
def test_metadata_of_another_kind(mine, key, value):
    folder = mine()
    told = json.loads((folder / "metadata.json").read_text())
    (folder / "metadata.json").write_text(json.dumps({**told, key: value}))
    for args in (["info", folder], ["predict", folder, "12"]):
        result = ask(*args)
        assert result.exit_code in (0, 2) and (result.exception is None or isinstance(result.exception, SystemExit))


# Weights and models.


@pytest.fixture
def with_weights(mine):
    """A function that changes digit-sum's weights in a copy whose checksum is right, and says why they are refused."""
    import h5py

    def refused(change):
        folder = mine()
        path = folder / "model.weights.h5"
        shutil.copyfile(presets_folder() / "digit-sum" / "model.weights.h5", path)
        names = []
        with h5py.File(path, "a") as file:
            file.visititems(lambda name, entry: names.append(name) if isinstance(entry, h5py.Dataset) else None)
            shape = file[names[0]].shape
            del file[names[0]]
            change(h5py, file, names[0], shape)
        told = json.loads((folder / "metadata.json").read_text())
        told["weights_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        (folder / "metadata.json").write_text(json.dumps(told))
        return failure(rnnzoo.from_preset, folder)

    return refused


def test_weights_are_numbers_alone(with_weights, tmp_path):
    def link(kind):
        return lambda h5py, file, name, shape: file.__setitem__(name, kind(h5py))

    assert "is a link" in with_weights(link(lambda h5py: h5py.SoftLink("/")))
    assert "is a link" in with_weights(link(lambda h5py: h5py.ExternalLink("/etc/passwd", "/")))
    assert "other than numbers" in with_weights(lambda h5py, file, name, shape: file.__setitem__(name, "text"))
    assert "other than numbers" in with_weights(
        lambda h5py, file, name, shape: file.create_dataset(name, (1,), h5py.ref_dtype)
    )
    (tmp_path / "precious").write_bytes(bytes(4096))
    assert "other than numbers" in with_weights(
        lambda h5py, file, name, shape: file.create_dataset(
            name, shape, "f4", external=[(str(tmp_path / "precious"), 0, 4096)]
        )
    )
    assert "expected 1,048,7" in with_weights(
        lambda h5py, file, name, shape: file.create_dataset(
            name, (2**20, 2**20), "f4", chunks=(1024, 1024), compression="gzip"
        )
    )


def test_a_pickle_is_no_file_of_weights(mine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = mine()
    content = b"cos\nsystem\n(S'touch evil'\ntR."
    (folder / "model.weights.h5").write_bytes(content)
    told = json.loads((folder / "metadata.json").read_text())
    (folder / "metadata.json").write_text(json.dumps({**told, "weights_sha256": hashlib.sha256(content).hexdigest()}))
    assert "no file of weights" in failure(rnnzoo.from_preset, folder)
    assert not (tmp_path / "evil").exists()


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    from rnnzoo.building import start

    path = tmp_path_factory.mktemp("model") / "x.keras"
    start("many-to-one")[0].save(path)
    return path


def altered(path, to, change, extra=()):
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(to, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config)
            target.writestr(name, content)
        for name, content in extra:
            target.writestr(name, content)
    return to


def test_a_model_names_parts_of_models_alone(fuzz, model_file, tmp_path):
    from rnnzoo.building import load_model

    assert load_model(model_file).count_params() > 0
    for i, strange in enumerate(fuzz.STRANGE):
        path = altered(
            model_file, tmp_path / f"{i}.keras", lambda config, strange=strange: config["config"]["layers"].append(strange)
        )
        assert "cannot be loaded as a Keras model" in failure(load_model, path)
    path = altered(model_file, tmp_path / "x.keras", lambda config: None, [("../evil", b"")])
    assert "leads out of it" in failure(load_model, path)


def test_archives_are_bounded():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for i in range(10_001):
            archive.writestr(f"{i}", b"")
    with pytest.raises(ValueError, match="over 10,000 members"):
        check_zip(zipfile.ZipFile(file), 100)


# Exports.


@pytest.mark.slow
def test_every_saved_model_computes_alone(saved_models):
    from rnnzoo.strangers import check_saved_model

    for name in rnnzoo.list_presets():
        check_saved_model(saved_models / name / "1")


def test_a_saved_model_that_writes_files(tmp_path):
    import tensorflow as tf

    from rnnzoo.strangers import check_saved_model

    class Stranger(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def answer(self, x):
            tf.io.write_file(str(tmp_path / "evil"), "evil")
            return {"y": x}

    class Plain(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
        def answer(self, x):
            return {"y": tf.tanh(x)}

    for one, name in ((Stranger(), "stranger"), (Plain(), "plain")):
        tf.saved_model.save(one, str(tmp_path / name), signatures={"serving_default": one.answer})
    check_saved_model(tmp_path / "plain")
    assert "the operation WriteFile" in failure(check_saved_model, tmp_path / "stranger")
    (tmp_path / "plain" / "saved_model.cpb").write_bytes(b"")
    assert "expected saved_model.pb alone" in failure(check_saved_model, tmp_path / "plain")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"files": {"../../etc/passwd": {"sha256": "x"}}}, "'files'"),
        ({"files": {"/etc/passwd": {"sha256": "x"}}}, "'files'"),
        ({"files": {"x": None}}, "'files'"),
        ({"files": []}, "'files'"),
        ({"models": {"model": {"file": "../x.onnx"}}}, "'files'"),
        ({"task": "_midi"}, "this version has not"),
        ({"task": "os"}, "this version has not"),
        ({"task": ["x"]}, "'task'"),
        ({"task_options": {"max_timesteps": "x"}}, "this version has not"),
        ({"input": "x"}, "'input'"),
    ],
)
def test_descriptions_of_strangers(tmp_path, change, said):
    from rnnzoo.running._description import digest, read, task_of

    about = {"format": "onnx", "layout": 1, "preset": "x", "task": "digit_sum", "task_options": {}, "files": {}}
    about |= {"input": {}, "answer": {}, "decoding": None, **change}
    (tmp_path / "rnnzoo.json").write_text(json.dumps({**about, "sha256": digest(about)}))
    assert said in failure(lambda: task_of(read(tmp_path), tmp_path))


def test_onnxruntime_leaves_nothing_at_home(tmp_path):
    pytest.importorskip("onnxruntime")
    code = "from rnnzoo.running._onnx import require_runtime; require_runtime()"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", code], env={**environment, "HOME": str(tmp_path)}, check=True)
    assert not [*tmp_path.iterdir()]


def test_onnx_with_weights_elsewhere(tmp_path):
    pytest.importorskip("onnxruntime")
    from rnnzoo.running._onnx import OnnxModel, seal

    for entry in (b"\x0a\x08location\x12\x0b/etc/passwd", b"\x8a\x00\x88\x80\x00location"):
        (tmp_path / "x.onnx").write_bytes(entry + seal(entry))
        assert "weights in another file" in failure(OnnxModel, tmp_path / "x.onnx")


def test_a_run_that_is_a_stranger(tmp_path, mine):
    """State, links and checksums in the folder of a run that is to go on."""
    folder = tmp_path / "run"
    (folder / "unfinished").mkdir(parents=True)
    from rnnzoo.results import versions

    state = {"state": "interrupted", "epochs": 3, "data": None, "tensorboard": False, **versions()}
    for wrong in (
        {},
        {"sha256": {"../../etc/passwd": "x"}},
        {"sha256": {"a/b": "x"}},
        {"sha256": []},
        {"sha256": {}, "epochs": "x"},
    ):
        (folder / "unfinished" / "state.json").write_text(json.dumps({**state, **wrong}))
        assert "damaged" in failure(rnnzoo.resume, folder)
    shutil.rmtree(folder / "unfinished")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "state.json").write_text(json.dumps({**state, "sha256": {}}))
    (folder / "unfinished").symlink_to(elsewhere)
    before = sorted(elsewhere.iterdir())
    assert "a link" in failure(rnnzoo.resume, folder)
    assert sorted(elsewhere.iterdir()) == before
    assert stat.S_ISLNK(os.lstat(folder / "unfinished").st_mode)


UNBOUNDED = """
import inspect, resource, signal
import rnnzoo
from rnnzoo import tasks
from rnnzoo.registry import list_tasks

resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30,) * 2)
signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError()))
tried = 0
for name in list_tasks():
    options = inspect.signature(type(tasks.create(name)).__init__).parameters
    for option in [one for one in options if options[one].annotation is int and not one.endswith("seed")]:
        for value in (10**7, 10**9, 10**18):
            signal.alarm(10)
            tried += 1
            try:
                task = tasks.create(name, **{option: value})
                if task.source == "generated":
                    task.train(), [test() for test in task.tests().values()]
            except rnnzoo.InputError as error:
                assert "\\n" not in str(error) and option in str(error), error
            except BaseException as error:
                raise SystemExit(f"{name} {option}={value}: {error!r}")
            signal.alarm(0)
assert tried > 50, tried
"""


def test_no_option_of_a_task_takes_all_memory_or_all_time():
    result = subprocess.run([sys.executable, "-c", UNBOUNDED], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_memory_that_is_not_there_is_one_line(monkeypatch):
    def full(*args, **kwargs):
        raise MemoryError("Unable to allocate 74.5 GiB")

    monkeypatch.setattr("rnnzoo.cli.info.load_preset", full)
    result = ask("info", "digit-sum")
    assert result.exit_code == 1 and result.output.count("\n") == 1
    assert "not enough memory (Unable to allocate 74.5 GiB); fewer or shorter examples" in result.output


@pytest.mark.parametrize("name", ["surnames", "translation"])
def test_weights_without_what_was_learned_with_them(name, tmp_path):
    folder = tmp_path / name
    shutil.copytree(presets_folder() / name, folder)
    (folder / "learned.json").unlink()
    path = folder / "metadata.json"
    metadata = json.loads(path.read_text())
    del metadata["learned_sha256"]
    path.write_text(json.dumps(metadata))
    assert "learned.json: missing, or of other task_options; train again" in failure(rnnzoo.from_preset, folder)


def test_a_model_is_called_as_its_preset_is():
    assert "unknown key model.name" in failure(load_preset, "digit-sum", ["model.name=x.mid"])


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.pop("decoding"),
        lambda told: told.update(decoding=[1]),
        lambda told: told["decoding"].pop("end_token"),
        lambda told: told["decoding"].update(max_length=10**9),
        lambda told: told["decoding"].update(start_token="1"),
    ],
)
def test_what_an_export_says_of_decoding(change):
    from rnnzoo.running._description import NEEDED, check_layout

    told = {name: {} if name in ("task_options", "input", "answer") else "x" for name in NEEDED}
    told["decoding"] = {"start_token": 1, "end_token": None, "max_length": 9}
    check_layout(told, "x")
    change(told)
    assert "x: its part 'decoding' is not what rnnzoo writes" in failure(check_layout, told, "x")
