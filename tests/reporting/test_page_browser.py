"""The pages in headless Chromium: errors, requests, accessibility, three widths, keyboard alone, no script."""

import re
import time

import pytest
from chromium import Chromium
from command_line import TINY, gazekit
from made_page import CASES, made_run_page, pooled_cases

from gazekit.reporting.run.confusion import confusion
from gazekit.reporting.run.measure_rows import interval_words
from gazekit.reporting.run.page import write_run_page

pytestmark = pytest.mark.browser

WIDTHS = (1440, 768, 390)
VISIBLE = (
    "return [...document.querySelectorAll(arguments[0])].filter((e) => e.checkVisibility()).map((e) => e.id)"
)
IN_LIST = (
    "return [...document.querySelectorAll('.exams li:not([hidden])')].map((e) => Number(e.dataset.number))"
)
NOTES = "return document.querySelector(arguments[0]).checkVisibility()"
OPACITY = "return Number(getComputedStyle(document.querySelector(arguments[0])).opacity)"


@pytest.fixture(scope="module")
def browser():
    chromium = Chromium()
    yield chromium
    chromium.driver.quit()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "report.html"
    write_run_page(path, made_run_page())
    return path


@pytest.fixture(scope="module")
def pages(tmp_path_factory, dataset):
    """The pages of a run that is compared, of one without gaze, of several classes, and of a study, by the commands."""
    root = tmp_path_factory.mktemp("runs")
    train = ["train", "--preset", "mammonet_small", "--data", dataset.root, "--epochs", 1, *TINY]
    gazekit(*train, "--out", root / "with")
    gazekit(*train, "--out", root / "without", "--set", "gaze=none")
    gazekit("report", root / "with", "--without", root / "without", "--threshold", "val")
    gazekit("report", root / "without")
    (root / "study.toml").write_text(
        f'title = "Gaze or none"\ndata = "{dataset.root}"\nfolds = 2\nseeds = 1\n'
        f"set = {[item for item in TINY if item != '--set'] + ['training.epochs=1']!r}\n"
        '[[system]]\nname = "with"\npreset = "mammonet_small"\n'
        '[[system]]\nname = "concat"\npreset = "mammonet_small"\nset = ["fusion.vectors.use=concat"]\n'
    )
    gazekit("benchmark", root / "study.toml", "--out", root / "study", "--no-timing")
    gazekit("report", root / "study")
    return {name: root / name / "report.html" for name in ("with", "without", "study")}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["with", "without", "study"])
def test_a_page_opens_without_errors_requests_overflow_or_barriers(browser, pages, name, width, scheme):
    page = pages[name]
    browser.open(page, width=width, scheme=scheme)
    assert browser.errors() == []
    assert browser.requests() == [page.as_uri()]
    assert browser.run("return document.documentElement.scrollWidth") <= width
    pictures = "return [...document.images].filter((e) => e.complete && !e.naturalWidth).map((e) => e.alt)"
    assert browser.run(pictures) == []
    browser.run("for (const each of document.querySelectorAll('details')) each.open = true")
    assert browser.violations() == []


def test_colours_follow_the_reader_and_can_be_chosen(browser, made):
    ground = "return getComputedStyle(document.body).backgroundColor"
    found = {}
    for scheme in ("light", "dark"):
        browser.open(made, scheme=scheme)
        found[scheme] = browser.run(ground)
    assert found["light"] != found["dark"]
    browser.run("document.getElementById('theme-light').click()")
    assert browser.run(ground) == found["light"]


def test_one_exam_is_shown_and_the_list_turns_it(browser, made):
    browser.open(made)
    assert browser.run(VISIBLE, ".case") == ["case-1"]
    browser.run("document.getElementById('next').click()")
    assert browser.run(VISIBLE, ".case") == ["case-2"]
    browser.run("document.querySelector('a[href=\"#case-5\"]').click()")
    assert browser.run(VISIBLE, ".case") == ["case-5"]
    assert browser.run("return document.querySelectorAll('.exams a[aria-current]').length") == 1


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("number", [1, 2, 3, 4, 5]),
        ("-error", sorted(range(1, 6), key=lambda n: -round(CASES[n - 1].error, 6))),
        ("-uncertainty", sorted(range(1, 6), key=lambda n: -round(CASES[n - 1].uncertainty, 6))),
        ("agreement", [4, 2, 5, 1, 3]),  # the third has no gaze: last
        ("-agreement", [1, 5, 2, 4, 3]),
    ],
)
def test_the_list_is_sorted(browser, made, by, expected):
    browser.open(made)
    choose(browser, "sort-by", by)
    assert browser.run(IN_LIST) == expected


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ("wrong", [2, 3, 5]),
        ("missed", [3, 5]),
        ("alarm", [2]),
        ("right", [1, 4]),
        ("label-0", [2, 4]),
        ("", [1, 2, 3, 4, 5]),
    ],
)
def test_the_list_is_filtered_and_says_how_many_are_left(browser, made, only, expected):
    browser.open(made)
    choose(browser, "show-only", only)
    assert browser.run(IN_LIST) == expected
    assert browser.run("return document.querySelector('.count').textContent") == f"{len(expected)} of 5 exams"
    assert browser.run(VISIBLE, ".case") == [f"case-{expected[0]}"]


