"""Discovery, provenance, isolation of broken plugins and clear look-ups."""

import pytest
from conftest import MakeDistribution
from torch import Tensor

import gazekit
from gazekit.errors import ConfigurationError, PluginError
from gazekit.registry.registry import KINDS, Registry

GATED = """
import gazekit
from gazekit.contracts.interfaces import VectorFusion

class Gated(VectorFusion):
    '''A gate per view.'''
    def __init__(self, views, channels, *, width: int = 8):
        super().__init__()
        self.out_features = channels
        self.width = width

    def forward(self, vectors):
        return sum(vectors.values())

@gazekit.hookimpl
def gazekit_fusions():
    return {"gated": Gated}
"""


def failures(registry: Registry) -> str:
    for kind in KINDS:
        registry.components(kind)
    return "\n".join(map(str, registry.failures))


def test_ours_come_through_the_entry_points(registry: Registry) -> None:
    assert not failures(registry)
    expected = {
        "backbone": {"timm", "small_resnet", "phresnet"},
        "pooling": {"mean", "max", "gem", "class_token", "gated"},
        "fusion": {
            "concat",
            "cross_attention",
            "token_attention",
            "bfl",
            "stack",
            "gaze_overlay",
            "gaze_mask",
        },
        "attention_map": {
            *(
                "cam",
                "grad_cam",
                "grad_cam_pp",
                "hires_cam",
                "layer_cam",
                "rollout",
                "class_attention",
                "gradient_saliency",
            ),
        },
        "alignment_loss": {
            *("mse", "pyramid", "kl", "correlation", "cosine", "outside", "dice", "centre_of_mass", "nss"),
        },
        "term": {"gaze_decoder", "next_fixation", "mask_alignment", "gaze_statistics"},
        "optimizer": {"adam", "adamw", "sgd", "timm"},
        "schedule": {"constant", "one_cycle", "cosine", "stepwise", "polynomial", "plateau"},
        "dataset": {"folder", "phantom", "inbreast", "cbis_ddsm", "cmmd", "vindr_mammo"},
        "gaze_reader": {
            *("plain", "miceye", "viewer_log", "tobii_sdk", "tobii_pro_lab", "tobii_studio", "eyelink"),
            *("reflacx", "egd_cxr", "gazemedseg"),
        },
        "head": {"ordinal"},
        "region": {"breast"},
        "metric": {
            *("sensitivity_at_80", "sensitivity_at_90", "partial_auc", "f1"),
            *("kappa", "linear_kappa", "quadratic_kappa"),
        },
        "report_section": {"surest_errors"},
        "tracker": {"tensorboard", "mlflow", "wandb"},
    }
    there = {kind: {c.name for c in registry.components(kind)} for kind in KINDS}
    assert {kind: expected[kind] & names for kind, names in there.items()} == expected
    assert {c.provenance.distribution for kind in KINDS for c in registry.components(kind)} == {
        "gazekit-multiview"
    }


def test_a_strangers_fusion_is_found_created_and_located(distribution: MakeDistribution) -> None:
    distribution("gated", "1.2", GATED)
    registry = gazekit.load_registry()
    gated = registry.create("fusion", "gated", ("cc", "mlo"), 4, width=3)
    assert gated.out_features == 4 and gated.width == 3
    component = registry.component("fusion", "gated")
    assert str(component.provenance) == "gated 1.2"
    assert component.location == "gated_module:5"


def test_unknown_option_lists_the_options(distribution: MakeDistribution) -> None:
    distribution("gated", "1.2", GATED)
    registry = gazekit.load_registry()
    with pytest.raises(
        ConfigurationError, match=r"fusion 'gated': 'widht': no such option .* width: int = 8"
    ):
        registry.create("fusion", "gated", ("cc",), 4, widht=3)
    with pytest.raises(ConfigurationError, match=r"'width': expected a whole number \(got 'wide'\)"):
        registry.create("fusion", "gated", ("cc",), 4, width="wide")


def test_unknown_name_suggests_and_lists(registry: Registry) -> None:
    with pytest.raises(
        ConfigurationError, match=r"no fusion 'conact'\. Did you mean 'concat'\? There are: bfl, concat"
    ):
        registry.create("fusion", "conact", ("cc",), 4)
    with pytest.raises(ConfigurationError, match="no kind 'fusions'; the kinds are: backbone, fusion"):
        registry.create("fusions", "concat")


