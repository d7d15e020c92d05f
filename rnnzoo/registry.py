"""Presets: found in folders, validated, frozen. Nothing here imports TensorFlow."""

import fnmatch
import hashlib
import json
import re
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from rnnzoo import _signatures
from rnnzoo.bounded import JSON_BYTES, NAMES, TOML_BYTES, checked, from_json, from_toml, regular
from rnnzoo.errors import InputError, nearest

WEIGHTS, METADATA, PRESET = "model.weights.h5", "metadata.json", "preset.toml"
CARD, DATA, SEEDS, HISTORY = "README.md", "data", "seeds.json", "history.csv"
# What the task took from the examples that the weights were trained on: a vocabulary, labels.
LEARNED = "learned.json"
# Pictures on the model card.
DIAGRAM, CURVE, WRITTEN = "architecture.svg", "learning-curve.svg", "written.svg"
# A run that is not complete: where in its folder it is, and how it stands (see `rnnzoo.runs`).
UNFINISHED, STATE = "unfinished", "state.json"
# Of a preset: not hidden, in no other folder, and on one line.
NAME = r"^[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*$"
# What a recipe and a model may have at the most; more is a slip, or meant to do harm.
EPOCHS, BATCH, SIZE, LAYERS, PARAMETERS = 10**7, 2**20, 2**20, 256, 2**28
_FORMS = {NAME: "expected one line without / and \\ that does not begin with a dot"}
_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Pretrain(BaseModel):
    """Another preset's recipe that is trained first, with the same seed; the layers named take over its weights."""

    model_config = _STRICT
    preset: str
    set: tuple[str, ...] = ()
    layers: dict[str, str]
    freeze: bool = True


class Curriculum(BaseModel):
    """Stages of training, each of all epochs on sequences of at most so many timesteps (Bengio et al. 2009).

    The schedule spans them all, and the rate is set at the beginning of each epoch.
    """

    model_config = _STRICT
    timesteps: tuple[Annotated[int, Field(ge=1, le=SIZE)], ...] = Field(min_length=1, max_length=1000)


class Training(BaseModel):
    """The recipe.

    The rate of recurrent kernels, whose every change adds up over the timesteps, is multiplied by `recurrent_rate`, and
    `keep_gradient` is the weight of a penalty on gradients whose norm changes on their way back through time (Pascanu et al.
    2013; see `rnnzoo.layers.SimpleRNN`).
    Gradients are clipped by their global norm (Pascanu et al. 2013) or each number of theirs by its value. `average` is the
    decay of an exponential moving average of the weights, which takes their place at the end (Polyak and Juditsky 1992).
    With `augment` the task varies its training examples anew for every epoch. With `balance` a label that occurs so many
    times counts as that number to the power of -`balance`: 1 has all labels count alike. `storage` is what the weights are
    rounded to at the end, and stored as. With `truncate` the examples, in their order, are read as one long sequence, and
    gradients run through so many timesteps at the most: truncated backpropagation through time (see `rnnzoo.carrying`).
    """

    model_config = _STRICT
    loss: str
    reduction: Literal["mean", "sum"] = "mean"
    optimizer: str = "adam"
    learning_rate: float = Field(gt=0)
    momentum: float | None = Field(None, ge=0, lt=1)
    weight_decay: float | None = Field(None, gt=0)
    recurrent_rate: float | None = Field(None, gt=0)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_epochs: float = Field(0.0, ge=0, le=EPOCHS)
    clip_norm: float | None = Field(None, gt=0)
    clip_value: float | None = Field(None, gt=0)
    keep_gradient: float | None = Field(None, gt=0)
    average: float | None = Field(None, gt=0, lt=1)
    augment: bool = False
    label_smoothing: float | None = Field(None, gt=0, lt=1)
    balance: float | None = Field(None, gt=0, le=1)
    truncate: int | None = Field(None, ge=1, le=SIZE)
    batch_size: int = Field(64, ge=1, le=BATCH)
    epochs: int = Field(ge=1, le=EPOCHS)
    seed: int = Field(0, ge=0, lt=2**32)
    round_weights: bool = False
    storage: Literal["float32", "float16"] = "float32"
    pretrain: Pretrain | None = None
    curriculum: Curriculum | None = None


