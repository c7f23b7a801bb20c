"""The report in a real Chromium: nothing fails, every figure is drawn, and the keyboard does what the mouse does.

Pictures of it are left in ``build/pictures``, to be looked at.
"""

import base64
import io
import json
import shutil

import numpy as np
import pypdf
import pytest
from conftest import ROOT
from report_pages import HOSTILE, bare
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from deap_nn.callbacks.predictions import write_curve
from deap_nn.core.logbooks import read_csv
from deap_nn.report.html import write_comparison, write_report

PICTURES = ROOT / "build" / "pictures"
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
OPTIONS += ["--disable-component-update", "--disable-sync", "--hide-scrollbars", "--window-size=1200,900"]
SECTIONS = ["misread", "confusion", "curves", "members", "filters", "weights", "population", "timing", "settings"]

BLANK = """
return [...document.querySelectorAll("canvas")].filter((canvas) => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return new Set(new Uint32Array(pixels.buffer)).size < 2;
}).length;
"""
"""How many canvases have one colour alone."""

EMPTY = """
const drawn = (svg) => svg.getAttribute("viewBox") && svg.querySelector("path, circle");
return [...document.querySelectorAll("svg.plot")].filter((svg) => !drawn(svg)).length;
"""
"""How many figures have nothing in them."""

UNNAMED = """
const named = (node) => node.ariaLabel || node.closest("[aria-hidden=true]") || (node.labels && node.labels.length);
const nodes = [...document.querySelectorAll("canvas, svg, input, select")];
return nodes.filter((node) => !named(node)).map((node) => node.outerHTML.slice(0, 90));
"""
"""What a screen reader has no name for."""

OUTSIDE = """
const right = (node) => node.getBoundingClientRect().right;
const nodes = [...document.querySelectorAll(arguments[0])];
return nodes.filter((node) => right(node) > right(node.closest("section"))).map((node) => node.outerHTML.slice(0, 90));
"""
"""What stands out of its section, whose other side nobody sees."""

FAINT = """
const parse = (text) => {
  const [r, g, b, a = 1] = text.replace("srgb", "").match(/[\\d.]+(e-\\d+)?/g).map(Number);
  return text.startsWith("color(") ? [255 * r, 255 * g, 255 * b, a] : [r, g, b, a];
};
const over = (top, bottom) => [0, 1, 2].map((i) => top[i] * top[3] + bottom[i] * (1 - top[3]));
const ground = (node) => {
  const layers = [];
  for (let at = node; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
  return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
};
const light = (rgb) => rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const found = [];
for (const node of document.querySelectorAll("body *")) {
  const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
  if (!own || !node.getClientRects().length || node.closest("script, style, noscript, option")) continue;
  const style = getComputedStyle(node), behind = ground(node);
  const colour = over(parse(node instanceof SVGElement ? style.fill : style.color), behind);
  const [high, low] = [light(colour), light(behind)].sort((a, b) => b - a);
  const contrast = (high + 0.05) / (low + 0.05);
  if (contrast < 4.5) found.push(`${node.textContent.slice(0, 30)}: ${contrast}`);
}
return found;
"""
"""Text that has less contrast to what is behind it than WCAG's 4.5."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    assert all(programs.values()), f"apt-get install chromium chromium-driver: {programs}"
    options.binary_location = programs["chromium"]
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(programs["chromedriver"]))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser):
    """Open a page at some width, and find at the end that its console has said nothing."""

    def see(page, width=1200, scheme="light"):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.get(page if isinstance(page, str) else page.absolute().as_uri())
        WebDriverWait(browser, 10).until(lambda there: there.find_elements(By.CSS_SELECTOR, "main section"))
        # Two frames: figures are drawn when their width is known.
        browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        return browser

    browser.get_log("browser")
    yield see
    assert browser.get_log("browser") == []


def value_of(browser, name):
    return int(browser.find_element(By.ID, name).get_property("value"))


def picture(browser, name):
    """Take a picture of the whole page."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    width, height = browser.execute_script(
        "const e = document.documentElement; return [e.clientWidth, e.scrollHeight];"
    )
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    (PICTURES / f"{name}.png").write_bytes(base64.b64decode(taken["data"]))