def test_a_kind_may_be_written_with_a_dash_and_is_told_as_it_is(distribution: MakeDistribution) -> None:
    distribution(
        "dull",
        "1",
        "import gazekit\nclass Dull:\n    pass\n"
        "@gazekit.hookimpl\ndef gazekit_attention_maps():\n    return {'dull': Dull}\n",
    )
    registry = gazekit.load_registry()
    assert {row["kind"] for row in registry.table("attention-map")} == {"attention_map", "plugin"}
    with pytest.raises(PluginError, match=r"^no attention map 'dull'\. .*Dull has no method '__call__'"):
        registry.component("attention-map", "dull")


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (
            "import a_package_that_is_missing",
            "ModuleNotFoundError: No module named 'a_package_that_is_missing'",
        ),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        (
            "import gazekit\n@gazekit.hookimpl\ndef gazekit_fusion():\n    return {}",
            "no hook 'gazekit_fusion'; did you mean 'gazekit_fusions'?",
        ),
        (
            "def gazekit_fusions():\n    return {}",
            "function 'gazekit_fusions' lacks the marker @gazekit.hookimpl",
        ),
        (
            "import gazekit\n@gazekit.hookimpl\ndef gazekit_fusions(registry):\n    return {}",
            "definition: gazekit_fusions(registry)",
        ),
        ("import gazekit\n@gazekit.hookimpl\ndef gazekit_fusions():\n    return 1 / 0", "ZeroDivisionError"),
        (
            "import gazekit\n@gazekit.hookimpl\ndef gazekit_fusions():\n    return {'odd': int}",
            "does not derive from",
        ),
        (GATED.replace("width: int = 8", "width: int"), "option 'width' of Gated needs a type and a default"),
        (GATED.replace("width: int = 8", "width=8"), "option 'width' of Gated needs a type and a default"),
        (GATED.replace("*, width: int = 8", "**options").replace("= width", "= options"), "name each option"),
    ],
)
def test_a_broken_plugin_is_reported_and_hides_nothing(
    distribution: MakeDistribution, code: str, cause: str
) -> None:
    distribution("broken", "0.3", code)
    registry = gazekit.load_registry()
    assert isinstance(registry.create("fusion", "concat", ("cc", "mlo"), 4).out_features, int)
    report = failures(registry)
    assert report.count("\n") == 0 and "of broken 0.3" in report and cause in report
    with pytest.raises(
        ConfigurationError, match=r"no fusion 'gated'.*Not loaded: plugin 'broken' of broken 0\.3"
    ):
        registry.create("fusion", "gated", ("cc",), 4)


def test_two_plugins_with_one_name_neither_wins(
    distribution: MakeDistribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution("gated", "1.2", GATED)
    distribution("gated-too", "2.0", GATED)
    with pytest.raises(ConfigurationError, match=r"offered by gated 1\.2 and gated-too 2\.0; neither wins"):
        gazekit.load_registry().component("fusion", "gated")
    rows = [row for row in gazekit.load_registry().table("fusion") if row["name"] == "gated"]
    assert [row["status"] for row in rows] == ["offered twice"] * 2
    monkeypatch.setenv("GAZEKIT_DISABLE", "gated-too")
    registry = gazekit.load_registry()
    assert registry.component("fusion", "gated").provenance.distribution == "gated"
    assert [row["status"] for row in registry.table() if row["package"] == "gated-too"] == ["disabled"]


def test_a_hook_is_called_only_when_its_kind_is_asked_for(distribution: MakeDistribution) -> None:
    distribution(
        "lazy",
        "1",
        "import gazekit\n@gazekit.hookimpl\ndef gazekit_backbones():\n    raise OSError('no disk')",
    )
    registry = gazekit.load_registry()
    assert registry.components("fusion") and not registry.failures
    registry.components("backbone")
    assert "OSError: no disk" in str(registry.failures[0])


def test_created_fusion_computes(registry: Registry) -> None:
    import torch

    vectors = {"cc": torch.ones(2, 3), "mlo": torch.zeros(2, 3)}
    fused: Tensor = registry.create("fusion", "concat", ("cc", "mlo"), 3)(vectors)
    assert fused.tolist() == [[1, 1, 1, 0, 0, 0]] * 2