class Published(BaseModel):
    """A figure that others have published of the same task, for the model card to set beside the preset's."""

    model_config = _STRICT
    metric: str
    figure: float
    source: str


class Data(BaseModel):
    """The user's own examples that a run is trained on: a copy of the file (or folder) in the run's folder.

    Where they are streamed, the copy is of those held out alone: the others stay where they are, and `files` is their path
    or pattern and `sha256` what was there. `valid` is the share of the distinct inputs that is held out, `skip_bad` whether
    rows that are wrong are left out, and `columns` what the columns of the input and the answer are called, or
    where they stand.
    """

    model_config = _STRICT
    file: str = Field(pattern=rf"^{DATA}(\.[a-z0-9]+)?$")
    files: str | None = None
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    valid: float = Field(0.2, gt=0, lt=1)
    skip_bad: bool = False
    columns: tuple[str, str] | None = None


class Source(NamedTuple):
    """A user's file of examples, and how it is read and split; see `Data`.

    The path may be a folder or a pattern (`parts/*.csv`), too; `sha256` is that of all files where they are streamed.
    """

    path: Path
    valid: float = 0.2
    skip_bad: bool = False
    columns: tuple[str, str] | None = None
    sha256: str | None = None


class Metadata(BaseModel):
    """What is looked up in `metadata.json`; there is more in it."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    metrics: dict[str, dict[str, float]]
    weights_sha256: str
    preset_sha256: str | None = None
    learned_sha256: str | None = None
    parameters: int = 0
    examples: list[dict[str, Any]] = []
    training_seconds: float = 0.0


class Twin(BaseModel):
    """Another architecture on the same task and recipe, for the model card to compare with."""

    model_config = _STRICT
    architecture: str
    description: str
    model: dict[str, Any] = {}


class Preset(BaseModel):
    """An architecture, a task and a recipe, as a folder holds them."""

    model_config = _STRICT
    # It names folders and files, too, and a model in Keras.
    name: str = Field(pattern=NAME, max_length=100)
    folder: Path
    description: str
    architecture: str
    task: str
    model: dict[str, Any] = {}
    task_options: dict[str, Any] = {}
    initial: dict[str, Any] = {}
    frozen: tuple[str, ...] = ()
    training: Training
    expected: dict[str, float | dict[str, float]] = {}
    published: dict[str, Published] = {}
    limits: str = ""
    twin: Twin | None = None
    data: Data | None = None

    @property
    def has_weights(self):
        """Whether trained weights lie in the folder."""
        return (self.folder / WEIGHTS).is_file() and (self.folder / METADATA).is_file()

    @property
    def own_data(self):
        """The `Source` of the user's examples that a run was trained on, or `None`."""
        if self.data is None:
            return None
        path = Path(self.data.files) if self.data.files else self.folder / self.data.file
        return Source(path, self.data.valid, self.data.skip_bad, self.data.columns, self.data.sha256)

    def with_data(self, source, as_lines=False):
        """The preset of a run that is trained on a `Source`, which its folder will hold a copy of, unless it is streamed.

        With `as_lines` the copy holds the examples themselves as JSONL, and not the names of files that the source has.
        """
        suffix = source.path.suffix.lower() if source.path.is_file() else ""
        suffix = suffix if re.fullmatch(r"\.[a-z0-9]+", suffix) else ".csv" * source.path.is_file()
        there, how = {"file": f"{DATA}{suffix}"}, {"skip_bad": source.skip_bad, "columns": source.columns}
        if source.sha256:
            there = {"file": f"{DATA}.jsonl", "files": str(source.path.absolute()), "sha256": source.sha256}
        elif as_lines:
            there, how = {"file": f"{DATA}.jsonl"}, {}
        try:
            data = Data(**there, valid=source.valid, **how)
        except ValidationError as error:
            raise InputError(f"data: {_first_error(error, Data)}") from None
        return self.model_copy(update={"data": data})

    def learned(self):
        """What the task took from the examples (see `rnnzoo.tasks._task.Task.learn`), name -> value.

        `None` where there is no such file, or it is of other options of the task than these.

        Raises:
            InputError: the file is damaged.
        """
        path = self.folder / LEARNED
        try:
            found = from_json(regular(path, JSON_BYTES))
            options = found.pop("task_options")
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: damaged ({type(error).__name__}: {error}); train again or restore it") from None
        return found if options == json.loads(json.dumps(self.task_options)) else None

    def content(self):
        """What `preset.toml` holds: every key that is not at its default."""
        return self.model_dump(mode="json", exclude={"name", "folder"}, exclude_defaults=True)

    def fingerprint(self):
        """The sha256 of what the weights depend on: architecture, task and their arguments."""
        parts = {key: getattr(self, key) for key in ("architecture", "task", "model", "task_options")}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    @property
    def metric(self):
        """The name of the metric that the preset is judged by in its first test, or `None`."""
        return next((name for name, value in self.expected.items() if not isinstance(value, dict)), None)

    def metadata(self):
        """What training wrote beside the weights.

        Raises:
            InputError: the file is missing or damaged.
        """
        path = self.folder / METADATA
        if (self.folder / STATE).is_file():
            raise InputError(f"{self.folder}: of a run that is not complete, which has no scores and no {METADATA} yet")
        if not path.is_file():
            raise InputError(f"{path}: missing; '{self.name}' has no trained weights yet (`rnnzoo train {self.name}`)")
        try:
            metadata = from_json(regular(path, JSON_BYTES))
            Metadata(**metadata)
        except ValidationError as error:
            raise InputError(f"{path}: damaged ({_first_error(error, Metadata)}); train again or restore it") from None
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{path}: damaged ({type(error).__name__}: {error}); train again or restore it") from None
        return metadata


