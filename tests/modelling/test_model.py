"""The model shell: every combination of fusions, views and classes; explanation without the backbone's graph."""

import itertools
import types

import pytest
import torch
from tiny import random_batch, tiny
from torch import nn

from gazekit.contracts.hookspecs import hookimpl
from gazekit.contracts.interfaces import Backbone
from gazekit.errors import ConfigurationError
from gazekit.modelling import build
from gazekit.modelling.build import build_attention_map, build_model, check_size
from gazekit.modelling.model import explained_class, probabilities
from gazekit.presets.preset import Preset
from gazekit.registry.component import Provenance
from gazekit.registry.discovery import ALL_FOREIGN, add_plugin, load_registry
from gazekit.registry.registry import Registry


@pytest.mark.parametrize(
    ("views", "classes", "maps", "vectors", "shared"),
    list(
        itertools.product(
            [("cc",), ("cc", "mlo"), ("l_cc", "l_mlo", "r_cc", "r_mlo")],
            [2, 3],
            ["none", "cross_attention"],
            ["concat", "bfl"],
            [True, False],
        )
    ),
)
def test_any_views_classes_and_fusions(
    registry: Registry, views: tuple[str, ...], classes: int, maps: str, vectors: str, shared: bool
) -> None:
    overrides = [
        f"views={list(views)}",
        f"fusion.vectors.use={vectors}",
        f"model.share_backbone={str(shared).lower()}",
        "gaze=none",
    ]
    preset = tiny(registry, *overrides, *(["fusion.maps=none"] if maps == "none" else []))
    model = build_model(preset, registry, classes=classes)
    assert len(model.backbones) == (1 if shared else len(views))
    batch = random_batch(views, classes=classes)
    output = model(batch.images)
    assert output.logits.shape == (4, 1 if classes == 2 else classes)
    assert list(output.features) == list(output.pooled) == list(output.vectors) == list(views)
    for view in views:
        torch.testing.assert_close(output.pooled[view], output.features[view].mean(dim=(2, 3)))
        assert output.vectors[view].shape == (4, 7)
    output.logits.sum().backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None and "reconstruct" not in name]
    assert [name for name in silent if name.startswith(("backbones", "projections", "head"))] == []


def test_views_meet_only_where_a_fusion_lets_them(registry: Registry) -> None:
    batch = random_batch(("cc", "mlo"))
    other = random_batch(("cc", "mlo"), seed=1)
    changed = {"cc": batch.images["cc"], "mlo": other.images["mlo"]}
    apart = build_model(tiny(registry, "fusion.maps=none"), registry, classes=2).eval()
    torch.testing.assert_close(apart.encode(changed)["cc"], apart.encode(batch.images)["cc"])
    joined = build_model(tiny(registry), registry, classes=2).eval()
    assert not torch.allclose(joined.encode(changed)["cc"], joined.encode(batch.images)["cc"], atol=1e-4)


def test_shared_branches_are_one_function(registry: Registry) -> None:
    preset = tiny(registry, "model.share_backbone=true", "fusion.maps=none")
    model = build_model(preset, registry, classes=2).eval()
    image = random_batch(("cc",)).images["cc"]
    maps = model.encode({"cc": image, "mlo": image})
    assert torch.equal(maps["cc"], maps["mlo"])


def test_a_single_view_is_pooled_and_linear(registry: Registry) -> None:
    preset = registry.preset("single_cc", overrides=["backbone=small_resnet"])
    model = build_model(preset, registry, classes=2)
    output = model(random_batch(("cc",)).images)
    torch.testing.assert_close(output.logits, model.head(output.pooled["cc"], {})["label"])


def test_explaining_gives_the_maps_of_the_full_graph_and_leaves_no_gradient(registry: Registry) -> None:
    preset = tiny(registry)
    model, attention = build_model(preset, registry, classes=2).eval(), build_attention_map(preset, registry)
    assert attention is not None
    batch = random_batch(preset.views)
    output, maps = model.explain(batch.images, attention)
    full = model(batch.images)
    expected = attention(full, explained_class(full.logits))
    torch.testing.assert_close(output.logits, full.logits)
    for view in preset.views:
        torch.testing.assert_close(maps[view], expected[view].detach())
        assert not maps[view].requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())


