"""STUDY.toml: its keys, and all of its faults reported at once."""

import pytest

from gazekit.errors import ConfigurationError
from gazekit.study.settings import parse_study, read_study, resolve_presets

GOOD = {"data": "prepared", "system": [{"preset": "ga_net"}, {"name": "mine", "preset": "sub/mine.toml"}]}


def parse(folder, **changes):
    return parse_study({**GOOD, **changes}, "STUDY.toml", folder=folder)


def test_paths_are_relative_to_the_file_and_a_name_is_that_of_the_preset(tmp_path):
    study = parse(
        tmp_path, folds="mine.csv", system=[*GOOD["system"], {"preset": "x/y.toml", "data": "shifted"}]
    )
    assert [system.name for system in study.systems] == ["ga_net", "mine", "y"]
    assert [system.preset for system in study.systems] == [
        "ga_net",
        str(tmp_path / "sub/mine.toml"),
        str(tmp_path / "x/y.toml"),
    ]
    assert study.data == tmp_path / "prepared" and study.systems[2].data == tmp_path / "shifted"
    assert study.folds == str(tmp_path / "mine.csv")
    assert (study.seeds, study.repeats, study.reference_name) == (3, 1, "ga_net")
    assert parse_study(study.to_toml_values(), "again", folder=tmp_path / "elsewhere") == study


def test_a_misspelt_key_of_a_study_is_met_with_the_one_that_is_meant(tmp_path):
    with pytest.raises(ConfigurationError) as refused:
        parse(tmp_path, refrence="mine", sed=1, colour="red", system=[{"presett": "ga_net"}])
    assert str(refused.value).splitlines()[1:] == [
        "  system 1: preset: is needed",
        "  system 1: presett: no such key; did you mean 'preset'?",
        "  refrence: no such key; did you mean 'reference'?",
        "  sed: no such key; did you mean 'seeds'?",
        "  colour: no such key; there are title, data, folds, repeats, seeds, reference, set, "
        "allow_leak, tune, system, gate",
    ]


def test_every_fault_is_told_at_once(tmp_path):
    with pytest.raises(ConfigurationError) as refused:
        parse(tmp_path, seeds=0, folds="split.txt", colour="red", system=[{"name": "a b"}])
    said = str(refused.value)
    assert said.startswith("STUDY.toml has 5 problems:")
    assert "colour: no such key" in said and "system 1: preset: is needed" in said
    assert "'a b' is not a valid name" in said and "seeds: " in said
    assert (
        """folds: expected a number of at least 2, "given", or a split file *.csv (got 'split.txt')""" in said
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"system": []}, "system: missing"),
        ({"system": [{"preset": "ga_net"}] * 2}, "2 systems are named 'ga_net'"),
        ({"reference": "mammonet"}, "no system 'mammonet'; there are ga_net, mine"),
        ({"folds": "given", "repeats": 2}, "a given split cannot be dealt again"),
        ({"folds": "mine.csv", "repeats": 2}, "a given split cannot be dealt again"),
        ({"folds": 1}, "expected a number of at least 2"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path, changes, message):
    with pytest.raises(ConfigurationError, match=message):
        parse(tmp_path, **changes)


def test_a_file_that_is_none_or_no_toml_is_one_line(tmp_path):
    with pytest.raises(ConfigurationError, match="no such file; expected a TOML file that describes a study"):
        read_study(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("data = ")
    with pytest.raises(ConfigurationError, match=r"bad\.toml: not readable as TOML"):
        read_study(tmp_path / "bad.toml")


def test_changes_of_the_study_come_before_those_of_the_system_and_all_bad_presets_are_named(
    tmp_path, registry
):
    systems = [{"preset": "ga_net", "set": ["training.epochs=7"]}, {"preset": "mammonet"}]
    study = parse(tmp_path, system=systems, set=["training.epochs=5"])
    presets = resolve_presets(study, registry, {})
    assert [preset.training.epochs for preset in presets.values()] == [7, 5]
    bad = parse(tmp_path, system=[{"preset": "ganet"}, {"preset": "mammonet", "set": ["loss.weight=1"]}])
    with pytest.raises(ConfigurationError, match=r"(?s)system 'ganet'.*ga_net.*system 'mammonet'.*weight"):
        resolve_presets(bad, registry, {})
