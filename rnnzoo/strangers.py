"""Weights, models and exports of strangers, looked at before anything reads them: none of them is to run code of its own.

Keras and TensorFlow say that a model is a program. What the factories make and `rnnzoo export` writes needs little of what
either can do, and nothing else is let in.
"""

import re
import zipfile

from rnnzoo.archives import UNPACKING, check_zip
from rnnzoo.bounded import JSON_BYTES, first_line, from_json
from rnnzoo.errors import InputError
from rnnzoo.registry import LAYERS, PARAMETERS, SIZE

BYTES = 2**32  # of a file that is read whole
# What a model in Keras is made of: modules whose classes and functions compute, and layers that do more than that.
MODULES = re.compile(
    r"keras(\.(src\.)?(layers|initializers|activations|regularizers|constraints|optimizers|losses|metrics|models|ops|"
    r"dtype_policies|random|saving)(\.\w+)*)?|keras\.src\.(backend|random|engine|ops|utils)(\.\w+)*|rnnzoo\.(layers|losses|"
    r"tasks|architectures)(\.\w+)*|builtins"
)
PROGRAMS = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "StringLookup", "IntegerLookup"}
PROGRAMS |= {"TextVectorization", "IndexLookup", "Hashing", "FeatureSpace", "__lambda__", "Pipeline"}
# Of a SavedModel: operations on numbers and texts; nothing that reads or writes a file, prints, or calls Python.
OPERATIONS = frozenset(
    """
    Abs Add AddV2 All Any ArgMax ArgMin Assert AssignVariableOp BatchMatMulV2 BiasAdd Bitcast BitwiseAnd BitwiseOr
    BitwiseXor BroadcastArgs BroadcastTo Case Cast Ceil ClipByValue Concat ConcatV2 Const Cos Cosh Cumprod Cumsum
    DenseBincount Div DivNoNan Einsum Elu EnsureShape Equal Erf Exp ExpandDims Expm1 Fill Floor FloorDiv FloorMod GatherNd
    GatherV2 Greater GreaterEqual Identity IdentityN If Invert InvertPermutation IsFinite IsInf IsNan LeakyRelu LeftShift
    Less LessEqual LinSpace Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr LogicalXor LowerBound MatMul Max Maximum
    Mean Minimum Mul MulNoNan Neg NoOp NotEqual OneHot OnesLike Pack Pad PadV2 PartitionedCall Pow PreventGradient Prod
    RaggedRange RaggedTensorToTensor Range Rank ReadVariableOp RealDiv Reciprocal ReduceJoin RegexFullMatch RegexReplace
    Relu Relu6 Reshape ReverseV2 RightShift Rint Round Rsqrt ScatterNd SegmentSum Select SelectV2 Selu Shape ShapeN
    Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign Split SplitV Sqrt Square SquaredDifference Squeeze
    StatefulPartitionedCall StatelessIf StatelessMultinomial StatelessRandomGetKeyCounter StatelessRandomNormalV2
    StatelessRandomUniformFullIntV2 StatelessRandomUniformV2 StatelessTruncatedNormalV2 StatelessWhile
    StaticRegexFullMatch StaticRegexReplace StopGradient StridedSlice StringJoin StringLength StringLower StringSplitV2
    StringStrip StringToHashBucketFast StringUpper Sub Substr Sum Tan Tanh TensorListFromTensor TensorListGetItem
    TensorListLength TensorListPushBack TensorListReserve TensorListResize TensorListSetItem TensorListStack
    TensorScatterUpdate Tile TopKV2 Transpose TruncateMod UnicodeDecode UnicodeEncode UnicodeTranscode Unpack
    UnsortedSegmentSum UpperBound VariableShape Where While Xdivy Xlogy ZerosLike
    """.split()  # noqa: SIM905
)
SAVING = re.compile(r"__inference__traced_(save|restore)_\d+")


def check_weights(path, parameters):
    """Refuses a file of weights (HDF5) that holds anything but arrays of numbers, or far more than a model takes.

    Args:
        path: the file.
        parameters: how many numbers the model takes.

    Raises:
        InputError: it is such a file, or no HDF5; it says what.
    """
    import h5py

    most = 16 * parameters + 2**20  # in bytes: of floats of 64 bits, twice, and what an optimizer counts
    try:
        with h5py.File(path, "r") as file:
            size = _size(file, 0)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: no file of weights: {first_line(error)}") from None
    if size > most:
        raise InputError(f"{path}: no weights of this model: {size:,} bytes of numbers; expected {most:,} at the most")


