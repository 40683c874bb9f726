"""A section of a report: the wrong calls that the model was surest of."""

from collections.abc import Iterable

import numpy as np

from gazekit.contracts.report import ReportedRun, ReportPart, ReportTable

_MOST = 10


class SurestErrors:
    """The ten wrong calls with the smallest probability of the truth: errors of the model, or of the labels."""

    title = "Surest errors"

    def __call__(self, run: ReportedRun) -> Iterable[ReportPart]:
        """Yield a sentence and a table; nothing if every call is right."""
        of_truth = run.probabilities[np.arange(len(run.truth)), run.truth]
        wrong = np.flatnonzero(run.called != run.truth)
        if len(wrong) == 0:
            return
        worst = wrong[np.argsort(of_truth[wrong], kind="stable")][:_MOST]
        yield (
            f"{len(wrong)} of {len(run.truth)} exams are called wrongly; of these the {len(worst)} whose truth the "
            "model found least probable. Look at the images first, and then at the labels."
        )
        yield ReportTable(
            ("exam", "truth", "called", "probability of the truth"),
            [
                (run.exam_ids[i], run.classes[run.truth[i]], run.classes[run.called[i]], f"{of_truth[i]:.3f}")
                for i in worst
            ],
            "Wrong calls, surest first",
        )
