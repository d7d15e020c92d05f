"""The variants of every architecture that is found, each with a model of random weights and ragged inputs.

Nothing here names an architecture: variants follow from the factories' signatures, so that a new module is tested too.
"""

import functools
import itertools
import typing
import zlib

import keras
import numpy as np
import pytest

from rnnzoo.building import architecture_module, factory
from rnnzoo.registry import factory_arguments, list_architectures

UNITS, FEATURES, VOCABULARY, OUTPUTS, TIMESTEPS, MASK_VALUE = 3, 2, 7, 6, 4, -2.0
# Of each row of a batch, the used timesteps of its target and of any other sequence.
LENGTHS = {"target": (2, 4, 3, 1)}
OTHER_LENGTHS = (5, 3, 1, 4)


class Variant(typing.NamedTuple):
    """One factory with some arguments."""

    architecture: str
    name: str
    arguments: dict

    def __str__(self):
        return f"{self.architecture}-{self.name}"

    @property
    def module(self):
        return architecture_module(self.architecture)

    @property
    def given(self):
        """Every argument of the factory: what the variant sets, and the defaults of the others."""
        defaults = {name: default for name, (_, default, _) in factory_arguments(self.architecture).items()}
        return {**defaults, **self.arguments}

    @property
    def masked(self):
        """Whether it reads sequences whose padding it can tell."""
        return "vocabulary_size" in self.arguments or "mask_value" in self.arguments

    @property
    def model(self):
        """The model, with random weights; one for all tests of the same floats, so none may change it."""
        return _model(str(self), keras.config.floatx())

    def fresh(self, **changes):
        """The same model once more, to be changed; with other arguments its weights are Keras's initial ones."""
        model = factory(self.architecture)(**{**self.arguments, **changes})
        if not changes:
            model.set_weights(self.model.get_weights())
        return model

    def of(self, tensor, argument):
        """What the variant sets of an input's argument: of `target_mask_value` and the like for the target."""
        return self.arguments.get(f"target_{argument}" if tensor == "target" else argument)

    def inputs(self, rng, lengths=None):
        """A ragged batch: a dict of input name -> array, right-padded.

        Args:
            rng: random numbers.
            lengths: input name -> used timesteps of each row; those of `LENGTHS` if `None`.
        """
        return {tensor.name: self._input(tensor, rng, lengths) for tensor in self.model.inputs}

    def _input(self, tensor, rng, lengths):
        rows = (lengths or LENGTHS).get(tensor.name, OTHER_LENGTHS)
        if tensor.shape[1] is not None:
            return rng.normal(size=(len(rows), tensor.shape[1])).astype("float32")
        used = np.arange(max(rows)) < np.array(rows)[:, None]
        if tensor.dtype == "int32":
            # Every id appears. A target of no vocabulary of its own has one id for each output.
            vocabulary_size = self.of(tensor.name, "vocabulary_size") or OUTPUTS
            ids = np.zeros(used.shape, "int32")
            ids[used] = rng.permutation(np.arange(used.sum()) % (vocabulary_size - 1)) + 1
            if len(tensor.shape) == 3:  # bags, of which a place may be empty, but not all
                more = rng.integers(0, vocabulary_size, (*used.shape, tensor.shape[2] - 1)) * used[..., None]
                ids = rng.permuted(np.concatenate([ids[..., None], more], axis=-1), axis=-1).astype("int32")
            return ids
        vectors = rng.normal(size=(*used.shape, tensor.shape[2]))
        return np.where(used[..., None], vectors, self.padding(tensor.name)).astype("float32")

    def padding(self, tensor):
        """What stands at padded timesteps of an input."""
        return self.of(tensor, "mask_value") or 0

    def padded(self, inputs, extra):
        """The same batch with more right padding; its sequences by different amounts."""
        result = {}
        for more, tensor in zip(itertools.count(extra), self.model.inputs, strict=False):
            array = inputs[tensor.name]
            if tensor.shape[1] is None:
                widths = [(0, 0), (0, more), (0, 0)][: array.ndim]
                array = np.pad(array, widths, constant_values=self.padding(tensor.name))
            result[tensor.name] = array
        return result

    def mask(self, tensor, array):
        """(batch, timesteps) bool, True where the timestep is used; `None` where the input cannot tell."""
        if array.dtype == "int32":
            return array != 0 if array.ndim == 2 else (array != 0).any(axis=-1)
        value = self.of(tensor, "mask_value")
        return None if value is None or array.ndim < 3 else (array != value).any(axis=-1)

    def used(self, inputs):
        """Which outputs count, (batch,) or (batch, timesteps) bool."""
        tensor = "target" if "target" in inputs else next(iter(inputs))
        if len(self.model.output_shape) == 3 and self.model.output_shape[1] is None:
            mask = self.mask(tensor, inputs[tensor])
            return np.ones(inputs[tensor].shape[:2], bool) if mask is None else mask
        return np.ones(tuple(size or len(inputs[tensor]) for size in self.model.output_shape[:-1]), bool)

    def feed(self, inputs):
        """The inputs as the model takes them: one array, or a dict."""
        return inputs if len(inputs) > 1 else next(iter(inputs.values()))

    def run(self, inputs, model=None, **how):
        """The model's output as an array."""
        return (model or self.model)(self.feed(inputs), **how).numpy()