def _size(group, depth):
    """How many bytes the arrays in a group have when they are read."""
    import h5py

    if depth > 32:
        raise ValueError("over 32 groups in each other")
    size = 0
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{name!r:.100} is a link to somewhere else")
        entry = group[name]
        if isinstance(entry, h5py.Group):
            size += _size(entry, depth + 1)
            continue
        if not isinstance(entry, h5py.Dataset) or entry.dtype.kind not in "fiub" or entry.external or entry.is_virtual:
            raise ValueError(f"{name!r:.100} holds something other than numbers")
        size += entry.size * entry.dtype.itemsize
    return size


def check_model(path):
    """Refuses a `.keras` file that names what is no part of a model, or sizes that no machine has room for.

    Raises:
        InputError: it is such a file, or damaged; it says what.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check_zip(archive, BYTES)
            damaged = archive.testzip()  # before Keras unpacks some of it, and leaves that behind
            if damaged is not None:
                raise ValueError(f"its member {damaged!r:.100} is damaged")
            if archive.getinfo("config.json").file_size > JSON_BYTES:
                raise ValueError(f"its config.json has over {JSON_BYTES:,} bytes")
            config = from_json(archive.read("config.json"))
            if not isinstance(config, dict):
                raise ValueError("its config.json is no object")
            _check_config(config)
    except KeyError:
        raise InputError(f"{path}: cannot be loaded as a Keras model: it holds no config.json") from None
    except UNPACKING as error:
        raise InputError(f"{path}: cannot be loaded as a Keras model: {first_line(error)}") from None


def _check_config(config):
    layers, largest, stack = 0, [1, 1], [(None, config)]
    while stack:
        key, value = stack.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                layers += 1
                name, module = value["class_name"], value.get("module")
                if not isinstance(name, str) or name in PROGRAMS or str(value.get("registered_name")) in PROGRAMS:
                    raise ValueError(f"it names {name!r:.100}, which can be a program")
                if module is not None and (not isinstance(module, str) or not MODULES.fullmatch(module)):
                    raise ValueError(f"it names {name!r:.100} of {module!r:.100}, which is no part of a model of rnnzoo's")
            stack += value.items()
        elif isinstance(value, list | tuple):
            stack += [(key, one) for one in value]
        elif type(value) is int and key not in ("seed", "shared_object_id", "build_input_shape_id"):
            if abs(value) > SIZE:
                raise ValueError(f"{key}={value:,}; expected {SIZE:,} at the most")
            largest = sorted([*largest, value])[-2:]
    if layers > 40 * LAYERS:
        raise ValueError(f"{layers:,} layers and the like; expected {40 * LAYERS:,} at the most")
    if largest[0] * largest[1] > PARAMETERS:
        raise ValueError(f"a layer of {largest[0]:,} times {largest[1]:,} weights; expected {PARAMETERS:,} at the most")


def check_saved_model(folder):
    """Refuses a SavedModel that does anything but compute: reading or writing files, say.

    Args:
        folder: that of the version, with `saved_model.pb` in it.

    Raises:
        InputError: it is such a SavedModel, or damaged; it says what.
    """
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    path = folder / "saved_model.pb"
    if (folder / "saved_model.cpb").exists() or not path.is_file() or path.stat().st_size > BYTES:
        raise InputError(f"{folder}: no SavedModel that rnnzoo wrote: expected saved_model.pb alone")
    found = SavedModel()
    try:
        found.ParseFromString(path.read_bytes())
    except Exception as error:  # protobuf's own, which has moved
        raise InputError(f"{path}: damaged ({first_line(error)}); export again") from None
    if len(found.meta_graphs) != 1 or not found.meta_graphs[0].HasField("object_graph_def"):
        raise InputError(f"{path}: no SavedModel that rnnzoo wrote: expected one graph, as TensorFlow 2 has it")
    graph = found.meta_graphs[0]
    functions = {one.signature.name: one for one in graph.graph_def.library.function}
    saving = {name for name in functions if SAVING.fullmatch(name)}  # which loading does not call
    called = {*graph.object_graph_def.concrete_functions}
    for name, function in functions.items():
        if name in saving:
            continue
        for node in function.node_def:
            if node.op not in OPERATIONS and node.op not in functions:
                raise InputError(f"{path}: the operation {node.op}, which no export of rnnzoo's has: it may be a program")
            called |= {node.op}
            for attribute in node.attr.values():
                called |= {attribute.func.name, *(one.name for one in attribute.list.func)}
    if called & saving:
        raise InputError(f"{path}: calls what saves it ({min(called & saving)}): it may be a program")
