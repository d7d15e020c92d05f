"""Hostile input: thousands of commands, none of which may end in a traceback, hang, or write outside its output.

    python benchmarks/fuzz.py                      # every surface, at least 10,000 inputs; about half an hour on one core
    python benchmarks/fuzz.py toml weights -n 50   # some of them, so many examples each

What goes in is drawn by Hypothesis: valid files with bits flipped, ends cut off, lines swapped and values replaced, and
values that nobody would write. Each input is one command of `rnnzoo`, run in this process, in a folder that stands for the
whole machine: home, working folder and temporary folder. Of each it is checked that

- it ends with an exit code of its own within 10 s, and an error is one line that can be printed;
- no file outside its output is made, changed or removed, in that folder (by a look before and after) or anywhere else (by
  Python's audit events), and no connection is opened;
- nothing is unpickled, and nothing is started.

`tests/test_hostile.py` runs the same, shorter.
"""

import argparse
import collections
import contextlib
import copy
import faulthandler
import functools
import gzip
import hashlib
import io
import json
import os
import re
import resource
import shutil
import signal
import stat
import sys
import tempfile
import time
import traceback
import types
import zipfile
import zlib
from pathlib import Path

import hypothesis
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st

SECONDS = 10  # that an input may take at the most
MEMORY = 10 * 2**30  # bytes of addresses that the process may have
LONGEST = 2_000  # characters of an error
SURFACES = {}

# What people write by mistake, and what they write on purpose.
TEXTS = [
    *("", " ", "-", "--", "-1", "0", "1", "00", "1e309", "nan", "inf", "None", "true", "null", "é", "ſ", "𝟙", "Ⅷ", "١٢"),
    *("\ufeff1", "\u202e12", "1\x0012", "\x1b[31mred", "a\rb", "a\nb", "a\x85b", "\u2028", "[red]x[/red]", "%s%n", "{0}"),
    *("../../x", "/etc/passwd", "~/x", "x/../../y", "C:\\x", "a/b", ".", "..", "con", "\udcff", "\ud83d", "a" * 300),
    *("$(touch evil)", "__import__('os').system('touch evil')", "os:system", "evil", "evil.evil", "builtins>eval"),
    *("[" * 10_000, '{"a":' * 10_000, "9" * 5_000, "0x" + "f" * 5_000, "a" * 100_000, "1 " * 50_000, "=", "a=b", "-o"),
    *("lambda x: x", "softmax", "Dense", "keras>Lambda", "rnnzoo.errors", "_midi", "__init__", "drawn:7", "x.png", "x.mid"),
]
# No argument of a program has a NUL, nor other halves of surrogate pairs than those that stand for bytes.
ARGUMENTS = [text for text in TEXTS if "\0" not in text and "\ud83d" not in text]
NUMBERS = [0, 1, -1, 2, 3, 255, 256, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, 10**9, 10**30, 10**400, -(10**9)]
FLOATS = [0.0, -0.0, 0.5, 1e-320, 1e38, 1e300, float("inf"), float("-inf"), float("nan")]
BYTES = [
    b"",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\n\n",
    b"\t",
    b'"',
    b",",
    b"\xed\xa0\x80",
    b"[" * 2000,
    b"9" * 5000,
]
PICKLE = b"cos\nsystem\n(S'touch evil'\ntR."


def deep(levels):
    """Lists in lists, so many levels."""
    value = []
    for _ in range(levels):
        value = [value]
    return value


VALUES = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(FLOATS),
    st.sampled_from([True, False, None, [], {}, [[]], [None], {"": ""}, {"class_name": "Lambda", "config": {}}]),
    st.sampled_from(TEXTS),
    st.sampled_from([10, 200, 3_000]).map(deep),
    st.integers(-(10**6), 10**6),
    st.floats(),
    st.text(st.characters(), max_size=20),
    st.lists(st.sampled_from(NUMBERS), max_size=4),
)


class Found(AssertionError):
    """Something that must not happen."""


class Hang(BaseException):
    """An input that takes too long."""


class Watch:
    """What Python's audit events say of a command: files that are changed, connections, programs, unpickling."""

    # Event -> which of its arguments are paths that are changed, each with that of the open folder it is in, if any.
    CHANGES = types.MappingProxyType(
        {
            "os.mkdir": [(0, 2)],
            "os.remove": [(0, 1)],
            "os.rmdir": [(0, 1)],
            "os.rename": [(0, 2), (1, 3)],
            "os.symlink": [(1, 2)],
            "os.link": [(1, 3)],
            "os.truncate": [(0, None)],
            "os.chmod": [(0, 2)],
            "os.utime": [(0, 3)],
        }
    )
    NEVER = frozenset(
        ["pickle.find_class", "socket.connect", "os.system", "os.exec", "os.fork", "subprocess.Popen", "os.posix_spawn"]
    )

    def __init__(self):
        self.active, self.allowed, self.found, self.programs = False, (), [], False
        sys.addaudithook(self)

    def __call__(self, event, args):
        if not self.active:
            return
        if event == "open":
            path, _, flags = args
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
            if writes and not isinstance(path, int):
                self._check(event, path)
        elif event in self.CHANGES:
            self._changes(event, args)
        elif event in self.NEVER and not (self.programs and event in ("subprocess.Popen", "os.posix_spawn", "os.fork")):
            self.found.append(f"{event} {args!r:.200}")
        elif event == "import" and args[0].partition(".")[0] == "evil":
            self.found.append("a module of the stranger's was imported")

    def _changes(self, event, args):
        for at, folder in self.CHANGES[event]:
            if not isinstance(args[at], str | bytes | os.PathLike):
                continue
            handle = -1 if folder is None or folder >= len(args) else args[folder]
            within = os.readlink(f"/proc/self/fd/{handle}") if isinstance(handle, int) and handle >= 0 else ""
            self._check(event, os.path.join(within, os.fsdecode(args[at])))

    def _check(self, event, path):
        path = os.path.abspath(os.fsdecode(path))
        if path != os.devnull and "__pycache__" not in path and not any(path.startswith(one) for one in self.allowed):
            self.found.append(f"{event} {path}")


