"""Pictures as inputs: files, arrays and numbers, brought into MNIST's form; what is refused; the front in three layouts."""

import io
import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

import rnnzoo
from rnnzoo.running import _tensors
from rnnzoo.tasks import _images
from rnnzoo.tasks._images import LAYOUTS, ImageInput, moved, normalized

Image = pytest.importorskip("PIL.Image", reason="the extra `images` is absent")


@pytest.fixture(scope="module")
def kind():
    return ImageInput("image", "flat")


@pytest.fixture(scope="module")
def seven(kind):
    return kind.check("drawn:7")


def large(levels, times=5, before=(30, 10), after=(7, 40)):
    """A picture enlarged, with its ground around it, more of it on some sides."""
    return np.pad(np.kron(levels, np.ones((times, times), np.uint8)), [before, after])


# What goes in


def test_mnists_form_stays_as_it_is(kind, rng):
    picture = rng.integers(0, 256, (28, 28)).astype(np.uint8)
    picture[[0, -1]] = picture[:, [0, -1]] = 0
    assert kind.check(picture) is picture
    numbers = picture.tolist()
    assert isinstance(numbers[5][5], int)
    flat = picture.ravel()
    for same in (numbers, json.dumps(numbers), flat.tolist(), flat, picture.astype(np.int64), tuple(map(tuple, numbers))):
        found = kind.check(same)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, picture)
    shares = picture / 255
    for same in (shares, shares.astype(np.float32), shares.tolist(), json.dumps(shares.tolist())):
        np.testing.assert_array_equal(kind.check(same), picture)
    np.testing.assert_array_equal(kind.check(picture > 99), np.where(picture > 99, 255, 0))


@pytest.mark.parametrize("ending", ["png", "bmp", "gif", "tif", "webp", "pgm"])
@pytest.mark.parametrize("mode", ["L", "RGB", "P", "RGBA"])
def test_files_hold_what_was_written(ending, mode, kind, seven, tmp_path):
    path = tmp_path / f"seven.{ending}"
    if (ending == "pgm" and mode != "L") or (ending == "gif" and mode in ("RGB", "RGBA")):
        pytest.skip("it has no such colours")
    Image.fromarray(seven).convert(mode).save(path, **({"lossless": True} if ending == "webp" else {}))
    for name in (path, str(path), str(path).encode()):
        np.testing.assert_array_equal(kind.check(name), seven)


def test_sixteen_bits_and_one(kind, seven, tmp_path):
    Image.fromarray(seven.astype(np.uint16) * 257).save(tmp_path / "16.png")
    np.testing.assert_array_equal(kind.check(tmp_path / "16.png"), seven)
    Image.fromarray(seven > 127).save(tmp_path / "1.png")
    np.testing.assert_array_equal(kind.check(tmp_path / "1.png"), np.where(seven > 127, 255, 0))


def test_jpeg_is_about_the_same(kind, seven, tmp_path):
    Image.fromarray(seven).save(tmp_path / "seven.jpg", quality=95)
    assert np.abs(kind.check(tmp_path / "seven.jpg").astype(int) - seven).mean() < 3


def test_dark_ink_on_a_bright_ground(kind, seven, tmp_path):
    """The same as bright ink on a dark one, whatever the ground's level, of an array too."""
    expected = normalized(seven, bright=False)
    np.testing.assert_array_equal(kind.check(255 - seven), expected)
    np.testing.assert_array_equal(kind.check((255 - seven).tolist()), expected)
    Image.fromarray(255 - seven).save(tmp_path / "seven.png")
    np.testing.assert_array_equal(kind.check(tmp_path / "seven.png"), expected)
    grey = (220 - seven * (200 / 255)).astype(np.uint8)
    assert np.abs(kind.check(grey).astype(int) - expected).max() <= 2
    np.testing.assert_array_equal(kind.check(expected), expected)


@pytest.mark.parametrize("digit", range(10))
def test_another_size_becomes_mnists(digit, kind, tmp_path):
    """In a box of 20, its centre of mass at (14, 14) to half a pixel: all of MNIST's are so."""
    drawn = kind.check(f"drawn:{digit}")
    Image.fromarray(255 - large(drawn)).save(tmp_path / "large.png")
    found = kind.check(tmp_path / "large.png")
    ways = [np.roll(found, move, (0, 1)) for move in np.ndindex(2, 2)]  # half a pixel may be rounded either way
    assert max(np.corrcoef(way.ravel(), drawn.ravel())[0, 1] for way in ways) > 0.98
    for picture in (drawn, found):
        sides = [np.flatnonzero(picture.any(axis=axis)) for axis in (0, 1)]
        assert max(side[-1] - side[0] + 1 for side in sides) == 20 and picture.max() == 255
        centres = [picture.sum(axis=axis) @ np.arange(28) / picture.sum() for axis in (0, 1)]
        assert centres == pytest.approx([14, 14], abs=0.51)


