"""Presets: layers and their order, all errors at once, origins, and a file that reads back."""

import re
from pathlib import Path
from typing import Any

import pytest

from gazekit.errors import ConfigurationError
from gazekit.presets.tables import COMMON_SPACE, ValueRange
from gazekit.registry.registry import Registry

PRESETS = [
    "cross_view", "cross_view_bfl", "cross_view_ra", "ga_net", "late_concat",
    "mammonet", "mammonet_small", "single_cc", "single_mlo",
]  # fmt: skip


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_papers_values(registry: Registry) -> None:
    preset = registry.preset("mammonet")
    assert preset.views == ("cc", "mlo")
    assert preset.backbone.use == "timm" and preset.backbone.options["model"] == "resnet18"
    assert (preset.loss.gaze_weight, preset.loss.auxiliary_weight) == (0.5, 0.2)
    assert (preset.training.epochs, preset.training.learning_rate) == (300, 1e-4)
    assert preset.training.optimizer and preset.training.optimizer.use == "adam"
    assert preset.fusion.maps and preset.fusion.maps.options["heads"] == 12
    assert preset.gaze and preset.gaze.alignment_loss.options["order"] == "pyramid_first"


@pytest.mark.parametrize(
    ("changes", "aligns"),
    [
        ([], True),
        (["gaze.target=positive"], False),
        (["loss.gaze_weight=0"], False),
        (["gaze=none"], False),
        (["terms.more.alignment_loss=kl"], True),
        (["terms.more.alignment_loss=kl", "terms.more.target=positive"], False),
        (["terms.more.alignment_loss=kl", "terms.more.target=positive", "terms.more.weight=0"], True),
        (["loss.gaze_weight=0", "terms.more.alignment_loss=kl"], True),
    ],
)
def test_the_map_of_the_true_class_is_aligned_if_each_alignment_in_force_asks_for_it(
    registry: Registry, changes: list[str], aligns: bool
) -> None:
    assert registry.preset("ga_net", overrides=changes).aligns_label is aligns


def test_a_file_on_top_of_a_preset_extends_none(registry: Registry, tmp_path: Path) -> None:
    config = tmp_path / "mine.toml"
    config.write_text('extends = "late_concat"\n[training]\nepochs = 5\n')
    with pytest.raises(
        ConfigurationError, match=r"mine.toml: extends belongs to a preset.* --preset .*mine.toml"
    ):
        registry.preset("mammonet", config=config)


@pytest.mark.parametrize("name", PRESETS)
def test_a_resolved_preset_reads_back_to_itself(registry: Registry, tmp_path: Path, name: str) -> None:
    preset = registry.preset(name)
    again = registry.preset(str(write(tmp_path / "preset.toml", preset.to_toml())))
    assert again.model_dump() == preset.model_dump()


@pytest.mark.parametrize("name", PRESETS)
def test_every_value_of_our_presets_says_where_it_comes_from(registry: Registry, name: str) -> None:
    sources = registry.preset(name).sources.items()
    silent = [key for key, leaf in sources if not leaf.comment and key[0] != "reported"]
    assert set(silent) <= {("description",)}


def test_the_ladder_of_the_ablation(registry: Registry) -> None:
    def parts(name: str) -> tuple[object, ...]:
        preset = registry.preset(name)
        fusion = preset.fusion
        return (
            preset.views,
            fusion.maps and fusion.maps.use,
            fusion.vectors and fusion.vectors.use,
            preset.gaze and preset.gaze.alignment_loss.use,
        )

    both = ("cc", "mlo")
    assert {name: parts(name) for name in PRESETS if name != "mammonet_small"} == {
        "single_cc": (("cc",), None, None, None),
        "single_mlo": (("mlo",), None, None, None),
        "late_concat": (both, None, "concat", None),
        "cross_view": (both, "cross_attention", "concat", None),
        "cross_view_bfl": (both, "cross_attention", "bfl", None),
        "cross_view_ra": (both, "cross_attention", "concat", "pyramid"),
        "ga_net": (both, None, "concat", "mse"),
        "mammonet": (both, "cross_attention", "bfl", "pyramid"),
    }