@functools.cache
def _model(name, floats):  # `floats` keeps a model of 64-bit floats apart from the others' model
    variant = next(variant for variant in VARIANTS if str(variant) == name)
    model = factory(variant.architecture)(**variant.arguments)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    # Biases above zero, or all of a small relu layer might be off.
    model.set_weights([rng.uniform(-0.9 if len(weight.shape) > 1 else 0.2, 0.9, weight.shape) for weight in model.weights])
    return model


def variants(architecture):
    """The kinds of input of an architecture, in turn, with each option switched alone, then all of them together."""
    known = factory_arguments(architecture)
    sizes = {"outputs": OUTPUTS, "units": UNITS, "timesteps": TIMESTEPS}
    base = {name: size for name, size in sizes.items() if name in known}
    masks = {name: MASK_VALUE for name in known if name.endswith("mask_value")}
    kinds = {"features": {"features": FEATURES, **masks}}
    if "vocabulary_size" in known:
        kinds["one_hot"] = {"vocabulary_size": VOCABULARY}
        embeddings = {name: 2 for name in known if name.endswith("embedding")}
        kinds["embedding"] = {"vocabulary_size": VOCABULARY, **embeddings}
    if "bag" in known:
        kinds["bag"] = {**kinds["embedding"], "bag": 3}
    if "feedback" in known:
        kinds["token"] = {**kinds["features"], "feedback": "token"}
    if "target_embedding" in known:
        kinds["embedding"]["target_vocabulary_size"] = OUTPUTS
    options = {}
    for name, (annotation, default, _) in known.items():
        if name == "layers":
            options[name] = default + 1
        elif annotation == int | None and name.endswith("units"):
            options[name] = UNITS + 1
        elif name == "pooling":
            options[name] = "mean_max"
        elif isinstance(default, bool):
            options[name] = not default
        elif isinstance(default, tuple):
            options[name] = (4, 3)
    alone = [{}, *({name: value} for name, value in options.items() if not name.endswith("_bias"))]
    activations = [name for name in known if name.endswith("activation")]
    together = {**options, **dict(zip(activations, itertools.cycle(("sigmoid", "tanh", "linear")), strict=False))}
    for (kind, arguments), option in zip(itertools.cycle(kinds.items()), alone, strict=False):
        yield Variant(architecture, "-".join([kind, *option]), {**base, **arguments, **option})
    kind, arguments = list(kinds.items())[-1]
    yield Variant(architecture, f"{kind}-all", {**base, **arguments, **together})


VARIANTS = [variant for architecture in list_architectures() for variant in variants(architecture)]


@pytest.fixture(params=VARIANTS, ids=str)
def variant(request):
    """Every variant of every architecture."""
    return request.param


@pytest.fixture(params=[variant for variant in VARIANTS if variant.masked], ids=str)
def sequence_variant(request):
    """Every variant that reads sequences and can tell padding."""
    return request.param


@pytest.fixture(params=[variant for variant in VARIANTS if variant.masked and variant.name == "features"], ids=str)
def plain_sequence_variant(request):
    """Of every architecture that reads sequences, the first variant: real vectors and defaults."""
    return request.param


@pytest.fixture(params=[variant for variant in VARIANTS if hasattr(variant.module, "teacher_forced")], ids=str)
def taught_variant(request):
    """Every variant whose architecture has a twin that is trained with the targets as inputs."""
    return request.param


@pytest.fixture(params=list_architectures())
def architecture(request):
    """Every architecture's name."""
    return request.param


@pytest.fixture(params=list_architectures())
def plain(request):
    """The first variant of every architecture: real vectors and defaults."""
    return next(variant for variant in VARIANTS if variant.architecture == request.param)


@pytest.fixture(params=list_architectures())
def full(request):
    """The last variant of every architecture: every option away from its default."""
    return [variant for variant in VARIANTS if variant.architecture == request.param][-1]


@pytest.fixture(autouse=True)
def seeded():
    """What Keras draws (initial weights, dropout) is the same in every run."""
    keras.utils.set_random_seed(20)
