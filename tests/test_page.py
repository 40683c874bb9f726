import base64
import hashlib
import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from gazekit.evaluation.gaze_agreement import gaze_agreement
from gazekit.evaluation.localisation import localisation
from gazekit.evaluation.metrics import classification_metrics
from gazekit.evaluation.statistics import Interval
from gazekit.report.charts import roc_figure
from gazekit.report.colours import INK, MUTED
from gazekit.report.measures import MEASURES
from gazekit.report.page import LIMITS, Section, write_page

METRICS = {
    "Classification": {"auc": Interval(0.812, 0.701, 0.9), "brier": Interval(0.2, 0.15, 0.26)},
    "gaze_agreement": {
        "cc": Interval(0.5, 0.25, 0.6, resamples=1900, undefined=100),
        "my_own": Interval(7.0, 6.0, 9.0),
    },
}


class Reader(HTMLParser):
    """Collects tags with their attributes, the visible text, and the content of style elements."""

    def __init__(self):
        super().__init__()
        self.tags, self.words, self.style = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.cdata_elem == "style":
            self.style += data
        elif data.strip():
            self.words.append(" ".join(data.split()))

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def written(tmp_path):
    def write(**changes):
        figure = roc_figure([0, 1, 0, 1], [0.1, 0.4, 0.2, 0.8], METRICS["Classification"]["auc"])
        contents = {
            "title": "A run",
            "summary": "It was trained.",
            "metrics": METRICS,
            "sections": [Section("ROC curve", figure, "curve above the diagonal", "All test exams.")],
            "facts": {
                "Data": {
                    "exams": {"train": 70, "test": 30},
                    "gaze": True,
                    "gpu": None,
                    "views": ["cc", "mlo"],
                }
            },
        }
        path = tmp_path / "report.html"
        write_page(path, **contents | changes)
        reader = Reader()
        reader.feed(path.read_text())
        return reader, path

    return write


def test_the_page_asks_nothing_of_the_network_and_runs_nothing(written):
    page, _ = written()
    assert not {"script", "link", "iframe", "object", "base", "form"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert all(
            attributes[key].startswith("data:") for key in ("src", "href", "srcset") if key in attributes
        )
        assert "style" not in attributes
        assert not any(key.startswith("on") for key in attributes)
    assert not re.search(r"url\(|@import", page.style)


def test_the_policy_allows_exactly_this_style_and_embedded_images(written):
    page, _ = written()
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'",
        "img-src data:",
        f"style-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_measures_are_named_explained_and_shown_with_their_interval(written):
    words = written()[0].words
    for expected in [
        "AUC",
        "0.812",
        "0.701 to 0.900",
        "CC",
        "undefined in 100 of 2000 resamples",
        "my own",
        "7.000",
    ]:
        assert expected in words
    assert MEASURES["auc"].meaning in words


def test_bars_lie_on_the_scale_of_the_measure(written):
    page, _ = written()
    assert [float(c["cx"]) for c in page.all("circle")] == [81.2, 20.0, 75.0]  # AUC, Brier, CC from -1 to 1
    bars = [(float(b["x1"]), float(b["x2"])) for b in page.all("line") if b["class"] == "interval"]
    assert bars == [(70.1, 90.0), (15.0, 26.0), (62.5, 80.0)]
    assert [float(b["x1"]) for b in page.all("line") if b["class"] == "chance"] == [50.0, 50.0]


def test_an_interval_that_does_not_exist_is_called_so(written):
    nowhere = {"Classification": {"auc": Interval(0.8, float("nan"), float("nan"), undefined=50)}}
    page, _ = written(metrics=nowhere)
    assert "not defined" in page.words
    assert page.all("circle") == []
    assert not any("nan" in word for word in page.words)


def test_facts_and_limits_are_told_in_words(written):
    words = written(limits=["Phantoms only."])[0].words
    for expected in ["train 70, test 30", "yes", "–", "cc, mlo", "Phantoms only.", *LIMITS]:
        assert expected in words
    assert "Not a medical device." in words


def test_text_from_outside_stays_text(written):
    attack = "<script>alert(1)</script>"
    page, path = written(
        title=attack,
        facts={attack: {attack: attack}},
        metrics={attack: {attack: METRICS["gaze_agreement"]["cc"]}},
    )
    assert page.all("script") == []
    assert page.words.count(attack) >= 5
    assert attack not in path.read_text()


def test_figures_are_drawings_whose_text_follows_light_and_dark(written):
    image = written()[0].all("img")[0]
    assert image["alt"] == "curve above the diagonal"
    drawing = base64.b64decode(image["src"].removeprefix("data:image/svg+xml;base64,")).decode()
    assert ET.fromstring(drawing).tag.endswith("svg")
    rule, rest = (
        re.search(r"<style>(:root.*?)</style>", drawing)[1],
        re.sub(r"<style>:root.*?</style>", "", drawing),
    )
    assert "prefers-color-scheme:dark" in rule
    assert "var(--ink)" in rest
    assert "var(--muted)" in rest
    assert INK not in rest
    assert MUTED not in rest


def test_the_same_run_gives_the_same_bytes(written):
    first = written()[1].read_bytes()
    assert written()[1].read_bytes() == first


def test_every_measure_of_the_evaluation_is_explained():
    rng = np.random.default_rng(0)
    chances = rng.random((8, 1))
    measured = classification_metrics(
        np.hstack([chances, 1 - chances]), np.arange(8) % 2, list("abcdefgh"), resamples=2
    )
    points, mask = 6 * rng.random((5, 2)), np.eye(6, dtype=bool)
    agreement = gaze_agreement(rng.random((3, 3)), rng.random((6, 6)), points, points)
    assert {*measured, *agreement, *localisation(mask, mask)} == set(MEASURES)