class Sandbox:
    """A folder that stands for a machine, and what is asked in it.

    Attributes:
        work: the working folder, in which an input's files are put; emptied before each.
        counts: how many commands ended with each exit code.
    """

    watch = None

    def __init__(self, root):
        if Sandbox.watch is None:
            Sandbox.watch = Watch()
        self.root, self.work, self.counts, self.seconds = Path(root), Path(root) / "work", collections.Counter(), 0.0
        for name in ("home", "tmp", "work"):
            (self.root / name).mkdir(exist_ok=True)
        (self.root / "home" / "precious.txt").write_text("precious")
        self.runner = CliRunner(env={"HOME": str(self.root / "home"), "COLUMNS": "100"})

    @contextlib.contextmanager
    def entered(self):
        """With the working and the temporary folder in it, and with whole presets that are loaded once."""
        before, tmp = os.getcwd(), tempfile.tempdir
        os.chdir(self.work)
        sys.path.insert(0, str(self.work))  # as where a stranger's module would be found
        tempfile.tempdir, os.environ["HOME"], home = (
            str(self.root / "tmp"),
            str(self.root / "home"),
            os.environ.get("HOME", "/"),
        )
        with warm():
            try:
                yield self
            finally:
                os.chdir(before)
                sys.path.remove(str(self.work))
                tempfile.tempdir, os.environ["HOME"] = tmp, home

    def call(self, function, environment):
        """Calls a function, which is to return true, as `ask` runs a command."""
        import click

        @click.command()
        def command():
            if not function():
                raise AssertionError("it does not hold")

        before = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            return self.ask(command=command)
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})

    def fresh(self):
        """An empty working folder."""
        for path in self.work.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        # What a stranger's module would be, were it imported.
        (self.work / "evil.py").write_text("open('evil', 'w').close()")
        return self.work

    def tree(self, out):
        """Path -> what is there, but for what is in `out`."""
        found = {}
        for folder, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders if Path(folder, name) != out]
            for name in [*folders, *files]:
                about = os.lstat(os.path.join(folder, name))
                changes = (about.st_size, about.st_mtime_ns) if stat.S_ISREG(about.st_mode) else ()
                found[os.path.join(folder, name)] = (about.st_mode, *changes)
        return {path: about for path, about in found.items() if out is None or Path(path) != out}

    def ask(self, *args, stdin=None, out=None, programs=False, seconds=SECONDS, command=None):
        """Runs `rnnzoo ARGS` and checks what the head of this file says; its result."""
        from rnnzoo.cli.main import cli

        out = None if out is None else self.work / out
        before, watch = self.tree(out), Sandbox.watch
        # What is written is written under a temporary name beside it.
        tmp = str(self.root / "tmp") + os.sep
        beside = () if out is None else (str(out), str(out.parent / f".{out.name}."))
        watch.allowed, watch.found, watch.programs = (tmp, *beside), [], programs
        began = time.perf_counter()
        try:
            with time_limit(seconds):
                watch.active = True
                result = self.runner.invoke(command or cli, [*map(str, args)], input=stdin, color=True)
        except Hang as hang:
            where = [f"{Path(one.filename).name}:{one.lineno}" for one in traceback.extract_tb(hang.__traceback__)][-12:]
            raise Found(f"takes over {seconds} s\n{' '.join(where)}\n{shown(args)}") from None
        finally:
            watch.active = False
            self.seconds += time.perf_counter() - began
        told = f"{shown(args)}\nexit code {result.exit_code}\n{result.stderr[-1500:]}"
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            frames = traceback.extract_tb(result.exception.__traceback__)
            where = " < ".join(f"{Path(one.filename).name}:{one.lineno}" for one in frames[:-9:-1])
            raise Found(f"{type(result.exception).__name__}: {str(result.exception)[:300]}\n{where}\n{told}")
        self.counts[result.exit_code] += 1
        if result.exit_code not in (0, 1, 2):
            raise Found(f"another exit code\n{told}")
        if "Traceback" in result.output:
            raise Found(f"prints a traceback\n{told}")
        if result.exit_code:
            _, mark, line = result.stderr.rpartition("Error: ")
            if not mark or "\n" in line.rstrip("\n") or len(line) > LONGEST:
                raise Found(f"the error is not one line of at most {LONGEST:,} characters\n{told}")
        marked = r"\x1b\[([01]|3[1-6])m" if args[:1] in (("predict",), ("run",)) else r"(?!)"  # colours of entities
        odd = re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", re.sub(marked, "", result.stdout) + result.stderr)
        if odd:
            raise Found(f"prints a control character, {odd[0]!r}\n{told}")
        if watch.found:
            raise Found(f"does what it must not: {'; '.join(watch.found[:3])}\n{told}")
        after = self.tree(out)
        if after != before:
            changed = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
            raise Found(f"changes {', '.join(changed[:3])}\n{told}")
        return result


def shown(args):
    """A command as it can be printed."""
    return "rnnzoo " + " ".join(ascii(str(arg))[:300] for arg in args)


@contextlib.contextmanager
def time_limit(seconds):
    """Raises `Hang` after so many seconds."""

    def stop(*_):
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.5)  # again, where something catches everything
    faulthandler.dump_traceback_later(6 * seconds, exit=True)  # what never gets back to Python
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def warm():
    """Has the zoo's own presets loaded once, and no training begin: what comes before it is what is asked."""
    import rnnzoo
    from rnnzoo import evaluating, generating, predicting, training
    from rnnzoo.errors import TrainingError
    from rnnzoo.registry import list_presets

    load = predicting.from_preset
    known = functools.cache(load)

    def from_preset(name):
        return known(name) if isinstance(name, str) and name in list_presets() else load(name)

    def not_trained(work, preset, task, own, progress, notice, shared):
        try:
            rnnzoo.build(preset, task=task)
        finally:
            work.discard()
            work.close()
        raise TrainingError("whatever comes after this is not asked here")

    rnnzoo.from_preset, rnnzoo.train, rnnzoo.evaluate, rnnzoo.generate, rnnzoo.build  # noqa: B018  loads them
    changes = [(rnnzoo, "from_preset", from_preset), (training, "_go_on", not_trained)]
    changes += [(module, "from_preset", from_preset) for module in (predicting, evaluating, generating)]
    before = [(module, name, getattr(module, name)) for module, name, _ in changes]
    for module, name, value in changes:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def surface(function):
    """A surface: a function `(data, sandbox)` that draws an input and asks it."""
    SURFACES[function.__name__.replace("_", "-")] = function
    return function


# What is drawn.


def bent(data, content):
    """Bytes that are not as they were: flipped, cut, doubled, swapped, and with what does not belong there."""
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(content))))
        kind = data.draw(st.sampled_from(["flip", "cut", "drop", "double", "insert", "lines", "number", "word", "swap"]))
        length = data.draw(st.integers(1, 64))
        if kind == "flip":
            at = min(at, max(0, len(content) - 1))
            content = content and content[:at] + bytes([content[at] ^ 1 << data.draw(st.integers(0, 7))]) + content[at + 1 :]
        elif kind == "cut":
            content = content[:at]
        elif kind == "drop":
            content = content[:at] + content[at + length :]
        elif kind == "double":
            content = content[: at + length] + content[at : at + length] * data.draw(st.integers(1, 40)) + content[at:]
        elif kind == "insert":
            content = content[:at] + data.draw(st.one_of(st.sampled_from(BYTES), st.binary(max_size=8))) + content[at:]
        elif kind == "lines":
            lines = content.split(b"\n")
            one, other = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
            lines[one], lines[other] = lines[other], lines[data.draw(st.sampled_from([one, other]))]
            content = b"\n".join(lines)
        else:
            pattern = {"number": rb"-?[0-9][0-9.]*", "word": rb"[A-Za-z_]+", "swap": rb"[\t,:;\"' ]"}[kind]
            found = list(re.finditer(pattern, content[:100_000]))
            if found:
                match = found[data.draw(st.integers(0, len(found) - 1))]
                new = data.draw(st.one_of(st.sampled_from(NUMBERS).map(repr_of), st.sampled_from(TEXTS)))
                content = content[: match.start()] + new.encode("utf-8", "surrogatepass") + content[match.end() :]
    return content


