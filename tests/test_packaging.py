"""What is installed is what is in the house."""

import configparser
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import rnnzoo

ROOT = Path(__file__).parent.parent
CONFIG = configparser.ConfigParser()
CONFIG.read(ROOT / "setup.cfg", encoding="utf-8")


def test_packages_are_the_folders():
    """A folder that is missing here works when editable and breaks as a wheel."""
    listed = set(CONFIG["options"]["packages"].split())
    found = {
        ".".join(folder.relative_to(ROOT).parts)
        for folder in [ROOT / "rnnzoo", *(ROOT / "rnnzoo").rglob("*")]
        if folder.is_dir() and any(folder.glob("*.py"))
    }
    assert listed == found | {"rnnzoo.cli", "rnnzoo.presets"}


def test_versions_agree():
    assert CONFIG["metadata"]["version"] == rnnzoo.__version__


def test_every_dependency_is_pinned_to_a_range():
    extras = "\n".join(CONFIG["options.extras_require"].values())
    for line in f"{CONFIG['options']['install_requires']}\n{extras}".split("\n"):
        if line and not line.startswith("%"):
            assert ">=" in line and "<" in line, line


def test_sweeps_bring_their_plots():
    extras = CONFIG["options.extras_require"]
    assert extras["plot"].strip() in extras["sweep"].split("\n")
    assert extras["test"].split("\n").count(extras["plot"].strip()) == 1


def test_no_tests_package():
    """With it, the checkout's rnnzoo/ would shadow an installed one."""
    assert not list((ROOT / "tests").rglob("__init__.py"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    pytest.importorskip("setuptools")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", folder, ROOT]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode and "wheel" in built.stderr and "No module named" in built.stderr:
        pytest.skip("the package `wheel`, which old setuptools need to build one, is absent")
    assert built.returncode == 0, built.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_everything(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for source, target in (("rnnzoo", "rnnzoo"), ("cli", "rnnzoo/cli"), ("presets", "rnnzoo/presets")):
        for path in (ROOT / source).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"{target}/{path.relative_to(ROOT / source).as_posix()}" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"rnnzoo"}


def test_the_wheel_works_without_the_checkout(wheel, tmp_path):
    """From a folder that holds nothing but the wheel's files."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = "import rnnzoo, sys; print(rnnzoo.__file__); print(rnnzoo.from_preset('digit-sum').predict(['1294']))"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"]
    result = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    file, answer = result.stdout.splitlines()
    assert Path(file).is_relative_to(tmp_path) and answer == "[16]"
