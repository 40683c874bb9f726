"""The table of a study holds every system and number, its doubts, and agrees in every format."""

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from made_study import LOST, made_result, made_rows

from gazekit.measures.comparing.over_data_sets import OverDataSets
from gazekit.measures.comparing.systems import Estimate
from gazekit.measures.numbers import mean, measured, parameters, probability, three
from gazekit.measures.statistics.intervals import Interval
from gazekit.reporting.study.formats import latex, markdown, tidy_csv, write_tables
from gazekit.reporting.study.table import study_table
from gazekit.reporting.study.words import tuned_values
from gazekit.study.results.result import DataSet, StudyResult, SystemRow, TunedRun


def lines(result, title):
    """Name → cells of the block whose title begins so."""
    [block] = [block for block in study_table(result).blocks if block.title.startswith(title)]
    return {line.name: line.cells for line in block.lines}


def notes(result, system):
    """The footnotes of a system."""
    table = study_table(result)
    [line] = [line for line in table.blocks[0].lines if line.name == system]
    return [table.footnotes[mark - 1] for mark in line.marks]


def test_every_system_is_in_every_block_in_the_order_of_the_study():
    table = study_table(made_result())
    assert len(table.blocks) == 7
    for block in table.blocks:
        assert [line.name for line in block.lines] == ["mammonet", "better", "two_channel", "ga_net"]
        assert {len(line.cells) for line in block.lines} == {len(block.columns)}


def test_mean_spread_interval_and_runs():
    found = lines(made_result(), "Classification")
    assert found["mammonet"] == ("6", "0.812 ± 0.031", "0.821 [0.751, 0.881]", "0.750 ± 0.020")
    assert found["two_channel"] == ("5 of 6", "0.700", "0.710 [0.600, 0.800]", "–")
    assert found["ga_net"] == ("0 of 6", "–", "–", "–")


def test_differences_and_p_values_against_the_reference():
    found = lines(made_result(), "Against mammonet, on the same exams")
    assert found["mammonet"] == ("reference", "–", "–", "–", "–")
    assert found["better"] == ("+0.089 [+0.020, +0.150]", "0.004", "0.008", "0.200", "0.400")
    assert found["two_channel"] == ("−0.120 [−0.200, 0.000]", "< 0.001", "< 0.001", "1.000", "1.000")
    assert found["ga_net"] == ("–",) * 5
    found = lines(made_result(), "Against mammonet, run by run")
    assert found["mammonet"] == ("reference", "–", "–")
    assert found["better"] == ("+0.088", "0.010", "0.020")
    assert found["two_channel"] == ("–",) * 3


def test_costs_and_what_publications_report():
    result = made_result()
    assert lines(result, "Cost") == {
        "mammonet": ("23,456,789", "1.00 ×"),
        "better": ("999,999", "1.08 ×"),
        "two_channel": ("11", "0.50 ×"),
        "ga_net": ("–", "–"),
    }
    found = lines(result, "Next to published results (inbreast)")
    assert found["mammonet"] == ("0.812 ± 0.031", "0.859", "0.750 ± 0.020", "–")
    assert found["better"][1::2] == ("–", "–")


def test_a_row_says_what_it_stands_for_how_it_was_changed_and_what_failed():
    result = made_result()
    assert notes(result, "better") == ["preset mammonet with loss.gaze_weight=0.5"]
    assert notes(result, "two_channel") == [
        "stand-in: Xian & others published no code",
        "failed: fold-2-seed-1: out of memory",
        "AUC: mean of 1 of its 5 runs, the others have no value",
        "5 runs averaged, 6 of mammonet: more runs alone make a better average",
        "compared on 90 of the 100 exams",
        "AUC undefined in 10 of 2000 resamples: too few patients",
    ]
    assert notes(result, "ga_net") == [f"failed: fold-1-seed-0, fold-2-seed-0: {LOST}"]
    assert notes(result, "mammonet") == ["reported in Table 1 of the paper"]


