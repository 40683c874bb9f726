"""The contract of sections of a report."""

from collections.abc import Iterator, Sequence

import numpy as np

from gazekit.contracts.report import ReportedRun, ReportFigure, ReportPart, ReportTable
from gazekit.registry.signature import options_of
from gazekit.testing.contract import Contract
from gazekit.testing.promises import promise


class ReportSectionContract(Contract):
    """A section of any run, the same each time, of text, tables and figures."""

    kind = "report_section"

    def test_no_options(self) -> None:
        """No options: every report has the same section."""
        options = [option.name for option in options_of(self.component)]
        promise(self.component, "to have no options", not options, options)

    def test_parts(self) -> None:
        """Paragraphs, tables and figures of runs with two classes or more, one exam or many; raises nothing."""
        for name, run in _runs():
            for part in self._parts(run, name):
                kinds = (str, ReportTable, ReportFigure)
                known = isinstance(part, kinds)
                promise(self.component, "text, a ReportTable or a ReportFigure", known, type(part).__name__)
                if isinstance(part, ReportTable):
                    sizes = {len(row) for row in part.rows} - {len(part.columns)}
                    promise(
                        self.component, f"rows of {len(part.columns)} cells", not sizes, f"{sizes} for {name}"
                    )
                if isinstance(part, ReportFigure):
                    promise(
                        self.component, "figures with words for who cannot see them", bool(part.alt), name
                    )

    def test_no_hidden_state(self) -> None:
        """The same words each time, and arrays left as they are."""
        for (name, run), (_, before) in zip(_runs(), _runs(), strict=True):
            first, again = (_words(self._parts(run, name)) for _ in range(2))
            promise(self.component, "the same each time", first == again, f"{again} for {name}")
            kept = np.array_equal(run.probabilities, before.probabilities) and np.array_equal(
                run.truth, before.truth
            )
            promise(self.component, "to leave its arrays as they are", kept, name)

    def _parts(self, run: ReportedRun, name: str) -> list[ReportPart]:
        try:
            return list(self.make()(run))
        except Exception as error:
            promise(self.component, "to raise nothing", False, f"{error!r} for {name}")
            raise


def _words(parts: Sequence[ReportPart]) -> list[str]:
    return [part.text if isinstance(part, ReportFigure) else str(part) for part in parts]


def _runs() -> Iterator[tuple[str, ReportedRun]]:
    """Runs by name, fresh ones each time."""
    for classes, exams in ((2, 40), (4, 40), (2, 2), (2, 1)):
        random = np.random.default_rng(classes * exams)
        truth = np.arange(exams) % classes
        chances = random.dirichlet(np.ones(classes), exams)
        yield (
            f"{exams} exams of {classes} classes",
            ReportedRun(
                name="run",
                part="test",
                classes=[f"class {label}" for label in range(classes)],
                exam_ids=[f"exam {number} <b>" for number in range(exams)],
                patient_ids=[f"patient {number // 2}" for number in range(exams)],
                truth=truth,
                probabilities=chances,
                others={"another": chances[::-1].copy()},
                attention={"one": random.normal(size=(exams, 3, 3))},
                epochs=[{"epoch": 1, "step": 5, "val_auc": 0.5, "best_epoch": 1}],
                facts={"Run": {"seed": 0}},
            ),
        )
    exam = np.array([[0.2, 0.8], [0.1, 0.9]])
    yield (
        "no comparison",
        ReportedRun("run", "all", ["a", "b"], ["1", "2"], ["1", "2"], np.array([0, 1]), exam),
    )
