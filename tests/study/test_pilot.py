"""A pilot holds the predictions that its files have: whose, of which exam and patient, averaged over runs."""

from pathlib import Path

import numpy as np
import pytest

from gazekit.errors import DataError
from gazekit.study.pilot import pilot_of_runs, pilot_of_study, scores_of_readers

LABELS = {"a": "benign", "b": "malignant", "c": "malignant", "d": "benign"}


def write(path: Path, **malignant: float) -> Path:
    """Predictions of exams of which ``a`` and ``b`` are of one patient."""
    rows = [
        f"{exam},{'p' if exam in 'ab' else exam},{LABELS[exam]},{1 - chance},{chance}"
        for exam, chance in malignant.items()
    ]
    path.mkdir(parents=True)
    (path / "predictions.csv").write_text("\n".join(["exam_id,patient_id,label,p_benign,p_malignant", *rows]))
    return path


def logits(*chances: float) -> list[float]:
    return [float(np.log(chance / (1 - chance))) for chance in chances]


def test_a_row_is_averaged_over_its_runs_and_data_sets_have_patients_of_their_own(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    write(runs / "ours" / "one-fold-1-seed-0", a=0.1, b=0.9, c=0.5)
    write(runs / "ours" / "one-fold-1-seed-1", a=0.3, b=0.7)
    write(runs / "ours" / "two-fold-1-seed-0", b=0.8, d=0.25)
    write(runs / "theirs" / "one-fold-1-seed-0", b=0.6, a=0.45)
    write(runs / "theirs" / "two-fold-1-seed-0", b=0.35, d=0.4)
    pilot = pilot_of_study(tmp_path, "ours", "theirs")
    assert pilot.labels.tolist() == [0, 1, 1, 0]
    assert pilot.system == pytest.approx(logits(0.2, 0.8, 0.8, 0.25))
    assert pilot.reference == pytest.approx(logits(0.45, 0.6, 0.35, 0.4))
    first, second, *others = pilot.patients
    assert first == second and len({first, *others}) == 3
    swapped = pilot_of_study(tmp_path, "theirs", "ours")
    assert sorted(swapped.system) == pytest.approx(sorted(pilot.reference))


def test_two_runs_are_system_and_reference_in_this_order(tmp_path: Path) -> None:
    ours, theirs = write(tmp_path / "x", a=0.1, b=1.0), write(tmp_path / "y", a=0.0, b=0.7)
    pilot = pilot_of_runs(ours, theirs / "predictions.csv")
    assert pilot.system.tolist() == pytest.approx([*logits(0.1), -logits(1e-12)[0]], rel=1e-4)
    assert pilot.reference.tolist() == pytest.approx([*logits(1e-12), *logits(0.7)])


@pytest.mark.parametrize("chance", ["nan", "1.7", "-3", "inf", "high", ""])
def test_what_is_no_probability_is_refused_with_its_row(tmp_path: Path, chance: str) -> None:
    run, other = write(tmp_path / "x", a=0.1, b=0.8), write(tmp_path / "y", a=0.2, b=0.7)
    table = run / "predictions.csv"
    table.write_text(table.read_text().replace(",0.8", f",{chance}"))
    with pytest.raises(
        DataError, match=rf"row 3: p_malignant is '{chance}'; expected a probability from 0 to 1"
    ):
        pilot_of_runs(run, other)


def test_the_probabilities_of_a_further_target_are_none_of_the_label(tmp_path: Path) -> None:
    """Also of one that is named like a probability."""
    run, other = write(tmp_path / "x", a=0.1, b=0.8), write(tmp_path / "y", a=0.2, b=0.7)
    first, *rows = (run / "predictions.csv").read_text().splitlines()
    rows = [f"{row},I,0.5,0.5" for row in rows]
    (run / "predictions.csv").write_text("\n".join([f"{first},p_stage,p_stage:p_I,p_stage:p_II", *rows]))
    assert pilot_of_runs(run, other).system == pytest.approx(logits(0.1, 0.8))


def test_a_table_of_readers_keeps_ways_readers_exams_and_patients(tmp_path: Path) -> None:
    path = tmp_path / "readers.csv"
    rows = ["y,e2,1,0.2,8,q", "x,e1,0,0.1,7,p", "y,e1,0,0.3,6,p", "x,e2,1,0.4,5,q"]
    path.write_text("\n".join(["reader,exam_id,label,without,with,patient_id", *rows]))
    found = scores_of_readers(path)
    assert (found.readers, found.patients, found.labels.tolist()) == (["y", "x"], ["q", "p"], [1, 0])
    assert found.scores.tolist() == [[[0.2, 0.3], [0.4, 0.1]], [[8, 6], [5, 7]]]
    path.write_text("\n".join(["reader,exam_id,label,without,with", *(row[:-2] for row in rows)]))
    assert scores_of_readers(path).patients == ["e2", "e1"]
    numbered = [f"{number},{row[:-2]}" for number, row in enumerate(rows)]  # as pandas and R write it
    path.write_text("\n".join([",reader,exam_id,label,without,with", *numbered]))
    assert scores_of_readers(path).scores.tolist() == found.scores.tolist()
    named = "\n".join(["reader,exam_id,label,without,with", *(row[:-2] for row in rows)])
    path.write_text(
        named.replace(",0,", ",benign,").replace(",1,", ",malignant,")
    )  # as tables of exams have them
    assert scores_of_readers(path).labels.tolist() == [1, 0]
    for label, counted in (("0", "1: 1"), ("odd", "3: 1, benign, odd")):
        path.write_text(
            named.replace("e1,0,", "e1,benign," if label == "odd" else "e1,1,")
            + ("\nx,e3,odd,1,1\ny,e3,odd,1,1" if label == "odd" else "")
        )
        with pytest.raises(
            DataError, match=f"readers.csv: label: expected two classes, .*; there are {counted}$"
        ):
            scores_of_readers(path)
    for last in ("x,e2,0,0.4,5", "x,e1,0,0.4,5"):
        path.write_text(
            "\n".join(["reader,exam_id,label,without,with", *(row[:-2] for row in rows[:3]), last])
        )
        with pytest.raises(DataError, match=r"row 5: exam e\d comes twice for a reader, or with two labels"):
            scores_of_readers(path)


@pytest.mark.parametrize("column", ["reader", "exam_id", "patient_id"])
def test_an_empty_name_in_a_table_of_readers_is_refused(tmp_path: Path, column: str) -> None:
    """Exams without a patient were those of one, and readers without a name one reader."""
    path = tmp_path / "readers.csv"
    columns = ["reader", "exam_id", "patient_id", "label", "without", "with"]
    rows = [
        f"{reader},{exam},{exam},{int(exam > 'e2')},0.1,0.2" for reader in "xy" for exam in ("e1", "e2", "e3")
    ]
    cells = rows[1].split(",")
    cells[columns.index(column)] = ""
    path.write_text("\n".join([",".join(columns), rows[0], ",".join(cells), *rows[2:]]))
    with pytest.raises(DataError, match=f"row 3: {column} is empty; expected a value in every row"):
        scores_of_readers(path)
