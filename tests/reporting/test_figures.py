from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from gazekit.errors import ConfigurationError
from gazekit.reporting.drawing.attention_figure import ExamPanel, ViewPanel, attention_figure
from gazekit.reporting.drawing.overlay import overlay

COLUMNS = ["Attention without gaze supervision", "Attention with gaze supervision"]


def view(seed, *, gaze=True, mask=True, shape=(30, 24)):
    rng = np.random.default_rng(seed)
    lesion = np.zeros(shape, dtype=bool)
    lesion[8:14, 8:14] = True
    return ViewPanel(
        image=rng.random(shape),
        gaze=rng.random(shape) if gaze else None,
        mask=lesion if mask else None,
        attention={title: rng.normal(size=(5, 4)) for title in COLUMNS},
    )


def exam(name="exam-1", **views):
    return ExamPanel(name, "benign", "malignant", 0.8765, views)


def panels(figure):
    """The axes of the panels by row, left to right; the last axes are the colour bar."""
    axes = figure.axes[:-1]
    tops = sorted({round(a.get_position().y1, 6) for a in axes}, reverse=True)
    rows = {top: [a for a in axes if round(a.get_position().y1, 6) == top] for top in tops}
    return [sorted(row, key=lambda a: a.get_position().x0) for row in rows.values()]


def shown(axes):
    return np.asarray(axes.images[0].get_array())


def texts(figure):
    return [t.get_text() for t in figure.texts]


def test_each_view_is_a_row_of_image_gaze_and_attention():
    one, two, three = view(0), view(1), view(2)
    figure = attention_figure([exam(cc=one, mlo=two), exam("exam-2", cc=three)], COLUMNS)
    rows = panels(figure)
    assert [len(row) for row in rows] == [4, 4, 4]
    for row, panel in zip(rows, [one, two, three], strict=True):
        heats = [np.zeros((1, 1)), panel.gaze, *(panel.attention[c] for c in COLUMNS)]
        for axes, heat in zip(row, heats, strict=True):
            assert (shown(axes) == overlay(panel.image, heat)).all()


def test_the_exam_is_named_with_truth_and_probability():
    words = texts(attention_figure([exam("case 17", cc=view(0))], COLUMNS))
    assert "case 17" in words
    assert "CC" in words
    assert any("truth: benign" in w and "P(malignant) = 0.88" in w for w in words)


def test_without_any_gaze_there_is_no_gaze_column():
    figure = attention_figure([exam(cc=view(0, gaze=False))], COLUMNS[:1])
    assert len(panels(figure)[0]) == 2
    assert "Reader's gaze" not in texts(figure)


def test_a_view_without_gaze_says_so_beside_one_that_has_it():
    silent = view(1, gaze=False)
    rows = panels(attention_figure([exam(cc=view(0), mlo=silent)], COLUMNS))
    assert [t.get_text() for t in rows[1][1].texts] == ["no gaze recorded"]
    assert [t.get_text() for t in rows[0][1].texts] == []
    assert (shown(rows[1][1]) == shown(rows[1][0])).all()


def test_a_map_without_positive_values_is_called_so():
    panel = view(0)
    negative = ViewPanel(
        panel.image, panel.gaze, panel.mask, {COLUMNS[0]: -panel.image, COLUMNS[1]: panel.image}
    )
    [row] = panels(attention_figure([exam(cc=negative)], COLUMNS))
    assert [[t.get_text() for t in axes.texts] for axes in row] == [[], [], ["no positive attention"], []]


def test_the_lesion_is_outlined_where_it_lies_and_explained():
    figure = attention_figure([exam(cc=view(0), mlo=view(1, mask=False))], COLUMNS)
    with_mask, without = panels(figure)
    for axes in with_mask:
        corners = np.concatenate([path.vertices for path in axes.collections[0].get_paths()])
        assert corners.min(axis=0) == pytest.approx([7.5, 7.5])  # pixel centres lie at whole numbers here
        assert corners.max(axis=0) == pytest.approx([13.5, 13.5])
    assert all(len(axes.collections) == 0 for axes in without)
    assert len(figure.legends) == 1
    assert attention_figure([exam(cc=view(0, mask=False))], COLUMNS).legends == []


@pytest.mark.parametrize(
    "note", ["", "Shown are the prepared images (64 × 64 px), turned back, enlarged smoothly."]
)
@pytest.mark.parametrize("columns", [COLUMNS, COLUMNS[:1], []])
@pytest.mark.parametrize("shape", [(30, 24), (64, 64), (20, 50)])
def test_no_text_leaves_the_figure_or_covers_another_or_a_panel(columns, shape, note):
    exams = [
        exam(f"INbreast 22678622 {i}", cc=view(i, shape=shape), mlo=view(i, shape=shape)) for i in range(2)
    ]
    figure = attention_figure(exams, columns, note)
    renderer = FigureCanvasAgg(figure).get_renderer()
    words = [*figure.texts, *figure.legends]
    boxes = [word.get_window_extent(renderer) for word in words]
    for box in boxes:
        assert figure.bbox.contains(box.x0, box.y0)
        assert figure.bbox.contains(box.x1, box.y1)
    for a, b in combinations(boxes, 2):
        assert not a.overlaps(b)
    for axes in figure.axes:
        assert not any(box.overlaps(axes.get_window_extent(renderer)) for box in boxes)


def test_views_are_marked_by_side_with_millimetres_where_they_are_known():
    marked = ViewPanel(
        np.zeros((30, 24)), attention={COLUMNS[0]: np.ones((2, 2))}, title="R CC", mm_per_pixel=5.0
    )
    plain = ViewPanel(np.zeros((30, 24)), attention={COLUMNS[0]: np.ones((2, 2))})
    figure = attention_figure([exam(cc=marked, mlo=plain)], COLUMNS[:1], "Shown are the originals.")
    assert {"R CC", "MLO"} <= set(texts(figure))
    (first, *others), (second, *_) = panels(figure)
    assert [t.get_text() for t in first.texts] == ["20 mm"]
    [bar] = first.lines
    assert np.ptp(bar.get_xdata()) == pytest.approx(20 / 5)
    assert not second.texts and not any(axes.texts for axes in others)
    said = " ".join(texts(figure))
    assert "Research only. Not for diagnosis. Shown are the originals." in said


def test_what_cannot_be_drawn_is_refused_with_its_place():
    with pytest.raises(ConfigurationError, match="exam-1, view cc: no attention for the column 'other'"):
        attention_figure([exam(cc=view(0))], ["other"])
    with pytest.raises(ConfigurationError, match="at least one exam"):
        attention_figure([], COLUMNS)