def presets_folder():
    """Where the zoo's presets lie: inside an installed package, beside it in a checkout."""
    inside = _signatures.PACKAGE / "presets"
    return inside if inside.is_dir() else _signatures.PACKAGE.parent / "presets"


def list_presets(pattern="*"):
    """The names of the zoo's presets that match a pattern such as `digit-*`, in order."""
    names = sorted(path.parent.name for path in presets_folder().glob(f"*/{PRESET}"))
    return fnmatch.filter(names, _dashes(pattern))


def list_architectures():
    """The names of the factories."""
    return _signatures.modules("architectures")


def list_tasks():
    """The names of the tasks."""
    return _signatures.modules("tasks")


def load_preset(name, overrides=()):
    """The validated, frozen preset of that name (`digit-sum`, `digit_sum`) or folder.

    Args:
        name: a name in the zoo, or the path of a folder that holds a `preset.toml`: another preset, or a training run.
        overrides: strings such as `training.epochs=5`, validated like the file.

    Raises:
        InputError: there is no such preset, or a key or value in it is wrong.
    """
    folder = _folder(name)
    path = folder / PRESET
    try:
        content = from_toml(regular(path, TOML_BYTES).decode("utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: missing; the folder is no preset and no training run") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    name = content.pop("name", None) or re.sub(r"^\.+|[^\w .-]", "-", folder.resolve().name)[:100] or "preset"
    name = _dashes(name) if isinstance(name, str) else name
    preset = _validated({**content, "name": name}, str(path), folder)
    before = folder / f"{DATA}.csv"
    if preset.data is None and before.is_file():  # of a run that is older than that table
        preset = preset.with_data(Source(before))
    return override(preset, overrides)


def from_content(name, folder, content):
    """The preset of a name and a folder whose `content` was that of another process.

    Raises:
        InputError: it is wrong.
    """
    return _validated({**content, "name": name}, str(folder), Path(folder))


def override(preset, overrides):
    """A preset with values replaced by strings such as `training.epochs=5`, validated like the file.

    Raises:
        InputError: a key or value is wrong.
    """
    if not overrides:
        return preset
    content = preset.content()
    for text in overrides:
        _set(content, text)
    return _validated({"name": preset.name, **content}, "--set", preset.folder)


def parse_override(override):
    """`training.epochs=5` -> (`["training", "epochs"]`, 5). Values are TOML; anything else is a string."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set '{override}': expected KEY=VALUE, for example training.epochs=5")
    try:
        table = from_toml(f"value = {text}")
        value = table["value"] if len(table) == 1 else text  # more lines would be more keys
    except ValueError:
        value = text
    keys = key.strip().split(".")
    try:
        checked([keys, value])
        if len(keys) > NAMES:
            raise ValueError(f"a key of over {NAMES} names")
    except ValueError as error:
        raise InputError(f"--set '{override}': {error}") from None
    return keys, value


def architecture_name(name):
    """The factory that `many-to-one` or `many_to_one` names, or `None`."""
    name = str(name).replace("-", "_").lower()
    return name if name in list_architectures() else None


def factory_arguments(architecture):
    """The keyword arguments of a factory: a dict of name -> (type, default, whether there is a default)."""
    return _signatures.factory_arguments(architecture)


def check_factory_arguments(architecture, arguments, where):
    """The arguments, with lists as tuples, if the factory takes them.

    Raises:
        InputError: a name or type is wrong; it names the nearest that is right.
    """
    return _check_arguments(_signatures.factory_arguments(architecture), arguments, where, "model")


def check_task(name, options, where):
    """Refuses a task that is none, and options that it does not take or that are of another type.

    Raises:
        InputError: it is so; it names the nearest that is right.
    """
    if name not in list_tasks():
        raise InputError(f"{where}: task: unknown task '{name}'{nearest(name, list_tasks())}")
    return _check_arguments(_signatures.task_arguments(name), options, where, "task_options")


def check_size(arguments, where):
    """Refuses a model of more parameters than a slip of the hand should ask for, before anything is made.

    Args:
        arguments: all that a factory is given.
        where: what it is, in messages.

    Raises:
        InputError: a size, a number of layers or the parameters that follow from them are too many; it says which.
    """
    sizes = {name: value if isinstance(value, tuple) else (value,) for name, value in arguments.items()}
    sizes = {name: [n for n in value if type(n) is int] for name, value in sizes.items() if name != "mask_value"}
    depth = sum(sizes.get("layers", ())) + sum(len(value) for name, value in sizes.items() if name in ("dense", "hidden"))
    if depth > LAYERS:
        raise InputError(f"{where}: {depth:,} layers; expected {LAYERS:,} at the most")
    for name, value in sizes.items():
        if max(value, default=0) > SIZE:
            raise InputError(f"{where}: {name}={max(value):,}; expected {SIZE:,} at the most")
    ends = ("features", "outputs", "vocabulary_size", "target_features", "target_vocabulary_size")
    widest = max(
        (n for name, value in sizes.items() if name not in (*ends, "layers", "timesteps", "bag") for n in value), default=1
    )
    # An upper bound: each layer reads two as wide as the widest, itself among them, in both directions.
    count = widest * (sum(sum(sizes.get(name, ())) for name in ends) + 4 * widest * (depth + 1))
    if count > PARAMETERS:
        raise InputError(f"{where}: up to {count:,} parameters; expected {PARAMETERS:,} at the most")


def _folder(name):
    text = str(name)
    if not text:
        raise InputError("the name of the preset is empty; `rnnzoo list` shows them all")
    if not isinstance(name, Path) and _dashes(text) in list_presets():
        return presets_folder() / _dashes(text)
    if (Path(text) / PRESET).is_file():
        return Path(text)
    if (Path(text) / UNFINISHED / STATE).is_file():
        raise InputError(
            f"{text}: a run that is not complete; `rnnzoo train --resume {shlex.quote(text)}` goes on with it "
            f"({Path(text) / UNFINISHED} has the weights of its last checkpoint)"
        )
    if Path(text).is_dir():
        raise InputError(f"{Path(text) / PRESET}: missing; the folder is no preset and no training run")
    if isinstance(name, Path) or "/" in text or "\\" in text:
        raise InputError(f"{text}: no such folder; expected a preset's name or a folder with a {PRESET}")
    raise InputError(f"unknown preset '{text}'{nearest(text, list_presets())}; `rnnzoo list` shows them all")


def _dashes(name):
    return str(name).replace("_", "-").lower()


def _set(content, override):
    keys, value = parse_override(override)
    table = content
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise InputError(f"--set {override}: '{key}' is a value, not a table")
    table[keys[-1]] = value


def _validated(content, where, folder):
    if "folder" in content:  # where it lies is nothing that it says itself
        raise InputError(f"{where}: unknown key folder")
    try:
        preset = Preset(**_tuples(content), folder=folder)
    except ValidationError as error:
        raise InputError(f"{where}: {_first_error(error, Preset)}") from None
    if preset.architecture not in list_architectures():
        hint = nearest(preset.architecture, list_architectures())
        raise InputError(f"{where}: architecture: unknown architecture '{preset.architecture}'{hint}")
    # The model is called as the preset is.
    factory = {key: one for key, one in _signatures.factory_arguments(preset.architecture).items() if key != "name"}
    model = _check_arguments(factory, preset.model, where, "model")
    options = check_task(preset.task, preset.task_options, where)
    if preset.twin and preset.twin.architecture not in list_architectures():
        raise InputError(f"{where}: twin.architecture: unknown '{preset.twin.architecture}'")
    return preset.model_copy(update={"model": model, "task_options": options})


def _check_arguments(known, given, where, table):
    fields = {name: (annotation, None) for name, (annotation, _, _) in known.items()}
    schema = create_model("Arguments", __config__=ConfigDict(extra="forbid", strict=True), **fields)
    given = _tuples(given)
    try:
        schema(**given)
    except ValidationError as error:
        raise InputError(f"{where}: {_first_error(error, schema, table)}") from None
    return given


def _tuples(value):
    """TOML has lists where signatures have tuples."""
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    return {key: _tuples(item) for key, item in value.items()} if isinstance(value, dict) else value


def _short(value):
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _first_error(error, schema, table=None):
    """One line for the first of a `ValidationError`'s findings; an unknown key comes with the nearest valid one."""
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    where = [str(part) for part in first["loc"]]
    key = ".".join([*([table] if table else []), *where])
    if first["type"] != "extra_forbidden":
        text = first["msg"][:1].lower() + first["msg"][1:]
        if first["type"] == "string_pattern_mismatch":  # nobody reads those
            text = _FORMS.get(first["ctx"]["pattern"], "is not of the form that is expected")
        given = "" if first["type"] == "missing" else f", not {_short(first['input'])}"
        return f"{key}: {text.removeprefix('input ')}{given}"
    for part in filter(schema.model_fields.__contains__, where[:-1]):  # the others are keys of a dict
        annotation = schema.model_fields[part].annotation
        schema = next(t for t in (annotation, *getattr(annotation, "__args__", ())) if hasattr(t, "model_fields"))
    valid = [name for name in schema.model_fields if name not in ("name", "folder")]
    hint = nearest(where[-1], valid) or "; valid keys are " + ", ".join(valid)
    return f"unknown key {key}{hint}"