def test_layers_win_in_order(registry: Registry, tmp_path: Path) -> None:
    config = write(tmp_path / "mine.toml", "[training]\nepochs = 7\nbatch_size = 4\nlearning_rate = 0.5")
    preset = registry.preset(
        "mammonet",
        config=config,
        environment={
            "GAZEKIT_TRAINING__EPOCHS": "8",
            "GAZEKIT_CACHE": "x",
            "GAZEKIT_TRAINING__BATCH_SIZE": "5",
        },
        overrides=["training.epochs=9"],
    )
    training = preset.training
    assert (training.epochs, training.batch_size, training.learning_rate) == (9, 5, 0.5)
    assert training.optimizer and training.optimizer.use == "adam"
    origins = {key[1]: leaf.origin for key, leaf in preset.sources.items() if key[0] == "training"}
    assert origins["epochs"] == "--set" and origins["learning_rate"] == "mine.toml"
    assert (
        origins["batch_size"] == "$GAZEKIT_TRAINING__BATCH_SIZE" and origins["optimizer"] == "mammonet.toml"
    )


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("GAZEKIT_TRAINING_EPOCHS", "GAZEKIT_TRAINING__EPOCHS"),
        ("GAZEKIT_TRAINING_BATCH_SIZE", "GAZEKIT_TRAINING__BATCH_SIZE"),
        ("GAZEKIT_TRAINING_AUGMENTATION_ROTATION", "GAZEKIT_TRAINING__AUGMENTATION__ROTATION"),
        ("GAZEKIT_GAZE_SIGMA", "GAZEKIT_GAZE__SIGMA"),
        ("GAZEKIT_BACKBONE_WEIGHTS", "GAZEKIT_BACKBONE__WEIGHTS"),
        ("GAZEKIT_ATTENTION_MAP_USE", "GAZEKIT_ATTENTION_MAP__USE"),
        ("GAZEKIT_FUSION_MAPS_USE", "GAZEKIT_FUSION__MAPS__USE"),
    ],
)
def test_a_variable_with_one_underscore_for_two_is_an_error_that_names_the_right_one(
    registry: Registry, variable: str, meant: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"\${variable} sets nothing: .* {meant}, or unset it"):
        registry.preset("mammonet", environment={variable: "1"})


def test_other_variables_of_the_prefix_set_nothing_and_disturb_nothing(registry: Registry) -> None:
    names = ("CACHE", "DISABLE", "PLUGIN_TIMEOUT", "TRACKERS", "DATA", "DATA_ROOT", "DATA_TEST_DIR")
    preset = registry.preset("mammonet", environment={f"GAZEKIT_{name}": "1" for name in names})
    assert preset == registry.preset("mammonet")


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ({"config": "mine.toml"}, r"mine\.toml"),
        ({"environment": {"GAZEKIT_DATA__VALIDATION": "0.35"}}, r"\$GAZEKIT_DATA__VALIDATION"),
        ({"overrides": ["data.validation=0.35"]}, "--set"),
    ],
)
def test_the_former_key_of_the_validation_share_is_read_with_a_warning(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], origin: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("mine.toml"), "[data]\nvalidation = 0.35\n")
    if "config" in given:
        given = {"config": Path("mine.toml")}
    with pytest.warns(
        FutureWarning, match=rf"^{origin}: data\.validation is now data\.val; the former key goes"
    ):
        preset = registry.preset("mammonet_small", **given)
    assert preset.data.val == 0.35 and "validation" not in preset.to_toml().replace("Validation", "")
    with pytest.warns(FutureWarning, match=r"data\.validation is now data\.val"):
        assert preset.data.validation == 0.35


