"""The section of a report that lists the wrong calls, surest first."""

import numpy as np
from gazekit_components.report_sections.surest_errors import SurestErrors

from gazekit.contracts.report import ReportedRun


def run_of(positive: list[float], truth: list[int]) -> ReportedRun:
    """A run whose exams are named by their number."""
    names = [str(number) for number in range(len(truth))]
    chances = np.stack([1 - np.array(positive), positive], axis=1)
    return ReportedRun("run", "test", ("no", "yes"), names, names, np.array(truth), chances)


def test_the_ten_least_probable_truths_among_the_wrong_calls_are_listed():
    positive, truth = [0.9, 0.2, 0.6, 0.1, 0.7], [0, 1, 0, 0, 1]
    said, table = SurestErrors()(run_of(positive, truth))
    assert said.startswith("3 of 5 exams are called wrongly; of these the 3 ")
    assert table.rows == [
        ("0", "no", "yes", "0.100"),
        ("1", "yes", "no", "0.200"),
        ("2", "no", "yes", "0.400"),
    ]
    said, table = SurestErrors()(run_of([0.6 + number / 100 for number in range(12)], [0] * 12))
    assert "of these the 10 " in said
    assert [row[0] for row in table.rows] == [str(number) for number in range(11, 1, -1)]


def test_a_run_without_a_wrong_call_has_no_such_section():
    assert list(SurestErrors()(run_of([0.9, 0.1], [1, 0]))) == []