def repr_of(number):
    """A whole number of any length in digits."""
    return str(number) if abs(number) < 10**1000 else "1" + "0" * 1000


def changed(data, tree):
    """Nested dicts and lists with a few values replaced, left out, renamed or put somewhere else."""
    tree = json.loads(json.dumps(tree))
    for _ in range(data.draw(st.integers(1, 3))):
        places = [*_places(tree)]
        if not places:
            break
        holder, key = places[data.draw(st.integers(0, len(places) - 1))]
        kind = data.draw(st.sampled_from(["value", "value", "value", "drop", "rename", "add", "other"]))
        if kind == "value":
            holder[key] = own(data.draw(VALUES))
        elif kind == "drop":
            del holder[key]
        elif kind == "rename" and isinstance(holder, dict):
            holder[data.draw(st.sampled_from([f"{key}x", *TEXTS]))] = holder.pop(key)
        elif kind == "add" and isinstance(holder, dict):
            holder[data.draw(st.sampled_from(TEXTS))] = own(data.draw(VALUES))
        else:
            other, name = places[data.draw(st.integers(0, len(places) - 1))]
            holder[key] = copy.copy(other[name]) if isinstance(other, dict) and _flat(other.get(name)) else 0
    return tree


def own(value):
    """A value of its own: one that is drawn twice would come to hold itself."""
    try:
        return copy.deepcopy(value)
    except RecursionError:  # lists in lists, thousands deep, and nothing else
        return copy.copy(value)


def _flat(value):
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return value is not None and not any(isinstance(part, dict | list) for part in parts)


def _places(tree, depth=0):
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield tree, key
        if isinstance(value, dict | list) and depth < 20:
            yield from _places(value, depth + 1)


def json_bytes(data, value):
    """JSON as a stranger writes it: with infinities, and with surrogates."""
    try:
        text = json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    except (RecursionError, ValueError):
        text = "[" * 5_000
    return text.encode("utf-8", "surrogatepass")


def toml_bytes(table):
    """Nested values as TOML, each at the right of its key."""
    return "".join(f"{_toml_key(key)} = {_toml(value)}\n" for key, value in table.items()).encode("utf-8", "surrogatepass")


def _toml_key(key):
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)