def test_score_probabilities_and_classes() -> None:
    from gazekit.contracts.types import Output

    def output(logits: list[list[float]]) -> Output:
        return Output(torch.tensor(logits), {}, {}, {}, torch.empty(0))

    binary = output([[2.0], [-1.0]])
    assert binary.score(torch.tensor([1, 0])).tolist() == [2.0, 1.0]
    assert explained_class(binary.logits).tolist() == [1, 1]
    torch.testing.assert_close(probabilities(binary.logits)[:, 1], torch.tensor([2.0, -1.0]).sigmoid())
    classes = output([[0.0, 1.0, 3.0]])
    assert explained_class(classes.logits).tolist() == [2]
    assert classes.score(torch.tensor([1])).tolist() == [1.0]
    torch.testing.assert_close(probabilities(classes.logits).sum(), torch.tensor(1.0))


def test_components_that_do_not_fit(registry: Registry) -> None:
    with pytest.raises(
        ConfigurationError, match="map_fusion_after = 9, but backbone 'small_resnet' has 4 stages"
    ):
        build_model(tiny(registry, "model.map_fusion_after=9"), registry, classes=2)


@pytest.mark.parametrize("name", ["l.cc", "type", ""])
def test_a_name_that_cannot_name_a_view(registry: Registry, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"views: '{name}' cannot name a view"):
        build_model(tiny(registry, f'views=["{name}", "mlo"]'), registry, classes=2)


class _Sized(Backbone):
    """Remembers the size of the images it is made for."""

    def __init__(self, in_channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size, self.channels = size, (3,)
        self.stages = nn.ModuleList([nn.Conv2d(in_channels, 3, 4, stride=4)])


@pytest.mark.parametrize(("size", "expected"), [((48, 32), (48, 32)), (None, (24, 24))])
def test_a_backbone_that_asks_for_it_gets_the_size_of_the_images(
    size: tuple[int, int] | None, expected: tuple[int, int]
) -> None:
    registry = load_registry(disable=[ALL_FOREIGN])
    plugin = types.ModuleType("sized")
    plugin.gazekit_backbones = hookimpl(specname="gazekit_backbones")(lambda: {"sized": _Sized})
    add_plugin(registry, Provenance("sized", "sized", "1"), lambda: plugin, where="a test")
    overrides = ["backbone.use=sized", "gaze=none", "fusion.maps=none", "data.size=24"]
    model = build_model(registry.preset("mammonet", overrides=overrides), registry, classes=2, size=size)
    assert [backbone.size for backbone in model.backbones] == [expected, expected]


def test_a_model_is_measured_once_and_refused_where_it_is_larger_than_the_memory(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def noted(preset: Preset, *arguments: object, **known: object) -> object:
        made.append(preset.name)
        return build_model(preset, *arguments, **known)  # type: ignore[arg-type]

    monkeypatch.setattr(build, "build_model", noted)
    monkeypatch.setattr(build, "_BYTES", {})
    known = {"classes": 2, "size": (32, 32)}
    small, wide = tiny(registry), tiny(registry, "backbone.widths=[4,6,8,12]")
    for preset in (small, tiny(registry, "training.epochs=9", "loss.gaze_weight=0.1"), wide, small, wide):
        check_size(preset, registry, **known)
    check_size(small, registry, classes=3, size=(32, 32))
    assert len(made) == 3, "the widths and the classes change a model, the training does not"
    for preset in (small, wide):
        weights = build_model(preset, registry, **known).state_dict()
        bytes_of = sum(tensor.nbytes for tensor in weights.values())
        monkeypatch.setattr(build, "free_memory", lambda bytes_of=bytes_of: bytes_of)
        check_size(preset, registry, **known)
        with pytest.raises(ConfigurationError, match="GB of those stored with it"):
            check_size(preset, registry, most=bytes_of - 1, **known)
        monkeypatch.setattr(build, "free_memory", lambda bytes_of=bytes_of: bytes_of - 1)
        with pytest.raises(ConfigurationError, match="GB of free memory"):
            check_size(preset, registry, **known)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="no machine has the memory for its model"):
            check_size(tiny(registry, f"backbone.widths=[4,6,8,{10**12}]"), registry, **known)