def check_figures(browser):
    assert browser.execute_script(EMPTY) == 0
    assert browser.execute_script(BLANK) == 0
    assert browser.execute_script(UNNAMED) == []
    ids = browser.execute_script("return [...document.querySelectorAll('[id]')].map((node) => node.id)")
    assert len(set(ids)) == len(ids)
    wide = "const e = document.documentElement; return e.scrollWidth - e.clientWidth"
    assert browser.execute_script(wide) == 0
    assert browser.execute_script(OUTSIDE, "section .control > *, section .columns > *") == []


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (1200, "dark"), (390, "light"), (320, "dark")])
def test_every_figure_is_drawn(opened, finished_run, width, scheme):
    browser = opened(finished_run / "report.html", width, scheme)
    assert [part.get_attribute("id") for part in browser.find_elements(By.CSS_SELECTOR, "main > section")] == SECTIONS
    status = json.loads((finished_run / "status.json").read_text())
    right = round(100 * (1 - status["test_error"]))
    assert browser.find_element(By.TAG_NAME, "h1").text.startswith(
        f"Reads {right} of 100 unseen digits right, learned "
    )
    assert browser.find_element(By.CSS_SELECTOR, ".weakness").text.startswith("Chance is 10. Weakest on ")
    check_figures(browser)
    assert len(browser.find_elements(By.CSS_SELECTOR, "svg.plot")) == 8
    assert len(browser.find_elements(By.CSS_SELECTOR, ".filters canvas")) == 24
    assert browser.execute_script(FAINT) == []
    picture(browser, f"report-{width}-{scheme}")


def test_a_small_problem_has_its_surface_and_no_gap(opened, tmp_path):
    folder, x = bare(tmp_path / "run"), np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    write_curve(folder / "answers.npz", x, x[:, 0], lambda inputs: inputs[:, 1])
    browser = opened(write_report(folder))
    sections = browser.find_elements(By.CSS_SELECTOR, "main > section")
    assert [part.get_attribute("id") for part in sections] == ["curve", "curves", "settings"]
    assert [row.text for row in browser.find_elements(By.CSS_SELECTOR, "#curve tbody tr")][1] == "0, 1 0 1"
    check_figures(browser)


def test_one_control_moves_all_by_keys_by_play_and_by_the_address(opened, finished_run):
    browser = opened(finished_run / "report.html")
    picture = "return document.querySelector('.filters span :last-child').toDataURL()"
    weights = "return document.querySelector('#weights .legend b').textContent"
    last, control = (
        [browser.execute_script(text) for text in (picture, weights)],
        browser.find_element(By.ID, "generation"),
    )
    control.send_keys(Keys.HOME)
    assert (value_of(browser, "generation"), browser.current_url[-13:]) == (0, "#generation=0")
    assert control.get_attribute("aria-valuetext").startswith("Generation 0; Error rate (lower is better): ")
    assert "The best member of generation 0 on" in browser.find_element(By.CSS_SELECTOR, "#confusion .note").text
    assert all(browser.execute_script(text) != one for text, one in zip((picture, weights), last, strict=True))
    control.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert browser.find_element(By.CSS_SELECTOR, "output[for=generation]").text == "2"
    browser.refresh()
    assert value_of(opened(browser.current_url), "generation") == 2
    button = browser.find_element(By.ID, "generation-play")
    button.send_keys(Keys.ENTER)
    assert button.text == "Pause"
    WebDriverWait(browser, 20).until(lambda _: button.text == "Play")
    assert [browser.execute_script(text) for text in (picture, weights)] == last


def test_a_pointer_reads_a_curve_and_a_click_pins_it(opened, finished_run):
    browser, logbook = opened(finished_run / "report.html"), read_csv(finished_run / "logbook.csv")
    plot = browser.find_element(By.CSS_SELECTOR, "#curves figure:last-child svg.plot")
    ActionChains(browser).move_to_element(plot).perform()
    middle = value_of(browser, "generation")
    assert 2 <= middle <= 6
    shown = browser.find_elements(By.CSS_SELECTOR, "#curves figure:last-child .legend b")
    read = [float(value.text) for value in shown]
    assert read == pytest.approx([logbook["avg"][middle], logbook["min"][middle]], rel=1e-3)
    ActionChains(browser).move_to_element(browser.find_element(By.CSS_SELECTOR, "#curves h2")).perform()
    assert value_of(browser, "generation") == 8
    ActionChains(browser).click(plot).move_to_element(browser.find_element(By.CSS_SELECTOR, "#curves h2")).perform()
    assert value_of(browser, "generation") == middle