def _toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml_key(key)} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        flat, levels = value, 0
        while isinstance(flat, list) and len(flat) == 1:  # deep ones, without recursion
            flat, levels = flat[0], levels + 1
        if levels > 100:
            return "[" * levels + "]" * levels
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float):
        return {"inf": "inf", "-inf": "-inf", "nan": "nan"}.get(repr(value)) or repr(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return repr_of(value)
    return '""' if value is None else json.dumps(value, ensure_ascii=len(str(value)) % 2 == 0)


def preset_folder(name):
    """The folder of one of the zoo's presets."""
    from rnnzoo.registry import presets_folder

    return presets_folder() / name


def copy_of(name, folder):
    """A preset's folder, copied without what nothing reads."""
    folder.mkdir()
    for part in ("preset.toml", "metadata.json", "model.weights.h5", "learned.json"):
        if (preset_folder(name) / part).is_file():
            shutil.copyfile(preset_folder(name) / part, folder / part)
    return folder


SMALL = ("digit-sum", "digit-sum-seq2seq", "surnames", "adding-problem", "backprop-by-hand", "baby-names", "mnist-rows")


@functools.cache
def toml_of(name):
    """What a preset's TOML holds."""
    import tomllib

    return tomllib.loads((preset_folder(name) / "preset.toml").read_text(encoding="utf-8"))


@functools.cache
def options_of():
    """Command -> its options and how many arguments it takes, from the command line itself."""
    import click

    from rnnzoo.cli.main import cli

    context = click.Context(cli)
    return {name: cli.get_command(context, name).params for name in cli.list_commands(context)}


@surface
def arguments(data, sandbox):
    """Any options with any values, of every command."""
    sandbox.fresh()
    (sandbox.work / "some.csv").write_text("digits,sum\n12,3\n45,9\n7,7\n123,6\n99,18\n1,1\n20,2\n")
    command = data.draw(st.sampled_from(sorted(options_of())))
    characters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    texts = st.one_of(st.sampled_from(ARGUMENTS), st.text(characters, max_size=10))
    numbers = st.one_of(st.sampled_from(NUMBERS).map(repr_of), st.sampled_from(FLOATS).map(repr), texts)
    keys = ["model.units", "units", "layers", "training.epochs", "training.loss", "task_options.max_timesteps", "data.file"]
    keys += [
        "activation",
        "recurrent_initializer",
        "training.optimizer",
        "name",
        "training",
        "model",
        "",
        "frozen",
        "initial.x",
    ]
    sets = st.builds("{}={}".format, st.one_of(st.sampled_from(keys), texts), st.one_of(numbers, texts))
    args = []
    for option in options_of()[command]:
        if option.param_type_name == "argument":
            known = st.sampled_from([*SMALL, "many-to-one", "one-to-many", "some.csv", "digit_sum", "DIGIT-SUM"])
            count = data.draw(st.integers(0, 3)) if option.nargs == -1 else 1
            for _ in range(count):
                args.append(data.draw(st.one_of(known, known, texts)))
            continue
        if data.draw(st.integers(0, 3)) or option.name in ("help", "version"):
            continue
        args.append(option.opts[-1])
        if getattr(option, "is_flag", False):
            continue
        if option.name == "output" or option.name == "page":
            args.append(data.draw(st.sampled_from(["out", "out/a.keras", "out/a.svg", "out/a.mid", "out/a.html"])))
        elif option.name == "overrides":
            args.append(data.draw(sets))
        elif option.name == "draw":
            args.append(data.draw(st.sampled_from(["folded", "unfolded", "states", "x"])))
        else:
            args.append(data.draw(st.one_of(numbers, texts, st.just("some.csv"))))
    if command in ("export", "verify", "train", "generate") or "--help" in args:  # what is right takes long or writes here
        if command in ("train", "export") and "-o" not in args and "--output" not in args:
            args += ["-o", "out"]
        if command == "generate" and "--length" not in args:
            args += ["--length", "20"]
        if command in ("export", "verify"):
            args += ["--seed", "x"] if command == "verify" else ["--format", data.draw(texts)]
    if command == "evaluate" and "--data" not in args:  # all test sets are long, and no harm
        args += ["--data", "some.csv"]
    sandbox.ask(command, *args, out="out", stdin=data.draw(st.sampled_from([b"", b"12\n", b"\xff\n"])))


@surface
def toml(data, sandbox):
    """Preset files."""
    folder = copy_of(data.draw(st.sampled_from(SMALL)), sandbox.fresh() / "mine")
    name = data.draw(st.sampled_from(SMALL))
    if data.draw(st.booleans()):
        content = toml_bytes(changed(data, toml_of(name)))
    else:
        content = bent(data, (preset_folder(name) / "preset.toml").read_bytes())
    (folder / "preset.toml").write_bytes(content)
    command = data.draw(st.sampled_from(["info", "list", "build", "build", "train", "predict"]))
    rest = {
        "info": ["--json"] * data.draw(st.booleans()),
        "list": ["--runs", "."],
        "train": ["-o", "out"],
        "predict": ["12"],
        "build": ["-o", "out.keras"] * data.draw(st.booleans()),
    }.get(command, [])
    sandbox.ask(command, *(["mine"] if command != "list" else []), *rest, out="out.keras" if command == "build" else "out")


@surface
def metadata(data, sandbox):
    """What training wrote: scores and checksums, vocabularies, how a run stands."""
    name = data.draw(st.sampled_from(["digit-sum", "surnames", "sentiment", "entities", "translation", "chorales"]))
    folder = copy_of(name, sandbox.fresh() / "mine")
    files = [path.name for path in folder.iterdir() if path.suffix == ".json"]
    file = folder / data.draw(st.sampled_from([*files, "unfinished/state.json"]))
    if file.name == "state.json":
        file.parent.mkdir()
        shutil.move(folder / "preset.toml", file.parent / "preset.toml")
        state = {"state": "interrupted", "epochs": 3, "data": None, "tensorboard": False, "sha256": {}, **versions()}
        digest = hashlib.sha256((file.parent / "preset.toml").read_bytes()).hexdigest()
        state["sha256"]["preset.toml"] = digest
        for path in (folder / "metadata.json", folder / "model.weights.h5"):
            if data.draw(st.booleans()):
                path.unlink(missing_ok=True)
        content = json.dumps(state).encode()
    else:
        content = file.read_bytes()
    if data.draw(st.booleans()):
        file.write_bytes(json_bytes(data, changed(data, json.loads(content))))
    else:
        file.write_bytes(bent(data, content))
    if file.name == "learned.json" and data.draw(st.booleans()):  # a stranger's checksum is right
        told = json.loads((folder / "metadata.json").read_text())
        told["learned_sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
        (folder / "metadata.json").write_text(json.dumps(told))
    commands = [["info", "mine"], ["info", "mine", "--json"], ["list", "--runs", "."], ["predict", "mine", "12"]]
    if file.name == "state.json":
        commands = [["list", "--runs", "."], ["train", "--resume", "mine"], ["info", "mine"], ["info", "mine/unfinished"]]
    sandbox.ask(*data.draw(st.sampled_from(commands)), out="mine" if file.name == "state.json" else None)


def versions():
    """The versions that a run begins with."""
    from rnnzoo.results import versions

    return versions()


@surface
def recipes(data, sandbox):
    """Sizes and numbers of recipes that no machine has room for, and names that are none."""
    from rnnzoo._signatures import task_arguments
    from rnnzoo.registry import Training, factory_arguments, list_architectures, list_tasks, load_preset

    sandbox.fresh()
    numbers = st.one_of(
        st.sampled_from(NUMBERS).map(repr_of), st.sampled_from(FLOATS).map(repr), st.integers(1, 20).map(str)
    )
    numbers = st.one_of(numbers, numbers, st.lists(numbers, max_size=3).map(lambda some: f"[{', '.join(some)}]"))
    numbers = st.one_of(numbers, numbers, st.sampled_from(["true", "1000000", "5000", "100000", "[1000000]", *ARGUMENTS]))
    name = data.draw(st.sampled_from([*SMALL, *list_architectures()]))
    if name in list_architectures():
        keys, command = [*factory_arguments(name)], "build"
    else:
        preset, command = load_preset(name), data.draw(st.sampled_from(["build", "train", "train", "explain"]))
        keys = [f"training.{key}" for key in Training.model_fields] * (command == "train")
        keys += [f"model.{key}" for key in factory_arguments(preset.architecture)]
        keys += [f"task_options.{key}" for key in task_arguments(preset.task)] * 2
        keys += ["architecture", "task", "training.curriculum.timesteps", "training.pretrain.preset", "frozen", "name"]
    sets = []
    for _ in range(data.draw(st.integers(1, 3))):
        key = data.draw(st.sampled_from(keys))
        value = data.draw(numbers)
        if key in ("architecture", "task") and data.draw(st.booleans()):
            value = data.draw(st.sampled_from([*list_architectures(), *list_tasks()]))
        sets += ["--set", f"{key}={value}"]
    rest = {"train": ["-o", "out"], "explain": ["--gradients", "--untrained", "0", "--examples", "2"]}.get(command, [])
    sandbox.ask(command, name, *sets, *rest, out="out")


ASKED = (
    "digit-sum",
    "number-spelling",
    "seven-segment",
    "adding-problem",
    "surnames",
    "sentiment",
    "entities",
    "shakespeare",
)
ASKED += (
    "translation",
    "temporal-order",
    "mnist",
    "handwritten-sum",
    "chorales",
    "gesture-phases",
    "addition",
    "baby-names",
)


@surface
def samples(data, sandbox):
    """Raw inputs of every kind, as arguments, lines of a file and of standard input, and timesteps of a stream."""

    sandbox.fresh()
    name = data.draw(st.sampled_from(ASKED))
    right = [json.dumps(one.tolist()) if hasattr(one, "tolist") else str(one) for one in task_of(name).samples()]
    right += ["1", "7 8", "0.3:0 0.5:1", "drawn:7", "drawn:3 drawn:4", "C4:E4 r", "synthetic:3", "[[1, 2], [3, 4]]", "[]"]
    texts = st.one_of(st.sampled_from(right), st.sampled_from(ARGUMENTS), st.sampled_from(right).map(lambda text: text * 3))
    bent_ones = st.sampled_from(right).map(lambda text: bent(data, text.encode("utf-8", "surrogateescape")))
    lines = data.draw(
        st.lists(st.one_of(texts.map(lambda text: text.encode("utf-8", "surrogateescape")), bent_ones), max_size=4)
    )
    how = data.draw(st.sampled_from(["arguments", "arguments", "file", "stdin", "stream", "generate"]))
    flags = ["--json"] * data.draw(st.booleans())
    content = data.draw(st.sampled_from([b"\n", b"\r\n", b"\n\n"])).join(lines)
    if how == "arguments":
        args = [line.decode("utf-8", "surrogateescape").replace("\0", "") for line in lines]
        sandbox.ask("predict", name, *flags, "--", *args)
    elif how == "generate":
        prompt = lines[0].decode("utf-8", "surrogateescape").replace("\0", "") if lines else ""
        which = data.draw(st.sampled_from(["--prompt", "--input"]))
        sandbox.ask("generate", name, *flags, f"{which}={prompt}", "--length", "8", "--seed", "1")
    elif how == "file":
        (sandbox.work / "lines.txt").write_bytes(content)
        sandbox.ask("predict", name, *flags, "--file", "lines.txt")
    else:
        sandbox.ask("predict", name, "-", *flags, *["--stream"] * (how == "stream"), stdin=content)


@functools.cache
def task_of(name):
    """A preset's task."""
    from rnnzoo.building import create_task
    from rnnzoo.registry import load_preset

    return create_task(load_preset(name))


DATA = {  # preset -> a file that is right
    "digit-sum": b"digits,sum\n12,3\n45,9\n7,7\n123,6\n99,18\n1,1\n20,2\n",
    "digit-sum-running": b"input,answer\n12,1 3\n45,4 9\n7,7\n123,1 3 6\n99,9 18\n1,1\n",
    "surnames": b"surname,language\n" + b"".join(b"Name%s,L%d\n" % (bytes([65 + i]) * 2, i % 2) for i in range(12)),
    "sentiment": b'text,label\n"a good, good film",yes\nbad,no\nso so,no\nfine film,yes\ngreat film,yes\nawful film,no\n',
    "entities": b"EU\tB-ORG\nsent\tO\n\nPeter\tB-PER\nBlackburn\tI-PER\n\nin\tO\nParis\tB-LOC\n\nA\tO\n\nB\tO\n",
    "shakespeare": b"To be, or not to be, that is the question:\nWhether 'tis nobler in the mind to suffer\n" * 30,
    "adding-problem": b"0.3:0 0.5:1 0.2:0 0.4:1,0.9\n0.1:1 0.2:1,0.3\n0.6:1 0.7:1 0.1:0,1.3\n0.5:1 0.5:1,1\n",
    "translation": b"input,answer\nGo.,Va !\nHi.,Salut !\nRun!,Cours !\nWho?,Qui ?\nStop!,Stop !\nWait!,Attends !\n" * 2,
    "baby-names": b"input,answer\n" + b"".join(b"start,an%s\n" % (bytes([97 + i]) * 2) for i in range(12)),
    "number-spelling": b"input,answer\n1,one\n2,two\n3,three\n4,four\n5,five\n6,six\n7,seven\n",
}
TEXTUAL = ("entities", "shakespeare")  # of which such a file is no CSV


@surface
def data_files(data, sandbox):
    """The user's own examples as CSV, TSV, JSONL, CoNLL and plain text."""
    sandbox.fresh()
    name = data.draw(st.sampled_from(sorted(DATA)))
    content = DATA[name if data.draw(st.integers(0, 4)) else data.draw(st.sampled_from(sorted(DATA)))]
    usual = "txt" if name in TEXTUAL else "csv"
    ending = data.draw(
        st.sampled_from([usual, usual, usual, "csv", "tsv", "jsonl", "txt", "conll", "", "CSV", "mid", "png"])
    )
    if ending == "jsonl" or (ending == "csv" and data.draw(st.integers(0, 5)) == 0):
        rows = [line.split(",", 1) for line in content.decode().splitlines()]
        rows = [dict(zip(("input", "answer"), row, strict=False)) if data.draw(st.booleans()) else row for row in rows]
        if data.draw(st.booleans()):
            rows = changed(data, rows)
        content = b"\n".join(json_bytes(data, row) for row in rows)
    elif ending == "tsv":
        content = content.replace(b",", b"\t")
    if data.draw(st.booleans()):
        content = bent(data, content)
    if data.draw(st.integers(0, 9)) == 0:
        content = content.decode("utf-8", "replace").encode(data.draw(st.sampled_from(["utf-16", "utf-8-sig", "utf-32"])))
    path = sandbox.work / f"mine.{ending}".rstrip(".")
    kind = data.draw(st.integers(0, 30))
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.symlink_to(data.draw(st.sampled_from(["/dev/zero", "/dev/full", "/etc/shadow", "nowhere", path.name])))
    elif kind == 2:
        path.mkdir()
        (path / "0").mkdir()
        (path / "0" / "loop").symlink_to("..")
        (path / "0" / "x.csv").write_bytes(content)
    else:
        path.write_bytes(content)
    rest = ["--skip-bad"] * data.draw(st.booleans())
    columns = data.draw(st.sampled_from([None, None, None, "input,answer", "x,y", "digits,digits", ",", "a", "1,2", "3,1"]))
    rest += [] if columns is None else ["--columns", columns]
    if data.draw(st.integers(0, 2)):
        sandbox.ask("evaluate", name, "--data", path.name, *rest)
    else:
        sandbox.ask("train", name, "--data", path.name, *rest, "-o", "out", out="out")


@functools.cache
def midi():
    """A MIDI file that is right, as bytes."""
    from rnnzoo.tasks import _midi
    from rnnzoo.tasks._polyphony import invented

    with tempfile.TemporaryDirectory() as folder:
        sounds = __import__("numpy").zeros((12, 128))
        sounds[:, 21:109] = invented(12)
        _midi.write(Path(folder) / "x.mid", sounds, 1.0, 90)
        return (Path(folder) / "x.mid").read_bytes()


@surface
def music(data, sandbox):
    """MIDI files."""
    sandbox.fresh()
    content = midi()
    kind = data.draw(st.integers(0, 3))
    if kind == 0:  # times that no piece has
        at = content.index(b"MTrk") + 8
        long = data.draw(st.sampled_from([b"\xff\xff\xff\x7f", b"\x8f\xff\x7f", b"\xff" * 40 + b"\x7f"]))
        content = content[:at] + long + content[at + 1 :] * data.draw(st.integers(1, 3))
    elif kind == 1:  # tracks that are said to be there
        content = content[:10] + data.draw(st.binary(min_size=4, max_size=4)) + content[14:]
    content = bent(data, content)
    (sandbox.work / "x.mid").write_bytes(content)
    ask = data.draw(st.sampled_from(["predict", "generate", "evaluate", "folder"]))
    if ask == "predict":
        sandbox.ask("predict", "chorales", "x.mid")
    elif ask == "generate":
        sandbox.ask("generate", "chorales", "--prompt", "x.mid", "--prompt-length", "4", "--length", "4", "--seed", "1")
    elif ask == "evaluate":
        sandbox.ask("evaluate", "chorales", "--data", "x.mid")
    else:
        (sandbox.work / "pieces").mkdir()
        (sandbox.work / "pieces" / "good.mid").write_bytes(midi())
        (sandbox.work / "x.mid").rename(sandbox.work / "pieces" / "x.mid")
        sandbox.ask("evaluate", "chorales", "--data", "pieces", *["--skip-bad"] * data.draw(st.booleans()))


@functools.cache
def pictures():
    """Pictures that are right, as bytes, by their ending."""
    from PIL import Image

    from rnnzoo.tasks._drawn_digits import drawn_digit

    found = {}
    image = Image.fromarray(drawn_digit(7).astype("uint8"))
    for ending, format in (
        ("png", "PNG"),
        ("jpg", "JPEG"),
        ("bmp", "BMP"),
        ("gif", "GIF"),
        ("tif", "TIFF"),
        ("webp", "WEBP"),
        ("pgm", "PPM"),
    ):
        file = io.BytesIO()
        image.save(file, format)
        found[ending] = file.getvalue()
    return found


@surface
def images(data, sandbox):
    """Picture files: damaged, of sizes that they do not have, of other kinds, and with other programs in them."""
    sandbox.fresh()
    ending = data.draw(st.sampled_from(sorted(pictures())))
    content = pictures()[ending]
    kind = data.draw(st.integers(0, 5))
    if kind == 0 and ending == "png":  # a bomb: so many pixels, with the right checksum
        wide, high = (data.draw(st.sampled_from([0, 1, 4096, 4097, 65535, 2**31 - 1, 2**32 - 1])) for _ in range(2))
        header = b"IHDR" + wide.to_bytes(4, "big") + high.to_bytes(4, "big") + content[24:29]
        content = content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:]
    elif kind == 1:
        content = data.draw(
            st.sampled_from(
                [
                    b"%!PS-Adobe-3.0 EPSF-3.0\n(evil) (w) file",
                    b"P5 99999999 99999999 255\n",
                    b"P3 1 1 1 1",
                    b"GIF89a" + b"\xff" * 20,
                    PICKLE,
                    b"",
                ]
            )
        )
    if kind:
        content = bent(data, content)
    name = f"x.{data.draw(st.sampled_from([ending, ending, 'png', 'tif']))}"
    (sandbox.work / name).write_bytes(content)
    preset = data.draw(st.sampled_from(["mnist", "handwritten-sum"]))
    ask = data.draw(st.sampled_from(["predict", "predict", "evaluate"]))
    if ask == "predict":
        sandbox.ask("predict", preset, name)
    else:
        (sandbox.work / "7").mkdir()
        (sandbox.work / name).rename(sandbox.work / "7" / name)
        (sandbox.work / "7" / "good.png").write_bytes(pictures()["png"])
        if data.draw(st.booleans()):
            (sandbox.work / "7" / "again").symlink_to("..")
        sandbox.ask("evaluate", "mnist", "--data", ".", *["--skip-bad"] * data.draw(st.booleans()))


def resealed(folder):
    """Has the metadata of a preset's folder have the checksum of its weights: a stranger's is right."""
    told = json.loads((folder / "metadata.json").read_text())
    told["weights_sha256"] = hashlib.sha256((folder / "model.weights.h5").read_bytes()).hexdigest()
    (folder / "metadata.json").write_text(json.dumps(told))


WRONG = ["soft", "external", "file", "virtual", "huge", "shape", "text", "object", "reference", "group", "loop", "nan"]


@surface
def weights(data, sandbox):
    """Files of weights: damaged, of other shapes, with links, references, texts, and sizes that nothing holds."""
    import h5py
    import numpy as np

    folder = copy_of(
        data.draw(st.sampled_from(["digit-sum", "seven-segment", "backprop-by-hand"])), sandbox.fresh() / "mine"
    )
    path = folder / "model.weights.h5"
    kind = data.draw(st.integers(0, 3))
    if kind == 0:
        path.write_bytes(
            data.draw(st.sampled_from([PICKLE, b"", b"PK\5\6" + b"\0" * 18, b"\x89HDF\r\n\x1a\n", b"\0" * 100_000]))
        )
    elif kind == 1:
        path.write_bytes(bent(data, path.read_bytes()))
    else:
        with h5py.File(path, "a") as file:
            names = []
            file.visititems(lambda name, entry: names.append(name) if isinstance(entry, h5py.Dataset) else None)
            name = data.draw(st.sampled_from([*names, "layers/x", "vars/0"]))
            if name in file:
                shape = file[name].shape
                del file[name]
            else:
                shape = (2,)
            kind = data.draw(st.sampled_from(WRONG))
            if kind == "soft":
                file[name] = h5py.SoftLink(
                    data.draw(st.sampled_from(["/", "/nowhere", f"/{name}", *(f"/{n}" for n in names)]))
                )
            elif kind == "external":
                file[name] = h5py.ExternalLink(data.draw(st.sampled_from(["/etc/passwd", "../precious.h5", str(path)])), "/")
            elif kind == "file":
                file.create_dataset(name, shape, "f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
            elif kind == "virtual":
                layout = h5py.VirtualLayout(shape or (1,), "f4")
                layout[...] = h5py.VirtualSource(str(path), names[0], shape=shape or (1,))
                file.create_virtual_dataset(name, layout)
            elif kind == "huge":
                sizes = data.draw(st.lists(st.sampled_from([1, 2**16, 2**20, 2**30]), min_size=1, max_size=3))
                file.create_dataset(name, sizes, "f4", chunks=tuple(min(size, 256) for size in sizes), compression="gzip")
            elif kind == "shape":
                file[name] = np.zeros(
                    data.draw(st.lists(st.integers(0, 5), max_size=4)), data.draw(st.sampled_from(["f4", "f8", "i8", "?"]))
                )
            elif kind == "text":
                file[name] = data.draw(st.sampled_from(["text", PICKLE.decode()]))
            elif kind == "object":
                file[name] = np.void(PICKLE)
            elif kind == "reference":
                file.create_dataset(name, (2,), h5py.ref_dtype)[0] = file.ref
            elif kind == "group":
                file.create_group(name)
            elif kind == "loop":
                file[name] = file["/"]
            else:
                file[name] = np.full(shape, np.nan, "f4")
    if data.draw(st.integers(0, 3)):
        resealed(folder)
    if data.draw(st.integers(0, 9)) == 0:
        path.unlink()
        path.symlink_to(data.draw(st.sampled_from(["/dev/zero", "/etc/passwd", "../../home/precious.txt"])))
    sandbox.ask("predict", "mine", *["1010101"] * 2)


@functools.cache
def keras_file(name):
    """A `.keras` file that is right, as bytes."""
    from rnnzoo import building

    with tempfile.TemporaryDirectory() as folder:
        building.start(name)[0].save(Path(folder) / "x.keras")
        return (Path(folder) / "x.keras").read_bytes()


STRANGE = [  # what a stranger puts into a model
    {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "function"},
    {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {
            "name": "x",
            "function": {"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None, "closure": None}},
        },
    },
    {"module": "os", "class_name": "system", "config": {"command": "touch evil"}, "registered_name": None},
    {"module": "evil", "class_name": "Evil", "config": {}, "registered_name": "evil>Evil"},
    {"module": "keras_hub.evil", "class_name": "Evil", "config": {}, "registered_name": "Evil"},
    {"module": "keras.utils", "class_name": "get_file", "config": {"fname": "evil", "origin": "http://localhost/evil"}},
    {"module": "keras.config", "class_name": "enable_unsafe_deserialization", "config": {}},
    {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "evil"}},
    {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {"module": "evil"}},
    {"module": "keras.layers", "class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}},
    {"module": "subprocess", "class_name": "Popen", "config": ["touch", "evil"]},
    {"module": "keras.layers", "class_name": "Dense", "config": {"units": 10**9}},
    {"module": "rnnzoo.errors", "class_name": "InputError", "config": {}},
    {"class_name": "__tensor__", "config": {"value": [1], "dtype": "object"}},
    {"class_name": "__numpy__", "config": {"value": [["x"]], "dtype": "O"}},
]


@surface
def keras_files(data, sandbox):
    """Models in Keras's own format: archives, configurations and weights that are not what they should be."""
    sandbox.fresh()
    content = keras_file(data.draw(st.sampled_from(["many-to-one", "one-to-one", "bidirectional"])))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    kind = data.draw(st.integers(0, 5))
    if kind == 0:
        members["model.weights.h5"] = bent(data, members["model.weights.h5"])
    elif kind in (1, 2):
        config = json.loads(members["config.json"])
        places = [*_places(config)]
        holder, key = places[data.draw(st.integers(0, len(places) - 1))]
        holder[key] = data.draw(st.sampled_from(STRANGE))
        if kind == 2:
            config = changed(data, config)
        members["config.json"] = json_bytes(data, config)
    elif kind == 3:
        members["config.json"] = bent(data, members["config.json"])
    written = archived(data, members)
    (sandbox.work / "x.keras").write_bytes(bent(data, written) if kind == 4 else written)
    sample = data.draw(
        st.sampled_from(["[[0,0,0,0,0,0,0,1]]", "[0,0,0,0,0,0,0,1]", "[]", "{", '{"a": 1}', "[" * 5000, "[NaN]"])
    )
    args = (
        ["explain", "x.keras", sample]
        if data.draw(st.booleans())
        else ["explain", "x.keras", "--draw", "folded", "-o", "out.svg"]
    )
    sandbox.ask(*args, out="out.svg")


def archived(data, members):
    """A zip archive of name -> bytes, with what an archive of a stranger's may have."""
    file, kind = io.BytesIO(), data.draw(st.integers(0, 12))
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            if kind == 0:
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, content)
        if kind == 1:
            name = data.draw(st.sampled_from(["../evil", "/tmp/evil", "a/../../evil", "C:\\evil", "\\evil", "..", "~/evil"]))
            archive.writestr(name, b"evil")
        elif kind == 2:
            archive.writestr("bomb", b"\0" * 2**26, zipfile.ZIP_DEFLATED)
        elif kind == 3:
            for i in range(data.draw(st.sampled_from([10, 11_000]))):
                archive.writestr(f"{i}", b"")
        elif kind == 4:
            archive.comment = data.draw(st.binary(max_size=50))
    written = bytearray(file.getvalue())
    if kind in (5, 6):  # sizes that are none, a method that is none, a password, in the list at the end
        at = written.rindex(b"PK\1\2") if kind == 5 else written.index(b"PK\1\2")
        place, size = data.draw(st.sampled_from([(20, 4), (24, 4), (42, 4), (8, 2), (10, 2), (28, 2), (30, 2)]))
        written[at + place : at + place + size] = (
            data.draw(st.sampled_from([b"\xff", b"\0", b"\x0e", b"\x0c", b"\1"])) * size
        )
    return bytes(written)


@surface
def archives(data, sandbox):
    """Data sets' archives of a stranger's, zip and gz, whose checksum is right."""
    from rnnzoo import data as module
    from rnnzoo.errors import DataError

    sandbox.fresh()
    words = b"a good film\n" * 50
    kind = data.draw(st.sampled_from(["zip", "gz", "text", "tar"]))
    if kind == "zip":
        content = archived(data, {"folder/words.txt": words, "folder/other": b"x"})
    elif kind == "gz":
        content = gzip.compress(words if data.draw(st.booleans()) else b"\0" * 2**26)
    elif kind == "tar":
        content = b"folder/words.txt".ljust(100, b"\0") + b"0000777\0" * 3 + b"77777777777\0" * 2 + b"\0" * 400
    else:
        content = words
    content = bent(data, content) if data.draw(st.booleans()) else content
    name = f"folder/file.{kind}"
    path = sandbox.work / "cache" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    size = data.draw(st.sampled_from([len(words), 0, 10, 2**20]))
    file = module.DataFile(name, "https://localhost/x", hashlib.sha256(content).hexdigest(), len(content))
    if kind == "gz":
        file = file._replace(sha256=hashlib.sha256(words).hexdigest(), size=len(words))

    def read():
        try:
            found = module.read_member(file, "folder/words.txt", size) if kind == "zip" else module.read(file)
            return len(found) <= max(size, file.size)
        except DataError as error:
            return "\n" not in str(error)

    sandbox.call(read, {"RNNZOO_DATA": str(sandbox.work / "cache")})


@functools.cache
def checkpoint():
    """A checkpoint of digit-sum that is right: the name of each file -> its bytes."""
    import rnnzoo
    from rnnzoo.checkpoints import Checkpoints, Position
    from rnnzoo.epochs import make_optimizer
    from rnnzoo.registry import load_preset

    preset = load_preset("digit-sum")
    model = rnnzoo.build(preset)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "checkpoints").mkdir()
        position = Position(**{**dict.fromkeys(Position._fields, 0), "history": [{"epoch": 1}]})
        Checkpoints(Path(folder)).save(model, make_optimizer(preset.training, 3), position)
        return {path.name: path.read_bytes() for path in Path(folder, "checkpoints", "000001").iterdir()}


@surface
def checkpoints(data, sandbox):
    """Runs that are not complete: checkpoints that are damaged or of something else, links and pipes among their files."""
    folder = sandbox.fresh() / "run" / "unfinished"
    (folder / "checkpoints" / "000001").mkdir(parents=True)
    shutil.copyfile(preset_folder("digit-sum") / "preset.toml", folder / "preset.toml")
    digest = hashlib.sha256((folder / "preset.toml").read_bytes()).hexdigest()
    state = {"state": "interrupted", "epochs": 3, "data": None, "tensorboard": False, "sha256": {"preset.toml": digest}}
    (folder / "state.json").write_text(json.dumps({**state, **versions()}))
    files = dict(checkpoint())
    part = data.draw(st.sampled_from([*sorted(files), "lock"]))
    kind = data.draw(st.integers(0, 12))
    for name, content in files.items():
        (folder / "checkpoints" / "000001" / name).write_bytes(bent(data, content) if name == part and kind > 2 else content)
    place = folder / "lock" if part == "lock" else folder / "checkpoints" / "000001" / part
    if kind <= 2:
        place.unlink(missing_ok=True)
    if kind == 0:
        os.mkfifo(place)
    elif kind == 1:
        place.symlink_to(
            data.draw(st.sampled_from(["/dev/zero", "../../../../home/precious.txt", "../made", "/etc/passwd"]))
        )
    command = data.draw(
        st.sampled_from([["predict", "run/unfinished", "12"], ["list", "--runs", "."], ["train", "--resume", "run"]])
    )
    sandbox.ask(*command, out="run" if command[0] == "train" else None)


@functools.cache
def exports(format):
    """Exports that are right: name -> the bytes of each file in its folder, and of one file alone."""
    import rnnzoo

    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("digit-sum", "seven-segment", "number-spelling"):
            rnnzoo.export(name, Path(folder) / name, format=format, verify=False)
            found[name] = {path.name: path.read_bytes() for path in (Path(folder) / name).iterdir()}
            ending = {"onnx": ".onnx", "litert": ".tflite"}[format]
            rnnzoo.export(name, Path(folder) / f"{name}{ending}", format=format, verify=False)
            found[name]["alone"] = (Path(folder) / f"{name}{ending}").read_bytes()
    return found


@surface
def exported(data, sandbox):
    """Exports in ONNX and LiteRT and what describes them, with checksums that are right."""
    from rnnzoo.running._description import digest
    from rnnzoo.running._onnx import seal

    sandbox.fresh()
    format = data.draw(st.sampled_from(["onnx", "litert"]))
    ending = {"onnx": ".onnx", "litert": ".tflite"}[format]
    name = data.draw(st.sampled_from(sorted(exports(format))))
    files = dict(exports(format)[name])
    alone, right = files.pop("alone"), data.draw(st.integers(0, 4)) > 0

    def sealed(body):
        return body + seal(body) if right else body

    if data.draw(st.integers(0, 2)) == 0:
        body = bent(data, alone[: -len(seal(b""))] if format == "onnx" else alone)
        (sandbox.work / f"x{ending}").write_bytes(sealed(body) if format == "onnx" else body)
        where = f"x{ending}"
    else:
        part = data.draw(st.sampled_from([*sorted(files), "rnnzoo.json", "rnnzoo.json"]))
        description = json.loads(files["rnnzoo.json"])
        if part.endswith(".onnx"):
            files[part] = sealed(bent(data, files[part][: -len(seal(b""))]))
        elif part == "rnnzoo.json":
            description = changed(data, description)
        elif part == "proof.json":
            files[part] = json_bytes(data, changed(data, json.loads(files[part])))
        else:
            files[part] = bent(data, files[part])
        if right and isinstance(description.get("files"), dict):
            for one, told in description["files"].items():
                if one in files and isinstance(told, dict):
                    told["sha256"] = hashlib.sha256(files[one]).hexdigest()
            with contextlib.suppress(RecursionError, ValueError):
                description["sha256"] = digest(description)
        files["rnnzoo.json"] = json_bytes(data, description)
        (sandbox.work / "x").mkdir()
        for one, content in files.items():
            (sandbox.work / "x" / one).write_bytes(content)
        if data.draw(st.integers(0, 20)) == 0:
            (sandbox.work / "x" / part).unlink()
            os.mkfifo(sandbox.work / "x" / part)
        where = "x"
    good = {"digit-sum": "1294", "seven-segment": "1111110", "number-spelling": "77"}[name]
    if data.draw(st.integers(0, 60)) == 0:
        sandbox.ask("verify", where, programs=True, seconds=60)  # a process of its own, which imports what runs it
    else:
        sandbox.ask("run", where, data.draw(st.sampled_from([good, good, "x", "", "9" * 300])))


# What runs them.


def drive(name, sandbox, examples, seed=None, found=None):
    """Asks so many inputs of a surface.

    Args:
        name: the surface.
        sandbox: a `Sandbox` that is entered.
        examples: how many.
        seed: of what is drawn; always the same inputs if `None`.
        found: a dict of what was found -> (how often, the first of it), to go on after it; it is raised, and made small, if
            `None`.
    """

    @hypothesis.settings(
        max_examples=examples,
        derandomize=seed is None,
        database=None,
        deadline=None,
        suppress_health_check=[*HealthCheck],
        phases=[Phase.generate, *([Phase.shrink] if found is None else [])],
        report_multiple_bugs=False,
        print_blob=False,
    )
    @hypothesis.given(st.data())
    def asked(data):
        try:
            SURFACES[name](data, sandbox)
        except Found as error:
            if found is None:
                raise
            lines = str(error).splitlines()
            kind = " | ".join(
                [name, re.sub(r"[0-9]+|'.*'|/\S+", "#", lines[0])[:120], " ".join(lines[1].split(" < ")[:2])[:90]]
            )
            count, first = found.get(kind, (0, str(error)))
            found[kind] = (count + 1, first)

    if seed is not None:
        asked = hypothesis.seed(seed)(asked)
    asked()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("surfaces", nargs="*", help=f"some of {', '.join(SURFACES)}; all if none is given")
    parser.add_argument("-n", "--examples", type=int, default=None, help="of each; its own number if not given")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    found, total = {}, 0
    print(f"{'surface':<12} {'inputs':>7} {'refused':>8} {'failed':>7} {'taken':>6} {'slow':>6} {'seconds':>8}", flush=True)
    for name in given.surfaces or SURFACES:
        before = len(found)
        with tempfile.TemporaryDirectory() as root:
            sandbox = Sandbox(root)
            with sandbox.entered():
                drive(name, sandbox, given.examples or EXAMPLES.get(name, 1000), given.seed, found)
        counts = sandbox.counts
        total += sum(counts.values())
        figures = (sum(counts.values()), counts[2], counts[1], counts[0], len(found) - before, sandbox.seconds)
        print("{:<12} {:>7,} {:>8,} {:>7,} {:>6,} {:>6} {:>8.1f}".format(name, *figures), flush=True)
    print(f"{total:,} inputs, {len(found)} findings")
    for kind, (count, first) in sorted(found.items(), key=lambda one: -one[1][0]):
        print(f"\n== {count} x {kind}\n{first}")
    return 1 if found else 0


# At least 10,000 in all.
EXAMPLES = {
    "toml": 2000,
    "arguments": 1800,
    "metadata": 800,
    "recipes": 1500,
    "samples": 1000,
    "data-files": 1000,
    "music": 500,
}
EXAMPLES |= {"images": 600, "weights": 600, "keras-files": 500, "archives": 500, "exported": 1000, "checkpoints": 300}

if __name__ == "__main__":
    sys.exit(main())
