"""Every measure of an evaluation stands in the catalogue, under its group, and the catalogue holds no other."""

from dataclasses import replace

import torch
from made_study import made_result, made_rows

from gazekit.measures.catalogue import CHECKS, MEASURES
from gazekit.measures.comparing.systems import Estimate
from gazekit.measures.evaluate import evaluate
from gazekit.reporting.study.table import study_table
from gazekit.runs.trained import open_trained


def of_several_readers(name):
    """Whether a measure needs images that two readers looked at: test_several_readers.py has such."""
    return MEASURES[name].group == "scanpaths" or name.endswith(("_ceiling", "_share"))


def test_an_evaluation_measures_what_the_catalogue_has(tiny_run, dataset, registry):
    trained = open_trained(tiny_run, registry, torch.device("cpu"))
    found = evaluate(dataset, trained.predict(dataset, "all"), resamples=50)
    assert {(name, group) for group, measures in found.items() for name in measures} == {
        (name, measure.group) for name, measure in MEASURES.items() if not of_several_readers(name)
    }


def test_every_measure_that_is_meant_for_studies_has_a_column():
    everything = {name: Estimate(0.5, 0.1, 6) for name in MEASURES}
    row = replace(made_rows()[0], metrics=everything)
    columns = [column for block in study_table(made_result(rows=(row,))).blocks for column in block.columns]
    titles = {
        "ACC" if name == "accuracy" else measure.title
        for name, measure in MEASURES.items()
        if measure.in_studies
    }
    assert titles <= set(columns)
    assert not {measure.title for measure in MEASURES.values() if not measure.in_studies} & set(columns)


def test_every_check_of_attention_maps_has_a_column_where_a_run_was_checked():
    row = replace(made_rows()[0], metrics={name: Estimate(0.5, 0.1, 6) for name in CHECKS})
    columns = {column for block in study_table(made_result(rows=(row,))).blocks for column in block.columns}
    assert {measure.title for measure in CHECKS.values()} <= columns
    without = study_table(made_result(rows=(made_rows()[0],)))
    assert not [block for block in without.blocks if "Checks of the attention maps" in block.title]
