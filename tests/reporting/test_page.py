import base64
import hashlib
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import matplotlib
import numpy as np
import pytest
from made_page import CASES, METRICS, made_case, made_figure, made_run_page
from made_study import made_result
from matplotlib.figure import Figure
from PIL import Image
from scipy import ndimage

from gazekit.errors import DataError
from gazekit.measures.attention.localisation import localisation
from gazekit.measures.catalogue import MEASURES
from gazekit.measures.classification.metrics import classification_metrics
from gazekit.measures.gaze.agreement import fixation_measures, heat_map_measures
from gazekit.measures.gaze.fixated_pixels import fixation_counts
from gazekit.measures.statistics.intervals import Interval
from gazekit.prediction.predictions import Predictions
from gazekit.prepared.fixation_table import FixationTable
from gazekit.records.geometry import Geometry
from gazekit.reporting.drawing.attention import attention_panels
from gazekit.reporting.drawing.attention_figure import attention_figure
from gazekit.reporting.drawing.colours import INK, MUTED
from gazekit.reporting.drawing.originals.views import ShownViews
from gazekit.reporting.drawing.rendering import light_svg, rendered
from gazekit.reporting.page import LIMITS, Section
from gazekit.reporting.run.cases import make_cases
from gazekit.reporting.run.confusion import Confusion
from gazekit.reporting.run.page import write_run_page
from gazekit.reporting.run.provenance import shown_preset
from gazekit.reporting.run.report import IMAGE_BYTES
from gazekit.reporting.study.page import StudyPage, StudyPicture, SystemPanel, write_study_page
from gazekit.reporting.study.table import study_table