def test_another_threshold_changes_calls_counts_and_rates(browser, made):
    browser.open(made)
    set_slider(browser, "threshold", 0.15)
    cells = browser.run("return [...document.querySelectorAll('[data-cell]')].map((e) => e.textContent)")
    assert cells == ["1", "1", "0", "3"]
    expected = confusion(pooled_cases(), 0.15).rates
    for name in expected:
        shown = f"return document.querySelector('[data-rate={name}] dd').textContent"
        words = interval_words(expected[name])
        assert browser.run(shown) == f"{words['value']} {words['interval']}{words['remark']}"
    assert not browser.run(NOTES, ".origin")
    assert browser.run(NOTES, ".moved")
    set_slider(browser, "threshold", 0.5)
    assert browser.run(NOTES, ".origin") and not browser.run(NOTES, ".moved")
    set_slider(browser, "threshold", 0.15)
    choose(browser, "show-only", "wrong")
    assert browser.run(IN_LIST) == [2]
    set_slider(browser, "threshold", 0.95)
    choose(browser, "show-only", "alarm")
    assert browser.run(IN_LIST) == []
    assert browser.run("return document.querySelector('.none').checkVisibility()")


def test_layers_and_their_opacity(browser, made):
    browser.open(made)
    layers = {"gaze": 0, "attention-0": 0.8, "attention-1": 0}
    assert {name: browser.run(OPACITY, f".layer.{name}") for name in layers} == layers
    browser.run("document.getElementById('show-gaze').click()")
    browser.run("document.getElementById('show-attention-1').click()")
    set_slider(browser, "opacity", 35)
    layers = {"gaze": 0.35, "attention-0": 0, "attention-1": 0.35}
    assert {name: browser.run(OPACITY, f".layer.{name}") for name in layers} == layers
    shown = "return getComputedStyle(document.querySelector(arguments[0])).visibility"
    for control, part in {
        "scanpath": ".scanpath",
        "lesion": ".marks .lesion",
        "image": ".stack .image",
    }.items():
        assert browser.run(shown, part) == "visible"
        browser.run(f"document.getElementById('show-{control}').click()")
        assert browser.run(shown, part) == "hidden"


def test_layers_lie_on_their_image(browser, made):
    browser.open(made, width=768)
    boxes = browser.run(
        "return ['.image', '.layer.gaze', '.marks'].map((s) => { const r = "
        "document.querySelector('.stack ' + s).getBoundingClientRect(); return [r.x, r.y, r.width, r.height]; })"
    )
    assert boxes[0][2] / boxes[0][3] == pytest.approx(32 / 40, abs=0.01)  # not distorted
    for box in boxes[1:]:
        assert box == pytest.approx(boxes[0], abs=0.6)


def test_the_case_browser_without_a_mouse(browser, made):
    browser.open(made)
    browser.tab_to("#show-gaze")
    browser.press("SPACE")
    assert browser.run(OPACITY, ".layer.gaze") == pytest.approx(0.8)
    browser.press("g")
    assert browser.run(OPACITY, ".layer.gaze") == 0
    browser.tab_to("#opacity")
    browser.press("HOME")
    assert browser.run(OPACITY, ".layer.attention-0") == 0
    browser.tab_to("#show-only")
    browser.press("ARROW_DOWN", "ENTER")
    browser.tab_to(".exams a")
    browser.press("ARROW_DOWN")
    assert browser.run(VISIBLE, ".case") == ["case-3"]
    browser.press("HOME")
    assert browser.run(VISIBLE, ".case") == ["case-2"]
    browser.press("END", "a")
    assert browser.run(VISIBLE, ".case") == ["case-5"]
    assert browser.run("return document.getElementById('show-attention-1').checked")
    browser.tab_to("#previous")
    browser.press("ENTER")
    assert browser.run(VISIBLE, ".case") == ["case-3"]
    browser.tab_to("#threshold")
    browser.press("END")
    assert browser.run("return document.querySelector('.threshold').textContent") == "0.99"
    assert browser.errors() == []


def test_keys_do_nothing_outside_the_case_browser(browser, made):
    browser.open(made)
    browser.press("ARROW_RIGHT", "g")
    assert browser.run(VISIBLE, ".case") == ["case-1"]
    assert browser.run(OPACITY, ".layer.gaze") == 0


def test_without_a_script_every_exam_is_there_and_layers_still_switch(browser, made):
    bare = made.with_name("bare.html")
    bare.write_text(re.sub(r"script-src '[^']*'", "script-src 'none'", made.read_text()))
    browser.open(bare)
    assert browser.run(VISIBLE, ".case") == [f"case-{n}" for n in range(1, 6)]
    assert browser.run(VISIBLE, "#opacity, #next, #show-only, #threshold") == []
    browser.run("document.getElementById('show-gaze').click()")
    assert browser.run(OPACITY, ".layer.gaze") == pytest.approx(0.8)


def test_the_figure_is_saved_whole(browser, made, tmp_path):
    browser.driver.execute_cdp_cmd(
        "Page.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    browser.open(made)
    for kind in ("png", "svg"):
        browser.run(f"document.querySelector('a[download$={kind}]').click()")
    for name in ("attention.png", "attention.svg"):
        wait_for(tmp_path / name)
    assert (tmp_path / "attention.png").read_bytes().startswith(b"\x89PNG")
    assert "</svg>" in (tmp_path / "attention.svg").read_text()
    assert browser.errors() == []


def choose(browser, select, value):
    browser.run(
        "const e = document.getElementById(arguments[0]); e.value = arguments[1]; e.dispatchEvent(new Event('change'))",
        select,
        value,
    )


def set_slider(browser, name, value):
    browser.run(
        "const e = document.getElementById(arguments[0]); e.value = arguments[1]; e.dispatchEvent(new Event('input'))",
        name,
        value,
    )


def wait_for(path, seconds=20):
    for _ in range(seconds * 10):
        if path.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{path.name} was not saved")
