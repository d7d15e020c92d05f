"""The README stays true."""

import re
from pathlib import Path

import pytest

from rnnzoo.cards import update_readme
from rnnzoo.cli.main import cli
from rnnzoo.registry import list_architectures, list_presets

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)


def test_the_tables_are_current():
    assert update_readme(TEXT) == TEXT, "run `python benchmarks/scores.py --tables`"
    assert all(f"[`{name}`]" in TEXT for name in list_presets())


def test_it_opens_with_two_command_lines():
    (first_kind, first), (second_kind, second) = BLOCKS[:2]
    assert first_kind == second_kind == "sh"
    assert first.count("\n") == second.count("\n") == 1
    assert "rnnzoo train digit-sum" in first and "rnnzoo predict" in first
    assert second.rstrip().endswith("pytest") and "'.[test]'" in second
    assert (README.parent / ".ci" / "run").read_text().count("README.md") >= 1


@pytest.mark.parametrize("line", [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()])
def test_every_command_line_is_one_that_exists(line):
    for command in re.findall(r"rnnzoo ([^&#]+)", line):
        name, *arguments = command.split()
        if name.startswith("-"):
            continue
        parser = cli.get_command(None, name)
        arguments = [argument.strip("'") for argument in arguments]
        assert parser.make_context(name, arguments)


def test_the_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    import rnnzoo

    rnnzoo.export("digit-sum", "models/digit-sum")
    blocks = [block for kind, block in BLOCKS if kind == "python"]
    assert len(blocks) >= 2
    scope = {}
    for block in blocks:
        for line in block.splitlines():
            code, _, expected = line.partition("# ")
            if expected.startswith("["):
                value = eval(code, scope)
                assert str(value.numpy().tolist() if hasattr(value, "numpy") else value) == expected
            else:
                exec(line, scope)


def test_every_architecture_is_named():
    assert all(f"`{name}`" in TEXT for name in list_architectures())