def test_runs_that_began_differently_are_pointed_out():
    reference, better, *_ = made_rows()
    mixed = replace(better, starts=("timm resnet18", "random"))
    result = made_result(rows=(reference, mixed))
    assert "its runs began with different weights: timm resnet18; random" in notes(result, "better")


def test_equal_footnotes_are_written_once():
    reference, _, partly, _ = made_rows()
    twin = replace(partly, name="twin", preset="twin")
    result = made_result(rows=(reference, partly, twin))
    assert notes(result, "twin") == notes(result, "two_channel")
    assert len(study_table(result).footnotes) == 7


def test_the_evidence_names_data_protocol_device_versions_and_work():
    data, protocol, made = study_table(made_result()).evidence
    assert "prepared_224 (fingerprint 0123456789ab)" in data
    assert "100 exams of 60 patients (70 benign, 30 malignant)" in data
    assert "stratified folds, by patient; 2 folds × 3 seeds per system" in protocol
    recipe = study_table(made_result(changes=("training.epochs=40", "training.amp=bf16"))).evidence[2]
    assert recipe == "on top of every preset: training.epochs=40, training.amp=bf16"
    assert "2026-11-24 on CPU, 2 threads; torch 2.13.0; 12.3 minutes" in made


@pytest.mark.parametrize(
    ("selects", "said"),
    [
        (("auc", "loss", "auc", "auc"), "; selected by validation alone"),
        (("last",) * 4, "; the last epoch of each run"),
        (
            ("auc", "last", "last", "auc"),
            "; selected by validation alone; of better, two_channel the last epoch of each run",
        ),
        (("", "", "", ""), ""),
    ],
)
def test_the_evidence_names_the_epoch_that_is_tested(selects, said):
    rows = tuple(replace(row, select=select) for row, select in zip(made_rows(), selects, strict=True))
    protocol = study_table(made_result(rows=rows)).evidence[1]
    assert protocol.endswith(f"per system, the same for all{said}")


def test_a_leak_is_said_first_in_every_format():
    result = made_result(leak="patient 7 & 8 on two sides")
    table = study_table(result)
    assert table.warnings == (
        "the models have seen patients of the test part, these numbers flatter them: patient 7 & 8 on two sides",
    )
    assert markdown(table).index("patient 7 & 8") < markdown(table).index("## ")
    assert r"patient 7 \& 8" in latex(table)
    assert "patient 7 & 8" in tidy_csv(result)


def test_systems_that_guess_are_not_compared_without_a_warning():
    """With many exams two useless systems can differ significantly: one leans to the truth by chance, one from it."""

    def guessing(row, low):
        area = row.metrics["auc"]
        return replace(row, metrics={"auc": replace(area, pooled=replace(area.pooled, low=low))})

    reference, better, _, never = made_rows()
    [warning] = study_table(
        made_result(rows=(guessing(reference, 0.5), guessing(better, 0.41), never))
    ).warnings
    assert "no system is shown to be better than guessing" in warning
    assert not study_table(made_result(rows=(guessing(reference, 0.5), better, never))).warnings
    assert not study_table(made_result(rows=(never,))).warnings


def test_how_to_read_it_depends_on_what_is_there():
    def reading(**changes):
        return " ".join(study_table(made_result(**changes)).reading)

    assert "corrected for 2 comparisons" in reading()
    assert "other splits and protocols" in reading()
    rows = made_rows()
    assert "DeLong" not in reading(rows=rows[:1])
    assert "corrected for 1 comparison;" in reading(rows=rows[:2])
    assert "step time" not in reading(rows=rows[3:])
    assert "p over runs" in reading() and "p over runs" not in reading(rows=(rows[0], rows[2]))
    assert "no published figures (inbreast) are shown" in reading(rows=rows[1:])
    assert "report" not in reading(reported="", rows=tuple(replace(row, reported=None) for row in rows))
    assert "beside" in reading(notes=("what stands beside",))
    sets = tuple(DataSet(name, "f" * 64, 10, 10) for name in ("one", "two"))
    over = [OverDataSets(2, Interval(0.75, 0.6, 0.9), compared=n) for n in (0, 1, 2)]
    alone, one, both = (
        reading(data_sets=sets, rows=(replace(rows[0], over_data_sets=each),)) for each in over
    )
    for said in (alone, one):  # there is no p to read
        assert "Student's t interval; it covers the chance in data" in said and "flipping" not in said
    assert "flipping signs of the differences (with 2 data sets never below 0.500); both cover" in both