def test_the_scaling_is_pillows(rng):
    """Bilinear, of another hand."""
    for old, new in ((37, 20), (20, 20), (150, 20), (5, 20), (300, 3)):
        levels = rng.random((old, 31)).astype(np.float32)
        expected = np.asarray(Image.fromarray(levels).resize((31, new), Image.Resampling.BILINEAR))
        np.testing.assert_allclose(_images._scaling(old, new) @ levels, expected, atol=1e-5)


def test_what_is_transparent_is_ground(kind, seven, tmp_path):
    expected = normalized(seven, bright=False)
    for ink in (0, 255):  # a sign that is cut out, on nothing
        cut_out = np.dstack([np.full((28, 28, 3), ink, np.uint8), seven])
        Image.fromarray(cut_out, "RGBA").save(tmp_path / "cut.png")
        found = kind.check(tmp_path / "cut.png")
        np.testing.assert_array_equal(found, seven if ink else expected)
    palette = Image.fromarray(255 - seven).convert("P")
    palette.save(tmp_path / "palette.gif", transparency=255)
    np.testing.assert_array_equal(kind.check(tmp_path / "palette.gif"), expected)


def test_cameras_say_how_they_were_held(kind, seven, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    Image.fromarray(np.rot90(seven)).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(kind.check(tmp_path / "turned.png"), seven)


def test_shadows_and_specks_are_ground(kind, seven, rng):
    noisy = np.clip(230 - large(seven).astype(float) * 0.8 + rng.normal(0, 5, large(seven).shape), 0, 255)
    found = normalized(noisy, bright=True)
    assert np.corrcoef(found.ravel(), seven.ravel())[0, 1] > 0.97


# What is refused


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb(width, height):
    """A small PNG file that says that it is so large."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def png(levels):
    content = io.BytesIO()
    Image.fromarray(levels).save(content, "png")
    return content.getvalue()


BLANK = np.full((40, 40), 200, np.uint8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bomb(7100, 7100), "over 50,000,000 pixels"),
        (bomb(10**5, 10**5), "over 50,000,000 pixels"),
        (bomb(28, 28), "damaged: "),
        (png(BLANK)[:-30], "damaged: "),
        (b"", "no picture of a known kind"),
        (b"x" * 500, "no picture of a known kind"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "no picture of a known kind"),
        (png(BLANK), "blank: nothing stands out"),
        (png(np.zeros((28, 28), np.uint8)), "blank: nothing stands out"),
    ],
)
def test_files_that_are_refused(content, message, kind, tmp_path):
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    with pytest.raises(rnnzoo.InputError, match=message) as error:
        kind.check(path)
    text = str(error.value)
    assert "\n" not in text and len(text) < 500 and "expected the path of a picture" in text


def test_large_files_are_not_read(kind, tmp_path, monkeypatch):
    (tmp_path / "long.png").write_bytes(png(BLANK))
    monkeypatch.setattr(_images, "MOST_BYTES", 50)
    with pytest.raises(rnnzoo.InputError, match="over 50 bytes"):
        kind.check(tmp_path / "long.png")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("absent.png", "absent.png: no such file"),
        ("", ": no such file"),
        ("a\0b", "no such file"),
        ("a\nb\n", r"a\\nb\\n: no such file"),
        ("x" * 5000, "xxx...: cannot be read: File name too long"),
        (str(Path(__file__).parent), ": no file"),
        ("/dev/zero", "no file"),
        ("drawn:10", "'drawn:10'; expected one of drawn:0 to drawn:9"),
        ("drawn:", "expected one of drawn:0 to drawn:9"),
        (1294, "1294; expected the path of a picture"),
        (129, "'129'; expected the path of a picture"),
        (1.5, "1.5"),
        (True, "'True' is no picture"),
        (None, "'None' is no picture"),
        ([], "there are no numbers"),
        ([[]], "there are no numbers"),
        ([1, 2, 3], r"numbers of shape \(3,\)"),
        ([[1, 2], [3]], "rows of different lengths"),
        ([["a"] * 28] * 28, "is no picture"),
        ("[[1, 2], [3, 4]]", r"numbers of shape \(2, 2\)"),
        ("[1, 2", "is no JSON"),
        ("[" * 10**5, "is no JSON"),
        ("[" + "1e999," * 783 + "1]", r"inf \(at 1\)"),
        (np.zeros((28, 28), np.uint8), "blank"),
        (np.full((28, 28), 0.1), "blank"),
        (np.full((28, 28), np.nan), r"nan \(at 1 1\)"),
        (np.full((28, 28), 2.0), r"2.0 \(at 1 1\)"),
        (np.full((28, 28), 256), r"256 \(at 1 1\)"),
        (np.full((28, 28), -1), r"-1 \(at 1 1\)"),
        (np.zeros((2, 28, 28), np.uint8), r"numbers of shape \(2, 28, 28\)"),
        (np.full((28, 28), 1j), "is no picture"),
    ],
)
def test_what_is_no_picture(raw, message, kind):
    with pytest.raises(rnnzoo.InputError, match=message) as error:
        kind.check(raw)
    text = str(error.value)
    assert "\n" not in text and len(text) < 400 and ("expected" in text or "blank" in text)


def test_without_pillow(kind, seven, tmp_path, monkeypatch):
    """Files alone need it."""
    (tmp_path / "seven.png").write_bytes(png(seven))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(rnnzoo.MissingExtraError, match=r"rnnzoo\[images\]"):
        kind.check(tmp_path / "seven.png")
    with pytest.raises(rnnzoo.InputError, match="no such file"):
        kind.check(tmp_path / "six.png")
    assert kind.check(255 - seven).shape == kind.check("drawn:3").shape == (28, 28)


# The front


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_front(layout, rng):
    kind = ImageInput("image", layout)
    pictures = list(rng.integers(0, 256, (5, 28, 28)).astype(np.uint8))
    graph = kind.front(kind.tensor(pictures)).numpy()
    twin = _tensors.front(json.loads(json.dumps(kind.describe())), pictures)
    assert graph.dtype == twin.dtype == np.float32
    np.testing.assert_array_equal(graph, twin)
    expected = np.stack(pictures) / 255
    np.testing.assert_allclose(graph.reshape(5, 28, 28), expected, rtol=1e-6)
    assert graph.shape == {"flat": (5, 784), "rows": (5, 28, 28), "pixels": (5, 784, 1)}[layout]
    assert graph.max() <= 1 and kind.steps(pictures[0]) == {"flat": 1, "rows": 28, "pixels": 784}[layout]
    assert kind.front(kind.tensor([])).shape == (0, *kind.shape)
    assert kind.model_arguments(None) == {"features": kind.shape[-1]}


@pytest.mark.parametrize("layout", ["rows", "pixels"])
def test_timesteps_are_those_of_the_front(layout, seven):
    kind = ImageInput("image", layout)
    (expected,) = kind.front(kind.tensor([seven])).numpy()
    frames = seven if layout == "rows" else seven.reshape(-1, 1)
    for levels, frame in zip(frames[300:] if layout == "pixels" else frames, expected[-484:], strict=True):
        shares = levels / 255
        for raw in (levels, levels.tolist(), shares, shares.tolist(), json.dumps(levels.tolist())):
            np.testing.assert_array_equal(kind.timestep(raw), frame)
        for text in (" ".join(map(str, levels)), ":".join(map(str, levels)), ", ".join(map(str, shares))):
            np.testing.assert_array_equal(kind.timestep(text), frame)
            np.testing.assert_array_equal(kind.timestep(text.encode()), frame)


@pytest.mark.parametrize(
    ("raw", "message"),
    [("1 2 3", "3 numbers; expected 28"), ("x " * 28, "is no picture; expected 28"), ("", "no numbers"), ("[1", "no JSON")]
    + [("256 " * 28, r"256 \(at 1\)"), ("1.5 " * 28, r"1.5 \(at 1\)"), (None, "None"), (True, "True"), ("nan " * 28, "nan")],
)
def test_timesteps_that_are_refused(raw, message):
    with pytest.raises(rnnzoo.InputError, match=message) as error:
        ImageInput("image", "rows").timestep(raw)
    assert "\n" not in str(error.value) and "whole from 0 to 255 or others from 0 to 1" in str(error.value)


def test_pixels_alone():
    kind = ImageInput("image", "pixels")
    for raw in (255, "255", 1.0, "1.0", [255], b"255", np.uint8(255)):
        np.testing.assert_array_equal(kind.timestep(raw), np.ones(1, np.float32))
    with pytest.raises(rnnzoo.InputError, match="2 numbers; expected 1 number,"):
        kind.timestep("1 2")


def test_what_predict_is_given(kind, seven, tmp_path):
    (tmp_path / "seven.png").write_bytes(png(seven))
    path = tmp_path / "seven.png"
    batch = np.stack([seven] * 3)
    for inputs, count in (
        (path, 1),
        (str(path), 1),
        ([path, str(path), seven, seven.tolist()], 4),
        (np.array([str(path)] * 2), 2),
        (batch, 3),
        (batch.reshape(3, 784), 3),
        (iter([path]), 1),
    ):
        found = [kind.check(one) for one in kind.each(inputs)]
        assert len(found) == count and all((one == seven).all() for one in found)
    for wrong in (seven, seven.ravel(), np.zeros((2, 27, 28))):
        with pytest.raises(rnnzoo.InputError, match=r"expected \(batch, 28, 28\)"):
            list(kind.each(wrong))


def test_moved(rng):
    images = rng.random((400, 5, 4)).astype(np.float32)
    before = images.copy()
    found = moved(images, 1, rng)
    np.testing.assert_array_equal(images, before)
    seen = set()
    for image, other in zip(images, found, strict=True):
        ways = {}
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                way = np.zeros_like(image)
                for y, x in np.ndindex(image.shape):
                    if 0 <= y + down < 5 and 0 <= x + right < 4:
                        way[y + down, x + right] = image[y, x]
                ways[down, right] = way
        seen |= {key for key, way in ways.items() if (way == other).all()}
        assert any((way == other).all() for way in ways.values())
    assert len(seen) == 9
