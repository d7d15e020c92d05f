"""The page of `explain --html`: one safe file, and what a browser shows of it."""

import json
import re
import shutil
import statistics
import time

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import rnnzoo
from rnnzoo import explaining
from rnnzoo.cli.main import cli
from rnnzoo.errors import InputError
from rnnzoo.explaining._packing import Pool, unpack
from rnnzoo.explaining._page_data import one_example

SAMPLES = {
    "digit-sum": ("1294", "17"),
    "digit-sum-both-ways": ("1294", "1:16 3:15 12:13 18:4"),
    "digit-sum-of-sums": ("1294", "30"),
    "addition": ("39+12", None),
    "number-spelling": ("42", None),
    "seven-segment": ("1110111", "0"),
}
HOSTILE = "<script>document.title='run'</script><!--</script><img src=x onerror=alert(1)>&amp;\u2028'\"@@data@@"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def told():
    return {preset: explaining.explain(preset, raw, answer) for preset, (raw, answer) in SAMPLES.items()}


@pytest.fixture(scope="module")
def pages(told, tmp_path_factory):
    """Preset -> its page."""
    folder = tmp_path_factory.mktemp("pages")
    for preset, explanation in told.items():
        explaining.write_page(folder / f"{preset}.html", explanation, title=preset)
    return {preset: folder / f"{preset}.html" for preset in told}


@pytest.fixture(scope="module")
def long_page(tmp_path_factory):
    """1,000 timesteps of two layers of 64 units, whose gradients vanish past what 32-bit floats hold."""
    keras.utils.set_random_seed(3)
    model = rnnzoo.many_to_one(features=2, outputs=1, units=64, layers=2, recurrent_initializer="orthogonal")
    for name in ("hidden", "hidden_2"):
        kernel, recurrent_kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([kernel, 0.8 * recurrent_kernel, bias])
    x = np.random.default_rng(0).random((1, 1000, 2))
    traced = explaining.trace(model, x, np.ones((1, 1)), loss="mean_squared_error")
    path = tmp_path_factory.mktemp("long") / "long.html"
    explaining.write_page(path, traced, title="long")
    return path, traced


def data_of(path):
    """What is embedded in a page."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(encoding="utf-8"), re.S)
    return json.loads(text)


# The file


@pytest.mark.parametrize("scale", [1, 1e-200, 1e200])
def test_packed_numbers_keep_seven_digits(scale):
    rng = np.random.default_rng(0)
    array = rng.normal(size=(5, 3)) * scale
    array[2] = 0
    arrays = [array, np.where(np.arange(5)[:, None] == 1, array, 0), np.zeros((4, 2)), np.eye(3)[[0, 2, 2]]]
    pool = Pool()
    places = [pool.add(one) for one in arrays]
    for place, one in zip(places, arrays, strict=True):
        np.testing.assert_allclose(unpack(pool.arrays, place), one, rtol=1e-7)
    assert pool.add(array) == places[0] and pool.add(None) is None
    states = np.tanh(array)
    np.testing.assert_allclose(unpack(pool.arrays, pool.add_activated(states, "tanh", array)), states, rtol=2e-7)
    odd = np.array([[np.inf, -np.inf], [np.nan, 1.0]])
    np.testing.assert_array_equal(unpack(pool.arrays, pool.add(odd)), odd)


def test_a_thousand_steps_are_below_five_megabytes(long_page, tmp_path):
    path, _ = long_page
    assert path.stat().st_size < 5e6
    assert all(layer["kept"] == 64 for layer in data_of(path)["layers"] if layer["kind"] == "recurrent")
    # So many numbers that not all units can be in the file: norms are of all of them, and it says so.
    model = rnnzoo.encoder_decoder(features=2, outputs=2, units=128)
    rng = np.random.default_rng(1)
    x = {"source": rng.random((1, 1000, 2)), "target": rng.random((1, 1000, 2))}
    traced = explaining.trace(model, x, rng.random((1, 1000, 2)), loss="mean_squared_error")
    big = tmp_path / "big.html"
    explaining.write_page(big, traced, flows=[])
    data = data_of(big)
    assert 1e6 < big.stat().st_size < 5e6
    encoder = data["layers"][0]
    assert 4 <= encoder["kept"] < 128
    norms = np.linalg.norm(traced.layers["encoder"].states[0], axis=1)
    np.testing.assert_allclose(unpack(data["arrays"], encoder["norms"]["h"]), norms, rtol=1e-6)


def test_text_stays_text_in_the_file(told, tmp_path):
    path = tmp_path / "page.html"
    tokens = {"inputs": [HOSTILE, "2", "</script>", "\u2029"]}
    explaining.write_page(path, told["digit-sum"].trace, tokens=tokens, title=HOSTILE, told={HOSTILE: HOSTILE})
    text = path.read_text(encoding="utf-8")
    assert text.count("<script") == 2 and text.count("</script>") == 2 and "<img" not in text
    assert data_of(path)["layers"][0]["tokens"] == tokens["inputs"] and data_of(path)["title"] == HOSTILE
    assert "default-src 'none'" in text and "unsafe" not in text and "http://" not in text.replace("http://www.w3.org/", "")


def test_what_cannot_be_written(told, tmp_path):
    traced = told["digit-sum"].trace
    with pytest.raises(InputError, match="expected a name that ends in"):
        explaining.write_page(tmp_path / "page.htm", traced)
    with pytest.raises(InputError, match="the trace holds 1, numbered from 0"):
        explaining.write_page(tmp_path / "page.html", traced, example=1)
    with pytest.raises(InputError, match="cannot be written"):
        explaining.write_page(tmp_path / "none" / "page.html", traced)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="a target is needed"):
        explaining.flow_of(explaining.explain("seven-segment", "1110111").trace)


def until(page, expression, expected):
    """Waits until JavaScript gives a value: the wait of playwright makes code of text, which the page's policy forbids."""
    for _ in range(300):
        if page.evaluate(expression) == expected:
            return
        time.sleep(0.05)
    raise AssertionError(f"{expression} never became {expected!r}")