def test_every_key_that_a_message_recommends_exists(registry: Registry) -> None:
    preset = registry.preset("mammonet")
    found = {
        key
        for path in (Path(__file__).parents[2] / "gazekit").rglob("*.py")
        for key in re.findall(r"--set ((?:data|training)\.\w+)=", path.read_text())
    }
    assert {"data.val", "training.select"} <= found
    for table, key in (each.split(".") for each in found):
        assert key in type(getattr(preset, table)).model_fields, f"{table}.{key}"


def test_another_component_drops_the_options_of_the_one_below(registry: Registry) -> None:
    preset = registry.preset("mammonet", overrides=["fusion.vectors.use=concat"])
    assert preset.fusion.vectors and preset.fusion.vectors.use == "concat"
    assert preset.fusion.vectors.options["hidden"] == ()
    kept = registry.preset("mammonet", overrides=["fusion.vectors.anchor=view"]).fusion.vectors
    assert kept and kept.options["anchor"] == "view" and kept.options["hidden"] == (256,)
    short = registry.preset("mammonet", overrides=["fusion.vectors=concat", "fusion.vectors.hidden=[8]"])
    assert short.fusion.vectors and short.fusion.vectors.options["hidden"] == (8,)


def test_none_takes_a_part_out_and_a_table_brings_it_back(registry: Registry) -> None:
    assert registry.preset("mammonet", overrides=["gaze=none"]).gaze is None
    back = registry.preset("late_concat", overrides=["gaze.alignment_loss=mse"])
    assert back.gaze and back.gaze.alignment_loss.use == "mse"