class Reader(HTMLParser):
    """Collects tags with their attributes, the visible text, and the content of style and script elements."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.words, self.inline = [], [], {"style": "", "script": ""}
        self.columns, self.in_column = [], False
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.in_column = dict(attrs).get("class") == "of"

    def handle_data(self, data):
        if self.cdata_elem in self.inline:
            self.inline[self.cdata_elem] += data
        elif data.strip():
            self.columns += [data] if self.in_column else []
            self.in_column = False
            self.words.append(" ".join(data.split()))

    def all(self, tag, **wanted):
        found = [attrs for name, attrs in self.tags if name == tag]
        return [attrs for attrs in found if all(attrs.get(key) == value for key, value in wanted.items())]


@pytest.fixture
def written(tmp_path):
    def write(**changes):
        path = tmp_path / "report.html"
        write_run_page(path, made_run_page(**changes))
        return Reader(path), path

    return write


@pytest.fixture
def study(tmp_path):
    result = made_result()
    panel = SystemPanel("mammonet", ["6 of 6 runs."], [], [("fold-1-seed-0", "0.812")])
    path = tmp_path / "study.html"
    write_study_page(
        path, StudyPage(study_table(result), "Four systems.", [], [panel], {"Study": {"seeds": 3}})
    )
    return Reader(path)


@pytest.mark.parametrize("which", ["run", "study"])
def test_the_page_asks_nothing_of_the_network_and_runs_only_its_own_script(written, study, which):
    page = written()[0] if which == "run" else study
    assert not {"iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.tags}
    assert page.all("script") == [{}]
    for _, attributes in page.tags:
        addresses = [attributes[key] for key in ("src", "href", "srcset") if key in attributes]
        assert all(address.startswith(("data:", "#")) for address in addresses)
        assert "style" not in attributes
        assert not any(key.startswith("on") for key in attributes)
    assert not re.search(r"url\(|@import", page.inline["style"])
    assert not re.search(r"\beval\b|Function\(|innerHTML|fetch|XMLHttp|import\(", page.inline["script"])


@pytest.mark.parametrize("which", ["run", "study"])
def test_the_policy_allows_exactly_this_style_this_script_and_embedded_images(written, study, which):
    page = written()[0] if which == "run" else study
    [policy] = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    digest = {
        kind: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for kind, text in page.inline.items()
    }
    assert policy["content"].split("; ") == [
        "default-src 'none'",
        "img-src data:",
        f"style-src 'sha256-{digest['style']}'",
        f"script-src 'sha256-{digest['script']}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_measures_are_named_explained_and_shown_with_their_interval(written):
    words = written()[0].words
    for expected in [
        "AUC",
        "0.812",
        "0.701 to 0.900",
        "Correlation",
        "undefined in 100 of 2000 resamples",
        "my own",
        "7.000",
    ]:
        assert expected in words
    assert MEASURES["auc"].meaning in words


def test_bars_lie_on_the_scale_of_the_measure(written):
    page, _ = written(metrics={"one": METRICS}, cases=())
    assert [float(c["cx"]) for c in page.all("circle")] == [
        81.2,
        20.0,
        75.0,
    ]  # AUC, Brier, correlation from -1 to 1
    bars = [(float(b["x1"]), float(b["x2"])) for b in page.all("line", **{"class": "interval"})]
    assert bars == [(70.1, 90.0), (15.0, 26.0), (62.5, 80.0)]
    assert [float(b["x1"]) for b in page.all("line", **{"class": "chance"})] == [50.0, 50.0]


def test_a_brier_score_of_several_classes_stays_on_its_scale(written):
    """It sums over the classes and may be above 1."""
    page, _ = written(metrics={"one": {"Classification": {"brier": Interval(1.1, 0.9, 1.2)}}}, cases=())
    assert [float(c["cx"]) for c in page.all("circle")] == [100.0]
    assert [(float(b["x1"]), float(b["x2"])) for b in page.all("line", **{"class": "interval"})] == [
        (90.0, 100.0)
    ]


def test_a_measure_that_one_system_lacks_has_a_dash_there(written):
    page, _ = written(metrics={"one": METRICS, "other": {"Classification": METRICS["Classification"]}})
    row = page.words.index("my own")
    assert page.words[row : row + 6] == ["my own", "one:", "7.000", "6.000 to 9.000", "other:", "–"]


def test_an_interval_that_does_not_exist_is_called_so(written):
    nowhere = {"Classification": {"auc": Interval(0.8, float("nan"), float("nan"), undefined=50)}}
    page, _ = written(metrics={"one": nowhere}, cases=())
    assert any("none (–) where" in words for words in page.words) and "–" in page.words
    assert page.all("circle") == []
    assert not any(re.search(r"\bnan\b", word) for word in page.words)


def test_facts_limits_warnings_and_files_are_told_in_words(written):
    words = written(limits=["Phantoms only."], warnings=["The split leaks."])[0].words
    for expected in ["train 70, test 30", "yes", "–", "cc, mlo", "[data] size = 64", "The split leaks."]:
        assert expected in words
    assert words[words.index("Limits", words.index("Preset")) + 1 :][: 1 + len(LIMITS)] == [
        "Phantoms only.",
        *LIMITS,
    ]
    assert "Not a medical device." in words


def test_the_preset_on_a_page_names_no_folder_and_is_else_as_it_was(tiny_run, tmp_path):
    stored = tiny_run / "preset.toml"
    assert shown_preset(stored) == stored.read_text()
    path = tmp_path / "preset.toml"
    weights = "weights = {}  # --set: from a colleague\n"
    values = '\n[tune]\n"backbone.weights" = ["none", {}]\n'
    for name, folder in ((path, "/home/jane roe/"), (tmp_path / "shown.toml", "")):
        file = f'"{folder}w.safetensors"'
        name.write_text("[backbone]\n" + weights.format(file) + values.format(file))
    assert shown_preset(path) == (tmp_path / "shown.toml").read_text()


def test_every_exam_has_its_numbers_its_views_and_its_layers(written):
    page, _ = written()
    rows = [attrs for attrs in page.all("li") if "data-error" in attrs]
    assert [row["data-number"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [float(row["data-error"]) for row in rows] == pytest.approx([0.1, 0.8, 0.55, 0.1, 0.8])
    assert [row["data-agreement"] for row in rows] == ["0.7", "0.2", "", "-0.1", "0.5"]
    assert [(row["data-label"], row["data-called"]) for row in rows][:2] == [("1", "1"), ("0", "1")]
    for case in CASES:
        assert page.all("article", id=f"case-{case.number}")
        assert page.all("a", href=f"#case-{case.number}")
        assert page.all("img", alt=f"R CC view of exam {case.exam_id}")
    layers = [attrs["class"] for attrs in page.all("img") if attrs.get("class", "").startswith("layer")]
    assert layers.count("layer gaze") == 5
    assert layers.count("layer attention-0") == layers.count("layer attention-1") == 10
    assert page.words.count("2 fixations, 1.2 s") == 5
    assert page.words.count("no gaze recorded") == 5
    assert page.words.count("with gaze: no positive attention") == 5
    assert "with gaze: agreement with gaze −0.10, 25 % inside the lesion, peak inside" in page.words


def test_of_a_missing_view_the_page_says_that_it_is_missing_and_no_more(written):
    first = CASES[0]
    lacking = replace(
        first.views[0],
        title="R CC, missing",
        gaze=None,
        attention=(None, None),
        numbers=(None, None),
        missing=True,
    )
    page, _ = written(cases=[replace(first, views=(lacking,))])
    assert "R CC, missing" in page.words
    assert not [words for words in page.words if "no gaze recorded" in words or "positive attention" in words]


def test_only_the_layers_that_there_are_can_be_chosen(written):
    page, _ = written()
    assert {"show-gaze", "show-scanpath", "show-lesion", "show-attention-1"} <= {
        attrs.get("id") for attrs in page.all("input")
    }
    bare = [replace(case, views=case.views[1:]) for case in CASES]
    page, _ = written(cases=bare)
    there = {attrs.get("id") for attrs in page.all("input")}
    assert "show-attention-1" in there
    assert not {"show-gaze", "show-scanpath", "show-lesion"} & there


def test_without_cases_or_attention_the_page_is_whole(written):
    page, _ = written(cases=(), picture=None)
    targets = {attrs["href"][1:] for attrs in page.all("a") if attrs["href"].startswith("#")}
    assert targets <= {attrs.get("id") for _, attrs in page.tags}
    assert "cases" not in targets and "figure" not in targets
    assert page.all("input", id="threshold")  # counts and rates are of all exams, shown or not


def test_several_classes_have_a_confusion_without_threshold(written):
    table = Confusion(None, ((3, 1, 0), (0, 4, 1), (1, 0, 2)), {})
    page, _ = written(classes=("a", "b", "c"), confusion=table, cases=())
    assert [attrs["data-cell"] for attrs in page.all("td") if "data-cell" in attrs][:4] == [
        "0-0",
        "0-1",
        "0-2",
        "1-0",
    ]
    assert "The likeliest class is called." in page.words
    assert "Confusion" in page.words


def test_the_figure_can_be_saved_as_png_and_svg(written, tmp_path):
    page, _ = written()
    links = {attrs["download"]: attrs["href"] for attrs in page.all("a") if "download" in attrs}
    assert set(links) == {"attention.png", "attention.svg"}
    files = {name: base64.b64decode(uri.split(",", 1)[1]) for name, uri in links.items()}
    (tmp_path / "saved.png").write_bytes(files["attention.png"])
    with Image.open(tmp_path / "saved.png") as picture:
        assert picture.size == (150, 112)
    assert ET.fromstring(files["attention.svg"]).tag.endswith("svg")
    assert INK in files["attention.svg"].decode()  # its colours are its own outside the page


def test_a_figure_is_rendered_once_and_on_white_where_it_leaves_the_page(monkeypatch):
    kinds, savefig = [], Figure.savefig

    def noted(figure, *given, **more):
        kinds.append(more["format"])
        savefig(figure, *given, **more)

    monkeypatch.setattr(Figure, "savefig", noted)
    section = Section("Where it looked", made_figure(), "maps over images")
    saved = section.downloads("attention")["attention.svg"]
    drawings = [uri.split(",", 1)[1] for uri in (saved, section.shown()["image"])]
    found = [section.svg, *map(base64.b64decode, drawings)]
    assert [b'<rect width="100%" height="100%" fill="#ffffff"/>' in each for each in found] == [
        True,
        True,
        False,
    ]
    assert b"var(--ink)" in found[2] and section.png and sorted(kinds) == ["png", "svg"]


@pytest.mark.parametrize("words", ["cost $5 to $6", r"$\nosuchcommand$"])
def test_texts_of_a_drawing_are_no_formulas(words):
    def drawn(name):
        figure = Figure()
        axes = figure.add_subplot()
        axes.plot([1, 2], label=name)
        axes.set_yticks([1, 2], [name, name])
        axes.set_title(name)
        axes.legend()
        figure.text(0, 0, name)
        return figure

    with matplotlib.rc_context({"text.parse_math": False}):
        expected = rendered(drawn(words), "svg")
    assert rendered(drawn(words), "svg") == expected


def test_pictures_in_a_drawing_become_lighter_and_look_the_same():
    rng = np.random.default_rng(0)
    figure = Figure(figsize=(2, 2), dpi=100)
    pixels = ndimage.gaussian_filter(rng.random((200, 200)), 1)
    figure.figimage(pixels, cmap="gray")
    drawing = rendered(figure, "svg")
    light = light_svg(drawing)
    assert b"image/png" not in light and len(light) < len(drawing) / 2
    pictures = [
        np.asarray(
            Image.open(io.BytesIO(base64.b64decode(re.search(rb"base64,([^\"]+)", each)[1]))).convert("L")
        )
        for each in (drawing, light)
    ]
    assert np.abs(pictures[0].astype(float) - pictures[1]).mean() < 5


def test_text_from_outside_stays_text(written):
    attack = "<script>alert(1)</script>"
    page, path = written(
        title=attack,
        facts={attack: {attack: attack}},
        metrics={attack: {attack: {attack: METRICS["gaze_agreement"]["correlation"]}}},
        classes=(attack, "b"),
        cases=(),
    )
    assert page.all("script") == [{}]
    assert page.words.count(attack) >= 5
    assert attack not in path.read_text()


def test_an_exam_id_that_is_markup_stays_text(written):
    attack = '"><img src=x onerror=alert(1)>'
    page, _ = written(cases=[made_case(1, exam_id=attack)])
    assert not page.all("img", src="x")
    assert attack in page.words


def test_figures_are_drawings_whose_text_follows_light_and_dark(written):
    [image] = written()[0].all("img", alt="curve above the diagonal")
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


def test_the_page_of_a_study_has_every_system_in_every_table(study):
    names = [row.name for row in made_result().rows]
    blocks = len(study_table(made_result()).blocks)
    for name in names:
        assert study.words.count(name) >= blocks
    assert {"fold-1-seed-0", "0.812 ± 0.031", "stand-in: Xian & others published no code"} <= set(study.words)
    targets = {attrs["href"][1:] for attrs in study.all("a")}
    assert targets <= {attrs.get("id") for _, attrs in study.tags}


@pytest.mark.slow
def test_a_hundred_grainy_exams_stay_below_15_megabytes(written, dataset):
    """Two views of 512 px, grainy as film, with three maps and a lesion each."""
    rng = np.random.default_rng(0)
    shape = (100, 2, 512, 512)
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    for image in images.reshape(-1, 512, 512):
        image[:] = ndimage.gaussian_filter(image, 1)
    gaze = np.zeros(shape, dtype=np.uint8)
    gaze[..., 100:200, 150:300] = 255
    there, lesion = np.ones(shape[:2], dtype=bool), np.zeros(shape[2:], dtype=np.uint8)
    lesion[100:160, 200:300] = 255
    large = replace(
        dataset,
        settings=replace(dataset.settings, size=(512, 512)),
        images=images,
        layers=gaze,
        masks=np.broadcast_to(lesion, shape),
        has_image=there,
        has_gaze=there,
        has_mask=there,
        labels=np.arange(100) % 2,
        exam_ids=tuple(f"exam {i}" for i in range(100)),
        geometry=({view: Geometry.fit((0, 0, 512, 512), (512, 512)) for view in dataset.views},) * 100,
        laterality=({},) * 100,
        spacing_mm=({},) * 100,
    )
    vars(large)["fixation_table"] = FixationTable.of_rows([])  # the gaze is in the layers
    chances = rng.random((100, 1))
    attention = {view: rng.normal(size=(100, 16, 16)).astype(np.float32) for view in dataset.views}
    one = Predictions(np.arange(100), chances, np.hstack([1 - chances, chances]), attention)
    shown = ShownViews(large)
    cases = make_cases(shown, [one, one], dataset.views, threshold=0.5, most=200, budget=IMAGE_BYTES)
    panels = attention_panels(shown, [0, 1, 2, 3], {"a": one, "b": one}, dataset.views)
    picture = Section("Where it looked", attention_figure(panels, ["a", "b"]), "maps over images")
    _, path = written(cases=cases, picture=picture)
    assert len(cases) == 100
    assert path.stat().st_size < 15_000_000


def test_every_measure_of_the_evaluation_is_explained():
    rng = np.random.default_rng(0)
    chances = rng.random((8, 1))
    measured = classification_metrics(
        np.hstack([chances, 1 - chances]), np.arange(8) % 2, list("abcdefgh"), resamples=2
    )
    points, mask = 6 * rng.random((5, 2)), np.eye(6, dtype=bool)
    agreement = {
        *heat_map_measures(rng.random((3, 3)), rng.random((6, 6))),
        *fixation_measures((6, 6), fixation_counts(points, (6, 6))),
    }
    explained = {name for name, measure in MEASURES.items() if measure.group != "scanpaths"}
    of_several_readers = {
        f"{name}_{what}" for name in ("nss", "information_gain") for what in ("ceiling", "share")
    }
    assert {*measured, *agreement, *localisation(mask, mask)} == explained - of_several_readers


def test_a_study_shows_the_picture_of_its_systems_attention(tmp_path):
    Image.new("RGB", (40, 30), "red").save(tmp_path / "attention.png")
    picture = StudyPicture("Where the systems look", tmp_path / "attention.png", "maps", "Not a choice.")
    contents = StudyPage(study_table(made_result()), "Four systems.", [], [], {"Study": {}}, [picture])
    write_study_page(tmp_path / "study.html", contents)
    page = Reader(tmp_path / "study.html")
    [shown] = page.all("img", alt="maps")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown["src"].split(",", 1)[1]))))
    assert pixels.shape == (30, 40, 3) and pixels[..., 0].min() > 200
    (tmp_path / "attention.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"attention\.png: not a readable picture"):
        write_study_page(tmp_path / "study.html", contents)


def test_every_number_of_a_study_names_its_column_where_the_head_of_the_table_is_hidden(study):
    table = study_table(made_result())
    expected = [column for block in table.blocks for _ in block.lines for column in block.columns]
    assert [words for words in study.columns if words] == expected


@pytest.mark.parametrize(
    ("readers", "words"),
    [
        (("1",), ""),
        (("0", "1"), " of 2 readers"),
        (("P07",), " of reader P07"),
        (("P1", "P2"), " of readers P1, P2"),
    ],
)
def test_the_case_browser_says_whose_the_fixations_are(written, readers, words):
    cases = [
        replace(case, views=tuple(replace(view, readers=readers) for view in case.views)) for case in CASES
    ]
    page, _ = written(cases=cases)
    assert page.words.count(f"2 fixations{words}, 1.2 s") == 5