def test_tuned_values_are_counted_if_few_and_many_numbers_have_ends_and_median():
    rates = (1e-3, 1e-5, 2e-5, 4e-5, 1e-4)
    runs = tuple(
        TunedRun("fold-1-seed-0", (f"rate={rate}", f"use={'ab'[k % 2]}"), 0.8, 3)
        for k, rate in enumerate(rates)
    )
    said = tuned_values(replace(made_rows()[0], tuned=runs))
    assert said == "rate 1e-05 to 0.001, median 4e-05; use a (3 ×), b (2 ×)"


def test_a_study_is_doubted_whose_runs_are_calibrated_in_part():
    def doubts(calibrated):
        rows = [replace(row, calibrated=calibrated and row.runs) for row in made_rows()]
        rows[0] = replace(rows[0], calibrated=calibrated)
        return [said for said in study_table(made_result(rows=tuple(rows))).warnings if "calibrated" in said]

    (said,) = doubts(2)
    assert said.startswith("the probabilities of 13 of 17 runs are calibrated")
    assert doubts(0) == doubts(6) == []


def test_measures_are_shared_out_over_blocks_that_fit_a_terminal():
    names = ("nss", "correlation", "shuffled_auc", "pointing_game", "energy_inside", "best_iou")
    reference = replace(made_rows()[0], metrics={name: Estimate(0.5, 0.1, 3) for name in names})
    blocks = [
        b for b in study_table(made_result(rows=(reference,))).blocks if b.title.startswith("Attention")
    ]
    assert [b.title[-9:] == "continued" for b in blocks] == [False, True]
    columns = [column for block in blocks for column in block.columns]
    assert columns == ["NSS", "Correlation", "Shuffled AUC", "Pointing game", "Energy inside", "Best IoU"]


def test_markdown_is_tables_of_equal_width_and_its_text_is_not_markup():
    text = markdown(study_table(made_result()))
    assert text.startswith("# A comparison \\| of 50 % & more\n")
    tables = [
        list(rows) for rows in re.findall(r"((?:^\|.*\n)+)", text, re.M) for rows in [rows.splitlines()]
    ]
    assert len(tables) == 7
    for rows in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
        assert len(rows) == 2 + 4
    assert "| two_channel<sup>3, 4, 5, 6, 7, 8</sup> |" in text
    assert "is \\<lost\\>" in text
    assert "\n3. stand-in: Xian & others published no code\n" in text


def test_latex_escapes_every_character_that_means_something_there():
    nasty = r"a\b & 50 % $x$ #1 {y} ~z ^w λ<μ [1] −2"
    text = latex(study_table(made_result(title=nasty)))
    expected = (
        r"\caption{a\textbackslash{}b \& 50 \% \$x\$ \#1 \{y\} \textasciitilde{}z \textasciicircum{}w "
        r"$\lambda$$<$$\mu$ {[}1{]} $-$2}"
    )
    assert expected in text
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert body.isascii()
    assert body.count(r"\begin{tabular}") == body.count(r"\end{tabular}") == 7
    assert (
        r"two\_channel\textsuperscript{3,4,5,6,7,8} & 5 of 6 & 0.700 & 0.710 {[}0.600, 0.800{]} & -- \\"
        in body
    )
    assert body.count("{") == body.count("}")