def test_all_errors_at_once_with_file_and_key(registry: Registry, tmp_path: Path) -> None:
    file = write(
        tmp_path / "wrong.toml",
        'extends = "mammonet"\n[training]\nepochs = 0\nepoch = 3\n'
        '[fusion.vectors]\nuse = "blf"\n[fusion.maps]\nheadz = 3\n',
    )
    with pytest.raises(ConfigurationError) as caught:
        registry.preset(str(file))
    lines = str(caught.value).splitlines()
    assert "has 4 problems" in lines[0] and len(lines) == 5
    text = "\n".join(lines)
    assert "wrong.toml: training.epochs" in text and "wrong.toml: training.epoch: no such key" in text
    assert "wrong.toml: fusion.vectors.use: no fusion of vectors 'blf'. Did you mean 'bfl'?" in text
    assert "wrong.toml: fusion.maps.headz: no such option of CrossAttention" in text


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (
            "training.optimizer.betas=[0.9, 2]",
            "--set: training.optimizer.betas, value 2: expected less than 1",
        ),
        ("backbone.widths=[4, 6, 0, 8]", "--set: backbone.widths, value 3: expected more than 0"),
        ("positive=", "no such key; the positive class is chosen when the data are prepared"),
    ],
)
def test_a_value_of_a_list_and_a_key_of_the_data_are_said_in_the_words_of_a_user(
    registry: Registry, item: str, said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        registry.preset("mammonet_small", overrides=["backbone.use=small_resnet", item])
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("views = [", "not readable as TOML"),
        ('extends = "mamonet"', "Did you mean 'mammonet'?"),
        ('views = ["cc", "mlo"]\nbackbone = "small_resnet"', "2 views need a fusion of vectors or of images"),
        (
            'views = ["cc", "cc"]\nbackbone = "small_resnet"\nfusion.vectors = "concat"',
            "a view is named twice",
        ),
        ('backbone = "small_resnet"', "views: is needed"),
        (
            'views = ["cc"]\nbackbone = "small_resnet"\ngaze.alignment_loss = "mse"',
            "attention_map: is needed for gaze supervision",
        ),
    ],
)
def test_a_faulty_file_is_named(registry: Registry, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        registry.preset(str(write(tmp_path / "mine.toml", text)))
    assert message in str(caught.value)
    assert "mine.toml" in str(caught.value) or "There are:" in str(caught.value)


@pytest.mark.parametrize("item", ["trainig.epochs=3", "Training.epochs=3"])
def test_the_table_that_a_misspelt_one_means_is_named(registry: Registry, item: str) -> None:
    with pytest.raises(ConfigurationError, match=r"rain[ing]+: no such key; did you mean 'training'\?"):
        registry.preset("mammonet", overrides=[item])


def test_a_misspelt_option_of_a_part_is_known_and_so_is_a_former_key(registry: Registry) -> None:
    with pytest.raises(ConfigurationError, match=r"did you mean 'groups\.learning_rate'"):
        registry.preset("mammonet", overrides=["training.groups.head.lr=1e-5"])
    with pytest.warns(FutureWarning, match=r"training\.betas"):
        optimizer = registry.preset("mammonet", overrides=["training.betas=[0.8, 0.9]"]).training.optimizer
    assert optimizer and optimizer.options["betas"] == (0.8, 0.9)


def test_missing_file_and_bad_override(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.toml: there is no such file"):
        registry.preset(str(tmp_path / "nothing.toml"))
    with pytest.raises(ConfigurationError, match=r"--set epochs: expected key\.path=value"):
        registry.preset("mammonet", overrides=["epochs"])


def test_a_chain_of_presets_may_be_long_and_says_where_each_value_comes_from(
    registry: Registry, tmp_path: Path
) -> None:
    base = write(
        tmp_path / "clinic.toml", 'extends = "mammonet_small"\n[training]\nepochs = 7\nbatch_size = 3\n'
    )
    middle = write(tmp_path / "site.toml", f'extends = "{base}"\n[training]\nbatch_size = 5\n')
    preset = registry.preset(str(write(tmp_path / "mine.toml", f'extends = "{middle}"\nquick = "mine"\n')))
    training = preset.training
    assert (training.epochs, training.batch_size, training.learning_rate, preset.loss.gaze_weight) == (
        7,
        5,
        2e-3,
        0.5,
    )
    shown = preset.to_toml()
    for line in (
        'quick = "mine" # mine.toml',
        "batch_size = 5 # site.toml",
        "epochs = 7 # clinic.toml",
        "learning_rate = 0.002 # mammonet_small.toml: ours",
        "gaze_weight = 0.5 # mammonet.toml: Sec. 3.2",
    ):
        assert line in shown


def test_a_chain_that_comes_back_is_refused_by_name(registry: Registry, tmp_path: Path) -> None:
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    write(first, f'extends = "{second}"')
    write(second, f'extends = "{first}"')
    own = write(tmp_path / "mine.toml", f'extends = "{first}"')
    with pytest.raises(ConfigurationError) as caught:
        registry.preset(str(own))
    assert f"comes back to where it began: {first} -> {second} -> {first}" in str(caught.value)
    itself = write(tmp_path / "itself.toml", f'extends = "{tmp_path / "itself.toml"}"')
    with pytest.raises(ConfigurationError, match=r"itself\.toml -> .*itself\.toml"):
        registry.preset(str(itself))


def test_a_publication_s_figures_belong_to_one_preset_only(registry: Registry, tmp_path: Path) -> None:
    figures = registry.preset("mammonet").reported["inbreast"]
    assert (figures.auc, figures.acc) == (0.889, 0.849)
    assert "Table 1" in figures.source
    (tmp_path / "variant.toml").write_text('extends = "mammonet"\n[loss]\ngaze_weight = 0.1\n')
    assert registry.preset(str(tmp_path / "variant.toml")).reported == {}
    assert registry.preset("mammonet_small").reported == {}


def test_a_space_of_tuning_is_read_in_every_spelling_and_belongs_to_one_preset(
    registry: Registry, tmp_path: Path
) -> None:
    quoted = (
        '"loss.gaze_weight" = [0.1, 2]\n"training.learning_rate" = { low = 1e-4, high = 1e-2, log = true }\n'
    )
    nested = (
        "loss.gaze_weight = [0.1, 2]\n[tune.training.learning_rate]\nlow = 1e-4\nhigh = 1e-2\nlog = true\n"
    )
    spaces = [
        registry.preset(str(write(tmp_path / f"{k}.toml", f'extends = "ga_net"\n[tune]\n{text}'))).tune
        for k, text in enumerate((quoted, nested))
    ]
    expected = {
        "loss.gaze_weight": (0.1, 2),
        "training.learning_rate": ValueRange(low=1e-4, high=1e-2, log=True),
    }
    assert spaces[0] == spaces[1] == expected
    heir = registry.preset(str(write(tmp_path / "heir.toml", 'extends = "ga_net"')))
    assert heir.tune == COMMON_SPACE != registry.preset("ga_net").tune


def test_without_gaze_the_space_has_nothing_of_it(registry: Registry) -> None:
    assert set(registry.preset("mammonet").space) == {
        "training.learning_rate",
        "loss.gaze_weight",
        "gaze.target",
    }
    assert set(registry.preset("mammonet", overrides=["gaze=none"]).space) == {"training.learning_rate"}
    only = ["gaze=none", "tune.training.learning_rate=[1e-3]"]
    assert registry.preset("single_cc", overrides=only).space == {"training.learning_rate": (1e-3,)}


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("tune.loss.gaze_weight=3", "expected a list of different values, or a range"),
        ("tune.loss.gaze_weight=[3, 3]", "expected a list of different values, or a range"),
        ("tune.training.learning_rate.low=1", r"training\.learning_rate\.high: is missing"),
        ("tune.training.learning_rate={low = 2, high = 1}", "expected low < high"),
        ("tune.training.learning_rate={low = 0, high = 1, log = true}", "expected 0 < low < high"),
        ("tune=3", "expected keys with their values"),
    ],
)
def test_a_wrong_space_is_refused(registry: Registry, item: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        registry.preset("late_concat", overrides=[item])


def test_only_mammo_net_itself_is_shown_by_its_quick_preset(registry: Registry, tmp_path: Path) -> None:
    """Another system, or what somebody makes of Mammo-Net, is not "the same in minutes"."""
    named = {each.name: registry.preset(each.name).quick for each in registry.components("preset")}
    assert {name: quick for name, quick in named.items() if quick} == {"mammonet": "mammonet_small"}


def test_an_option_that_lacks_values_of_its_list_is_one_problem(registry: Registry) -> None:
    with pytest.raises(ConfigurationError) as caught:
        registry.preset("mammonet_small", overrides=["backbone.widths=[4, 8]"])
    problem = "--set: backbone.widths: expected at least 4 values (got [4, 8])"
    assert str(caught.value) == f"preset 'mammonet_small' has 1 problem:\n  {problem}"


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("backbone.pretrained=never", "pretrained: expected true or false, or 'auto' (got 'never')"),
        ("training.exams_on_device=never", "expected 'auto', or true or false (got 'never')"),
        ("data.dataset.findings=[0, 1]", "data.dataset.findings, value 1: expected at least 1 (got 0)"),
    ],
)
def test_a_wrong_value_is_one_problem_with_its_origin(
    registry: Registry, override: str, problem: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        registry.preset("mammonet", overrides=[override])
    head, said = str(caught.value).split("\n")
    assert head == "preset 'mammonet' has 1 problem:"
    assert said.startswith("  --set: ") and said.endswith(problem)


def test_a_negative_seed_of_the_split_is_refused(registry: Registry) -> None:
    with pytest.raises(ConfigurationError, match=r"data\.split_seed: expected at least 0 \(got -1\)"):
        registry.preset("mammonet", overrides=["data.split_seed=-1"])
