"""One timestep at a time: the answers of the whole sequence, in constant memory and time, saved and restored."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import rnnzoo
from rnnzoo.building import create_task
from rnnzoo.cli.main import cli
from rnnzoo.registry import list_presets, load_preset
from rnnzoo.streaming import Stepper

WHOLE = {
    "one_to_one": "has no timesteps",
    "one_to_many": "takes its whole input at once",
    "encoder_decoder": "reads its whole source before it writes",
}
BOTH_WAYS = "runs in both directions: its every output needs the whole sequence"


@pytest.fixture(scope="module")
def digit_sum(zoo):
    return zoo("digit-sum")


@pytest.mark.parametrize("name", list_presets())
def test_steps_give_what_the_whole_sequence_gives(name, zoo):
    zoo = zoo(name)
    try:
        stream = zoo.stream()
    except rnnzoo.InputError as error:
        both_ways = any(isinstance(layer, keras.layers.Bidirectional) for layer in zoo.model.layers)
        assert WHOLE.get(zoo.preset.architecture, BOTH_WAYS if both_ways else "?") in str(error)
        assert "\n" not in str(error) and "predict" in str(error)
        return
    assert zoo.preset.architecture not in WHOLE
    (raw,) = zoo.check([max(zoo.task.raw_inputs()[:500], key=zoo.task.input.steps)])
    sequence = zoo.task.input.front(zoo.task.input.tensor([raw]))
    steps = raw if isinstance(raw, str) else np.reshape(raw, (zoo.task.input.steps(raw), -1))
    for t in range(min(40, len(steps))):
        answer = stream.push(steps[t])
        front = sequence[:, : t + 1]
        outputs = zoo.model(front).numpy()
        outputs = outputs[:, -1] if outputs.ndim == 3 else outputs
        np.testing.assert_allclose(stream.scores, outputs[0], rtol=1e-6, atol=1e-6 * max(1, np.abs(outputs).max()))
        named = {key: value.numpy() for key, value in zoo.task.answer.back(zoo.model(front), front).items()}
        whole = zoo.task.answer.answers(named)[0]
        whole = whole[-1] if zoo.task.answer.per_timestep else whole
        same = whole if isinstance(whole, str) else pytest.approx(whole, rel=1e-6)
        assert answer == same and type(answer) is type(whole)
    assert stream.timesteps == t + 1


def test_what_goes_in_and_what_comes_out(digit_sum, zoo):
    stream = digit_sum.stream()
    assert stream.scores is None and stream.timesteps == 0
    assert list(stream.answers("1294")) == [1, 3, 12, 16]
    stream.reset()
    assert [stream.push(one) for one in (1, b"2", "9", np.int64(4), np.str_("0"), 0, 10)] == [1, 3, 12, 16, 16, 16, 16]
    other = digit_sum.stream()  # a sequence of its own
    assert other.push("5") == 5 and stream.push("1") == 17
    numbers = zoo("adding-problem").stream()
    frames = ("0.3:1", "0.3 1", "0.3,1", "[0.3, 1]", [0.3, 1], (0.3, 1), np.array([0.3, 1]), b"0.3:1")
    assert len({numbers.push(frame) for frame in frames if not numbers.reset()}) == 1


def test_answers_are_lazy(digit_sum):
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield "1"

    for number, answer in zip(range(1, 6), digit_sum.stream().answers(endless()), strict=False):
        assert answer == number == len(taken)


@pytest.mark.parametrize(
    ("preset", "timestep", "message"),
    [
        ("digit-sum", "x", "digit-sum: timestep 2: 'x'; expected one character of a string of digits 0 to 9"),
        ("digit-sum", "12", "timestep 2: '12'; expected one character"),
        ("digit-sum", "", "timestep 2: ''; expected one character"),
        ("digit-sum", "１", "timestep 2: '１'; expected"),
        ("digit-sum", b"\xff", "timestep 2: '"),
        ("digit-sum", "1" * 10**6, "timestep 2: '1111"),
        ("digit-sum", 12, "timestep 2: 12 is no token id; ids run from 1 to 10"),
        ("digit-sum", -1, "timestep 2: -1 is no token id"),
        ("digit-sum", None, "timestep 2: None is no token id"),
        ("digit-sum", True, "timestep 2: True is no token id"),
        ("adding-problem", "0.5", "timestep 2: 1 number; expected 2 numbers, for example '0.3:0'"),
        ("adding-problem", "0.5:0 0.1:1", "timestep 2: 4 numbers; expected 2"),
        ("adding-problem", "a:1", r"timestep 2: 'a' \(number 1\) is no number"),
        ("adding-problem", "nan:1", "is no number of 32 bits"),
        ("adding-problem", [[0.5, 1]], "is no number of 32 bits"),
        ("adding-problem", "", "timestep 2: there are no numbers"),
        ("adding-problem", None, "timestep 2: there are no numbers"),
        ("adding-problem", "[0.5", "is no JSON"),
        ("adding-problem", "2:1", "timestep 2: the number 2; expected NUMBER:MARKER"),
        ("adding-problem", "0.2:0.5", "the marker 0.5; expected"),
        ("adding-problem", "-1:-1", "a timestep of nothing but -1 is padding"),
    ],
)
def test_what_is_refused_changes_nothing(preset, timestep, message, zoo):
    stream = zoo(preset).stream()
    first = "1" if preset == "digit-sum" else "0.5:1"
    stream.push(first)
    before = stream.state
    with pytest.raises(rnnzoo.InputError, match=message) as error:
        stream.push(timestep)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300
    assert stream.timesteps == 1 and all((stream.state[name] == value).all() for name, value in before.items())


def test_a_state_is_saved_and_restored(zoo, tmp_path):
    zoo = zoo("digit-sum-of-sums")
    stream, later = zoo.stream(), zoo.stream()
    list(stream.answers("12"))
    assert {name: value.shape for name, value in stream.state.items()} == {"state": (1,), "state_2": (1,), "timesteps": ()}
    stream.save(tmp_path / "at-2.npz")
    state = stream.state
    after = list(stream.answers("94"))
    for source in (tmp_path / "at-2.npz", str(tmp_path / "at-2.npz"), state):
        later.restore(source)
        assert later.timesteps == 2 and later.scores is None
        assert list(later.answers("94")) == after == [16, 32]
    with pytest.raises(rnnzoo.InputError, match="exists"):
        stream.save(tmp_path / "at-2.npz")
    stream.save(tmp_path / "at-2.npz", force=True)
    later.restore(tmp_path / "at-2.npz")
    assert later.timesteps == 4
    with np.load(tmp_path / "at-2.npz", allow_pickle=False) as archive:
        assert all(archive[name].dtype != object for name in archive.files)
    assert [path.name for path in tmp_path.iterdir()] == ["at-2.npz"]


def test_states_that_are_refused(digit_sum, zoo, tmp_path):
    stream = digit_sum.stream()
    stream.push("7")
    stream.save(tmp_path / "good.npz")
    data = (tmp_path / "good.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.savez(tmp_path / "others.npz", a=np.ones(3))
    np.savez(tmp_path / "pickled.npz", about=np.array([{"a": 1}], object), allow_pickle=True)
    (tmp_path / "folder.npz").mkdir()
    np.save(tmp_path / "array.npy", np.ones(3))
    for name in ("cut.npz", "text.npz", "empty.npz", "others.npz", "pickled.npz", "array.npy"):
        with pytest.raises(rnnzoo.InputError, match=rf"{name}: damaged, or no state"):
            stream.restore(tmp_path / name)
    with pytest.raises(rnnzoo.InputError, match=r"folder.npz: cannot be read"):
        stream.restore(tmp_path / "folder.npz")
    with pytest.raises(rnnzoo.InputError, match=r"absent.npz: no such file"):
        stream.restore(tmp_path / "absent.npz")
    with pytest.raises(rnnzoo.InputError, match=r"good.npz: the state of another model \('digit-sum'\)"):
        zoo("digit-sum-running").stream().restore(tmp_path / "good.npz")
    other = rnnzoo.from_preset("digit-sum")
    other.model.set_weights([2 * weight for weight in other.model.get_weights()])
    with pytest.raises(rnnzoo.InputError, match="with the same weights"):
        other.stream().restore(tmp_path / "good.npz")
    for state, message in (
        ({}, "the state: 'state' is missing; expected state, timesteps"),
        ({"state": np.zeros(2), "timesteps": 1}, r"'state' is of shape \(2,\); expected \(1,\)"),
        ({"state": ["a"], "timesteps": 1}, "'state' holds no numbers"),
        ({"state": [0.0], "timesteps": -1}, "timesteps is -1"),
    ):
        with pytest.raises(rnnzoo.InputError, match=message):
            stream.restore(state)
    assert stream.timesteps == 1 and stream.push("1") == 8  # nothing of them has changed anything


def test_an_end_token_is_not_waited_for(rng):
    """Where the model has been taught to answer at an end token, the answer so far is that of a sequence that ends here."""
    preset = load_preset("digit-sum", ["task_options.end_token=true"])
    task = create_task(preset)
    model = rnnzoo.build(preset)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.weights])
    stream = rnnzoo.Predictor(model, preset, task).stream()
    for t, _ in enumerate(stream.answers("1294"), 1):
        np.testing.assert_allclose(stream.scores, model(task.input.front(["1294"[:t]]))[0], rtol=1e-5, atol=1e-6)


def test_what_xla_does_not_know_runs_all_the_same(digit_sum, monkeypatch):
    import tensorflow as tf

    task = create_task(digit_sum.preset)
    back = task.answer.back
    monkeypatch.setattr(
        task.answer, "back", lambda o, i: {"sum": tf.strings.to_number(tf.strings.as_string(back(o, i)["sum"]), tf.int64)}
    )
    stream = rnnzoo.streaming.Stream(Stepper(digit_sum.model, digit_sum.preset, task))
    assert list(stream.answers("1294")) == [1, 3, 12, 16]


def test_time_and_memory_do_not_grow(digit_sum):
    stream = digit_sum.stream()

    def seconds(count):
        begin = time.process_time()
        for _ in range(count):
            stream.push("1")
        return time.process_time() - begin

    seconds(500)
    early = min(seconds(200) for _ in range(5))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds(10_000)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    late = min(seconds(200) for _ in range(5))
    assert late < 2 * early, f"{late / 200 * 1e6:.0f} us a timestep after 11,500 of them, {early / 200 * 1e6:.0f} before"
    assert grown < 8 * 1024, f"{grown} KiB more"  # the peak, in KiB
    assert stream.push("1") == stream.timesteps


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments, code=0, stdin=None):
        result = CliRunner().invoke(cli, ["predict", *arguments, "--stream"], input=stdin)
        assert result.exit_code == code, result.output
        return result

    return run


def test_lines_are_timesteps(call, tmp_path):
    assert call("digit-sum", "-", stdin="1\n2\n\n 9 \n4").stdout == "1\n3\n\n9\n13\n"
    assert call("digit-sum", "-", stdin="").stdout == ""
    assert call("digit-sum", "-", stdin=b"\xef\xbb\xbf1\r\n2\r\n").stdout == "1\n3\n"
    assert call("digit-sum-running", "-", "--json", stdin="7\n\n").stdout.splitlines() == [
        '{"timestep": 1, "input": "7", "answer": 7}',
        '{"end": true, "timesteps": 1}',
    ]
    assert call("forward-by-hand", "-", stdin="1:0.5:-1\n0 1 0.5\n").stdout == "0.7999995\n0.7\n"
    (tmp_path / "steps.txt").write_text("1\n2\n")
    assert call("digit-sum", "steps.txt").stdout == call("digit-sum", "--file", "steps.txt").stdout == "1\n3\n"


@pytest.mark.parametrize(
    ("arguments", "stdin", "printed", "message"),
    [
        (["digit-sum", "-"], "1\n\nx\n2\n", "1\n\n", "standard input, line 3: 'x'; expected one character"),
        (["digit-sum", "-"], "1\n12\n", "1\n", "standard input, line 2: '12'; expected one character"),
        (["digit-sum", "-"], b"1\n\xff\n", "1\n", "standard input, line 2: cannot be read as UTF-8 text"),
        (["digit-sum", "-"], "1\n" + "1" * 2**20, "1\n", "standard input, line 2: longer than 1,048,576 bytes"),
        (["adding-problem", "-"], "0.5\n", "", "standard input, line 1: 1 number; expected 2 numbers"),
        (["digit-sum", "absent.txt"], None, "", "absent.txt: no such file"),
        (["digit-sum", "-", "-"], "1\n", "", "--stream takes - for standard input or the name of one file"),
        (["digit-sum"], None, "", "no samples"),
        (["digit-sum-both-ways", "-"], "1\n", "", "needs the whole sequence"),
        (["addition", "-"], "1\n", "", "reads its whole source before it writes"),
    ],
)
def test_bad_lines(arguments, stdin, printed, message, call):
    result = call(*arguments, code=2, stdin=stdin)
    assert result.stdout == printed
    (error,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert message in error and len(error) < 300


@pytest.fixture
def process():
    """`rnnzoo predict digit-sum --stream -` as a process that is talked to."""
    command = [sys.executable, "-m", "rnnzoo.cli.main", "predict", "digit-sum", "--stream", "-"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        yield process
        process.kill()


def ask(process, line):
    process.stdin.write(line + b"\n")
    process.stdin.flush()
    return process.stdout.readline()


def rss(process):
    """Resident memory in KiB."""
    if not os.path.exists("/proc/self/status"):
        pytest.skip("no /proc to read memory from")
    with open(f"/proc/{process.pid}/status") as status:
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1])


def test_each_line_is_answered_at_once_and_an_interrupt_is_quiet(process):
    assert [ask(process, line) for line in (b"1", b"2", b"", b"9")] == [b"1\n", b"3\n", b"\n", b"9\n"]
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert process.stdout.read() == process.stderr.read() == b""


@pytest.mark.parametrize("lines", [5_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_many_lines_in_bounded_memory(lines, process):
    """After which it ends quietly when nobody reads on."""
    block = 500  # written and read in turn, so that no pipe is ever full
    assert ask(process, b"1") == b"1\n"

    def push():
        process.stdin.write(b"1\n" * block)
        process.stdin.flush()
        return [process.stdout.readline() for _ in range(block)]

    for _ in range(4):
        push()
    before = rss(process)
    for _ in range(lines // block - 4):
        answers = push()
    assert answers[-1] == b"%d\n" % (lines + 1)
    assert rss(process) - before < 16 * 1024, f"{rss(process) - before} KiB more"
    assert json.loads(answers[0]) == lines - block + 2
    process.stdout.close()
    process.stdin.write(b"1\n" * 100)
    process.stdin.close()
    assert process.wait(20) == 1
    assert process.stderr.read() == b""