def test_csv_keeps_every_number_unrounded_and_what_there_is_not_is_empty():
    reference, better, partly, never = csv.DictReader(io.StringIO(tidy_csv(made_result())))
    assert float(reference["auc_mean"]) == 0.81234
    assert (reference["reported_auc"], reference["reported_acc"]) == ("0.859", "")
    assert [float(better[key]) for key in ("delong_p", "delong_holm", "mcnemar_holm")] == [0.004, 0.008, 0.4]
    assert (better["compared_with"], better["changes"]) == ("mammonet", "loss.gaze_weight=0.5")
    assert (partly["auc_sd"], partly["auc_low"], partly["stand_in"]) == (
        "",
        "0.6",
        "Xian & others published no code",
    )
    assert never["failures"] == f"fold-1-seed-0: {LOST}; fold-2-seed-0: {LOST}"
    assert (never["runs"], never["planned"], never["auc_mean"]) == ("0", "6", "")
    for row in (reference, better, partly, never):
        assert (row["device"], row["versions"]) == ("CPU, 2 threads", "torch=2.13.0 timm=1.0")
        assert (row["exams"], row["fingerprint"]) == ("100", "0123456789abcdef")


def test_a_bound_that_could_not_be_had_is_a_dash_and_an_empty_cell():
    reference = made_rows()[0]
    area = reference.metrics["auc"]
    lost = replace(area, pooled=replace(area.pooled, low=float("nan"), high=float("nan")))
    result = made_result(rows=(replace(reference, metrics={"auc": lost}),))
    assert lines(result, "Classification")["mammonet"][2] == "0.821"
    [row] = csv.DictReader(io.StringIO(tidy_csv(result)))
    assert row["auc_low"] == ""


def test_the_files_are_those_texts(tmp_path):
    result = made_result()
    write_tables(tmp_path, result)
    assert (tmp_path / "results.md").read_text() == markdown(study_table(result))
    assert (tmp_path / "results.tex").read_text() == latex(study_table(result))
    assert (tmp_path / "results.csv").read_text() == tidy_csv(result)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    ("value", "plain", "signed"),
    [
        (0.12349, "0.123", "+0.123"),
        (-0.5, "−0.500", "−0.500"),
        (-0.0001, "0.000", "0.000"),
        (0.0, "0.000", "0.000"),
    ],
)
def test_numbers_have_three_decimals_and_nothing_has_no_sign(value, plain, signed):
    assert (three(value), three(value, signed=True)) == (plain, signed)


def test_numbers_that_there_are_not():
    assert (three(None), three(float("nan")), mean(None), probability(None), parameters(None)) == ("–",) * 5
    assert (probability(0.001), probability(0.00099)) == ("0.001", "< 0.001")
    assert (parameters(999_999), parameters(1_000_000)) == ("999,999", "1,000,000")


def test_a_measure_of_a_file_is_shown_with_its_interval_if_it_has_one() -> None:
    assert measured({"value": -0.0001, "low": -0.12345, "high": 1.5}) == "0.000 [−0.123, 1.500]"
    assert measured({"value": 0.5, "low": None, "high": None}) == "0.500"
    assert measured({"value": None, "low": None, "high": None}) == "–"


@pytest.mark.parametrize(("runs", "where"), [(2, ""), (1, " in 1 of its 2 runs")])
def test_a_row_whose_gaze_aligned_another_class_says_so(runs: int, where: str) -> None:
    row = SystemRow("a", "a", runs=2, planned=2, explains_another=runs)
    table = study_table(made_result(rows=(row,), reference="a"))
    negative, positive = made_result().classes
    assert table.footnotes == (
        f"gaze aligned the maps of the true class{where}; those measured are of {positive}, and the training asked for "
        f"the opposite in exams of {negative} (gazekit evaluate RUN measures each class)",
    )
    assert all(line.marks == (1,) for block in table.blocks for line in block.lines)


def test_results_are_read_under_the_measures_former_names_and_written_under_both(tmp_path):
    row = SystemRow("a", "a", runs=1, planned=1, metrics={"correlation": Estimate(0.5, None, 1)})
    written = made_result(rows=(row,), reference="a").to_json()
    [metrics] = [each["metrics"] for each in written["rows"]]
    assert metrics["cc"] == metrics["correlation"]
    old = json.loads(json.dumps(written))
    del old["rows"][0]["metrics"]["correlation"]
    for values in (written, old):
        (tmp_path / "results.json").write_text(json.dumps(values))
        assert StudyResult.read(tmp_path / "results.json").rows[0].metrics == row.metrics