def test_numbers_are_reached_and_axes_are_switched_by_keys(opened, finished_run):
    browser = opened(finished_run / "report.html")
    browser.find_element(By.CSS_SELECTOR, "#fitness-numbers summary").send_keys(Keys.ENTER)
    table = "#fitness-numbers tbody tr"
    rows = WebDriverWait(browser, 10).until(lambda _: browser.find_elements(By.CSS_SELECTOR, table))
    assert [row.find_element(By.TAG_NAME, "th").text for row in rows] == [str(i) for i in range(9)]
    line = "return document.querySelector('#curves .plot .faint').getAttribute('d')"
    before = browser.execute_script(line)
    browser.find_element(By.ID, "logarithmic").send_keys(Keys.SPACE)
    assert browser.execute_script(line) != before


def test_it_prints_with_its_settings(opened, finished_run):
    browser = opened(finished_run / "report.html", 718)  # A4 without its margins
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.execute_script(OUTSIDE, "section .columns > *, section table") == []
    printed = browser.execute_cdp_cmd(
        "Page.printToPDF", {"printBackground": True, "paperWidth": 8.27, "paperHeight": 11.69}
    )
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / "report-print.pdf").write_bytes(base64.b64decode(printed["data"]))
    details = browser.find_element(By.ID, "settings-all")
    said = details.find_element(By.CSS_SELECTOR, ".note").get_property("textContent")  # opened for print
    assert said.startswith("Genetic algorithm (ga): 4 parents crossed by cxScanning(), mutGaussianAdaptive(")
    assert details.get_attribute("open") is None  # and closed after it


def test_no_page_of_a_table_has_a_single_row(opened, tmp_path):
    browser, fewest = opened(write_report(bare(tmp_path / "run", {f"setting {i}": i for i in range(70)}))), []
    for height in range(24, 36):
        printed = browser.execute_cdp_cmd("Page.printToPDF", {"paperHeight": height / 3})
        pages = pypdf.PdfReader(io.BytesIO(base64.b64decode(printed["data"]))).pages
        fewest.append(min(page.extract_text().count("setting ") for page in pages[1:]))
    assert min(fewest) > 3, fewest


def test_no_name_is_run_as_a_script(opened, tmp_path):
    folder = bare(tmp_path / "run", {"fitness": HOSTILE, "model": HOSTILE, HOSTILE: HOSTILE})
    (folder / "status.json").write_text(json.dumps({"state": HOSTILE, "error": "<img src=x onerror=alert(1)>"}))
    browser = opened(write_report(folder))
    assert browser.find_element(By.CSS_SELECTOR, ".alert").text == "<img src=x onerror=alert(1)>"
    assert not browser.find_elements(By.CSS_SELECTOR, "header img")


@pytest.mark.parametrize("width", [1200, 390])
def test_runs_are_compared(opened, finished_run, tmp_path, width):
    other = bare(tmp_path / "other", rows=20)
    browser = opened(write_comparison([finished_run, other], tmp_path / "page.html"), width)
    check_figures(browser)
    assert browser.execute_script(FAINT) == []
    picture(browser, f"comparison-{width}")
    measure = browser.find_element(By.ID, "compared-measure")
    assert "best fitness" not in measure.text  # the runs have different ones
    measure.send_keys("sigma")
    assert browser.find_element(By.CSS_SELECTOR, "#curves figcaption").text == "Sigma (mutation step size)"
    assert len(browser.find_elements(By.CSS_SELECTOR, "#curves path.curve")) == 2  # of one run, and in the legend
    browser.find_element(By.ID, "compared-axis").send_keys("evaluations")
    assert browser.find_element(By.CSS_SELECTOR, "label[for=compared-place]").text == "Evaluations"
    check_figures(browser)


def test_the_page_of_a_run_in_progress_reloads_itself(opened, finished_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished_run, folder)
    (folder / "status.json").write_text('{"state": "running", "asked_generations": 20}')
    browser = opened(write_report(folder))
    assert browser.find_element(By.CSS_SELECTOR, ".state").text.startswith("running, generation 8 of 20, some ")
    browser.find_element(By.ID, "generation").send_keys(Keys.HOME)
    shutil.copy(finished_run / "status.json", folder / "status.json")
    write_report(folder)
    wait = WebDriverWait(browser, 20, ignored_exceptions=[NoSuchElementException, StaleElementReferenceException])
    wait.until(lambda _: browser.find_element(By.CSS_SELECTOR, ".state").text == "finished")
    assert value_of(browser, "generation") == 0  # as it was pinned
    check_figures(browser)