def run(*arguments):
    return CliRunner().invoke(cli, ["explain", *map(str, arguments)])


def test_the_command_writes_a_page(tmp_path):
    path = tmp_path / "sum.html"
    result = run("digit-sum", "1294", "--answer", "17", "--html", path)
    assert result.exit_code == 0 and result.output.strip().splitlines() == [f"Written: {path}; open it in a browser."]
    assert data_of(path)["told"][:3] == [["input", "1294"], ["answer", "16"], ["right answer", "17"]]
    before = path.read_bytes()
    refused = run("digit-sum", "77", "--html", path)
    assert refused.exit_code == 2 and "exists" in refused.output and path.read_bytes() == before
    found = json.loads(run("digit-sum", "77", "--html", path, "--force", "--json").output)
    assert found["input"] == "77" and path.read_bytes() != before
    assert list(tmp_path.iterdir()) == [path]


def test_the_command_writes_a_page_of_a_saved_model(tmp_path):
    model = rnnzoo.many_to_many(features=2, outputs=1, units=3)
    model.save(tmp_path / "model.keras")
    path = tmp_path / "page.html"
    arguments = [tmp_path / "model.keras", "[[1, 2], [3, 4]]", "--html", path]
    assert run(*arguments).exit_code == 0 and data_of(path)["loss"] is None
    result = run(*arguments, "--force", "--answer", "[[0.5], [1]]", "--loss", "mean_squared_error")
    assert result.exit_code == 0 and data_of(path)["loss"] is not None


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["digit-sum", "12", "--html", "page.htm"], "page.htm: expected a name that ends in .html"),
        (["digit-sum", "--html", "page.html"], "--html shows what flows for a SAMPLE"),
        (["digit-sum", "--gradients", "--html", "page.html"], "--html shows what flows for a SAMPLE"),
        (["digit-sum", "12x", "--html", "page.html"], "'x' at position 3"),
    ],
)
def test_bad_input_is_one_line_and_no_page(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2 and said in result.output and not list(tmp_path.iterdir())


# In a browser


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser is found; looked for {', '.join(BROWSERS)}")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=flags)
        yield started
        started.close()


@pytest.fixture
def open_page(browser):
    """Opens a file; at the end nothing may have gone wrong in it or been asked of the network."""
    contexts, wrong, asked = [], [], []

    def opened(path, width=1100, **how):
        context = browser.new_context(viewport={"width": width, "height": 800}, **how)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not wrong
    assert all(url.startswith(("file:", "data:")) for url in asked) and len([u for u in asked if u[:4] == "file"]) == len(
        contexts
    )


CARDS = """() => [...document.querySelectorAll('#values article[data-phase]')].map(card => ({
  layer: card.dataset.layer, phase: card.dataset.phase, t: Number(card.dataset.t),
  cells: [...card.querySelectorAll('[data-what]')].map(c => [c.dataset.what, Number(c.dataset.unit), c.textContent]),
  shares: [...card.querySelectorAll('[data-share]')].map(c => [c.dataset.share, c.textContent]),
  sums: [...card.querySelectorAll('[data-sum]')].map(c => [c.dataset.sum, c.textContent]),
}))"""
ATTRIBUTES = {
    "x": ("inputs",) * 2,
    "z": ("pre_activations",) * 2,
    "h": ("states", "outputs"),
    "dOut": ("d_from_output",) * 2,
    "dLater": ("d_from_later",) * 2,
    "dH": ("d_states", "d_outputs"),
    "dZ": ("d_pre_activations",) * 2,
}
SHARES = {"U": "recurrent_kernel", **dict.fromkeys("WVAD", "kernel"), **dict.fromkeys("bca", "bias")}


def number(text):
    return float(text.strip("‖").replace("∞", "inf"))


def assert_card(card, traced):
    """What a card shows is the trace's."""
    layer, t = traced.layers[card["layer"]], card["t"]
    recurs = hasattr(layer, "recurrent_kernel")
    for what, unit, text in card["cells"]:
        if what in ATTRIBUTES:
            array = getattr(layer, ATTRIBUTES[what][not recurs])[0]
            expected = array[t][unit] if array.ndim == 2 else array[unit]
            assert number(text) == pytest.approx(expected, rel=1e-6, abs=1e-300), (card["layer"], t, what, unit)
    for kind in ("shares", "sums"):
        for name, text in card[kind]:
            shares = getattr(layer, f"{SHARES[name]}_shares")
            order = list(layer.order) if recurs else list(range(len(shares)))
            value = shares[t] if kind == "shares" else shares[order[order.index(t) :]].sum(axis=0)
            expected = np.linalg.norm(value) if "‖" in text else value.item()
            assert number(text) == pytest.approx(expected, rel=2e-6, abs=1e-300), (card["layer"], t, name)


@pytest.mark.parametrize("preset", SAMPLES)
def test_every_step_shows_the_traces_numbers(preset, told, pages, open_page):
    page, traced = open_page(pages[preset]), told[preset].trace
    last = int(page.get_attribute("#slider", "max"))
    seen = []
    for position in range(last + 1):
        cards = page.evaluate(CARDS)
        assert cards and {card["phase"] for card in cards} == {"forward" if position <= last // 2 else "backward"}
        for card in cards:
            assert any(what in ("h", "dH") for what, *_ in card["cells"])
            assert_card(card, traced)
        seen.append([(card["layer"], card["t"]) for card in cards])
        assert page.get_attribute("#slider", "aria-valuetext").split(",")[0] == cards[0]["phase"]
        page.keyboard.press("ArrowRight")
    # Each layer's every timestep, in its own order; and back the same way.
    for name, layer in traced.layers.items():
        order = layer.order.tolist() if hasattr(layer, "order") else list(range(np.shape(layer.kernel_shares)[0]))
        assert [t for step in seen[: last // 2 + 1] for which, t in step if which == name] == order
    assert [sorted(step) for step in seen[last // 2 + 1 :]] == [sorted(step) for step in seen[last // 2 :: -1]]


def test_masked_steps_two_layers_and_both_directions(tmp_path, open_page):
    keras.utils.set_random_seed(1)
    x = np.random.default_rng(0).normal(size=(2, 5, 2))
    x[1, 3:] = 0
    path = tmp_path / "page.html"
    both = rnnzoo.bidirectional(features=2, outputs=3, units=2, layers=2, mask_value=0.0)
    written = rnnzoo.encoder_decoder(features=2, outputs=2, units=2, layers=2, bidirectional=True, mask_value=0.0)
    for model, feed in [(both, x), (written, {"source": x, "target": x[:, :2]})]:
        y = np.zeros(model(feed).shape)
        batch = explaining.trace(model, feed, y, loss="mean_squared_error")
        explaining.write_page(path, batch, example=1)
        page, traced, masked = open_page(path), one_example(batch, 1), 0
        for _ in range(int(page.get_attribute("#slider", "max")) + 1):
            for card in page.evaluate(CARDS):
                assert_card(card, traced)
            masked += page.get_attribute("#slider", "aria-valuetext").endswith("masked")
            page.keyboard.press("ArrowRight")
        assert masked == 2 * 2 * 4  # two timesteps of four layers, forward and back
        assert "Of 2 examples this is one" in page.inner_text("#about")


def test_vanished_gradients_are_shown_as_what_they_are(long_page, open_page):
    path, traced = long_page
    page = open_page(path)
    page.keyboard.press("End")
    (first,) = [card for card in page.evaluate(CARDS) if card["layer"] == "hidden"]
    assert first["phase"] == "backward" and first["t"] == 0
    assert_card(first, traced)
    assert 0 < abs(traced.layers["hidden"].d_pre_activations[0, 0, 0]) < 1e-60
    assert "vanishing" in page.inner_text("#flow")


def test_a_thousand_steps_stay_usable(long_page, open_page):
    page = open_page(long_page[0])
    seconds = page.evaluate("""() => {
      const slider = document.getElementById('slider'), took = [];
      for (let i = 0; i < 40; i++) {
        slider.value = (i * 97) % (Number(slider.max) + 1);
        const begin = performance.now();
        slider.dispatchEvent(new Event('input'));
        document.body.getBoundingClientRect();
        took.push((performance.now() - begin) / 1000);
      }
      return took;
    }""")
    assert statistics.median(seconds) < 0.05


def test_keys_and_buttons(pages, open_page):
    page = open_page(pages["digit-sum"])

    def place():
        return int(page.input_value("#slider"))

    assert page.evaluate("document.activeElement.id") == "slider"
    assert (
        place() == 0 and page.get_attribute("#slider", "aria-valuetext") == "forward, step 1 of 5, hidden t = 1, token '1'"
    )
    for key, expected in [("ArrowRight", 1), ("ArrowUp", 2), ("ArrowLeft", 1), ("End", 9), ("ArrowRight", 9), ("Home", 0)]:
        page.keyboard.press(key)
        assert place() == expected, key
    page.click("#next")
    page.click("#next")
    assert place() == 2 and "step 3 of 5" in page.inner_text("#where")
    # Once the hand rests it is read out.
    until(page, "document.getElementById('live').textContent.includes('step 3 of 5')", True)
    page.click("#back")
    page.click("#last")
    page.click("#first")
    assert place() == 0
    # A click on a column of the heat map goes to its step.
    canvas = page.locator("#heat canvas")
    canvas.click(position={"x": canvas.bounding_box()["width"] * 0.9, "y": 10})
    assert place() == 3
    page.locator("#network g:has(.node)").nth(1).click(force=True)
    assert place() == 0


def test_it_plays_forward_then_backward_and_stops(pages, open_page):
    page = open_page(pages["digit-sum"], reduced_motion="reduce")
    assert page.evaluate("getComputedStyle(document.querySelector('.node')).transitionDuration") == "0s"
    page.evaluate("""() => {
      window.seen = [];
      new MutationObserver(() => seen.push(document.getElementById('slider').getAttribute('aria-valuetext').split(',')[0]))
        .observe(document.getElementById('where'), { childList: true });
    }""")
    page.select_option("#speed", "0.3")
    page.focus("#slider")
    page.keyboard.press("Space")
    assert page.inner_text("#play") == "Pause"
    until(page, "Number(document.getElementById('slider').value) >= 2", True)
    page.keyboard.press("Space")
    assert page.inner_text("#play") == "Play"
    page.keyboard.press("Home")
    page.evaluate("seen.length = 0")
    page.click("#play")
    until(page, "document.getElementById('play').textContent", "Play")
    assert page.input_value("#slider") == "9"
    assert page.evaluate("seen") == ["forward"] * 4 + ["backward"] * 5


@pytest.mark.parametrize("preset", SAMPLES)
def test_it_fits_a_phone(preset, pages, open_page):
    page = open_page(pages[preset], width=360)
    last = int(page.get_attribute("#slider", "max"))
    for key in ("Home", *["ArrowRight"] * (last // 2 + 1), "End"):
        page.keyboard.press(key)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    sizes = page.evaluate("""() => [...document.querySelectorAll('body *')]
      .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) && e.getClientRects().length)
      .filter(e => !['SCRIPT', 'STYLE', 'SUB', 'OPTION'].includes(e.tagName))
      .map(e => [parseFloat(getComputedStyle(e).fontSize), e.tagName, e.textContent.slice(0, 30)])""")
    assert min(sizes)[0] >= 14, min(sizes)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(scheme, pages, open_page):
    page = open_page(pages["addition"], color_scheme=scheme)
    colours = page.evaluate("""() => {
      const style = getComputedStyle(document.documentElement), found = {};
      const names = 'ground card line faint text quiet accent on-accent now grad w0 w1 w2 w3 w4 w5 w6 w7'.split(' ');
      for (const name of names) found[name] = style.getPropertyValue('--' + name).trim();
      return found;
    }""")
    pairs = [(text, ground) for text in ("text", "quiet", "grad") for ground in ("ground", "card", "now")]
    pairs += [("accent", "ground"), ("accent", "card"), ("on-accent", "accent"), ("ground", "grad")]
    pairs += [(f"w{i}", "ground") for i in range(8)]
    for text, ground in pairs:
        assert contrast(colours[text], colours[ground]) >= 4.5, (scheme, text, ground)
    assert contrast(colours["line"], colours["ground"]) >= 3  # boxes and controls
    shown = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert shown == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 28)"}[scheme]


def contrast(first, second):
    """WCAG 2's ratio of two colours #rrggbb."""

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([luminance(first), luminance(second)])
    return (high + 0.05) / (low + 0.05)


def test_text_stays_text_in_the_browser(told, tmp_path, open_page):
    path = tmp_path / "page.html"
    tokens = {"inputs": [HOSTILE, "2", "</script>", "<b>"]}
    explaining.write_page(path, told["digit-sum"].trace, tokens=tokens, title=HOSTILE, told={"input": HOSTILE})
    page = open_page(path)
    assert page.title() == " ".join(HOSTILE.split()) or "<script>" in page.title()
    assert page.locator("#title").text_content() == HOSTILE
    assert page.locator("#told dd").text_content() == HOSTILE
    assert HOSTILE in page.locator("#values").text_content()
    for key in ("ArrowRight", "ArrowRight", "End"):
        page.keyboard.press(key)
    assert page.get_attribute("#slider", "aria-valuetext").endswith(HOSTILE)
    assert page.locator("script").count() == 2 and page.locator("img, b:has(b)").count() == 0


def test_names_and_landmarks(pages, open_page):
    page = open_page(pages["addition"])
    assert page.get_attribute("html", "lang") == "en"
    assert page.locator("main").count() == page.locator("header").count() == page.locator("h1").count() == 1
    for selector in ("svg[role=img]", "canvas", "[role=region]", "section:not([hidden])"):
        for i in range(page.locator(selector).count()):
            one = page.locator(selector).nth(i)
            assert one.get_attribute("aria-label") or one.get_attribute("aria-labelledby"), selector
    # More units on demand, and the focus stays where it was.
    assert page.locator("#values tbody tr").count() == 8
    page.click("#values button[data-more='encoder forward']")
    assert page.locator("#values tbody tr").count() == 128
    assert page.evaluate("document.activeElement.dataset.more") == "encoder forward"


def test_without_a_target_the_forward_half_is_shown(tmp_path, open_page):
    path = tmp_path / "page.html"
    explaining.write_page(path, explaining.explain("seven-segment", "1110111"))
    page = open_page(path)
    assert page.get_attribute("#slider", "max") == "0" and "no target" in page.inner_text("#story")
    assert page.locator("#values article").count() == 2
