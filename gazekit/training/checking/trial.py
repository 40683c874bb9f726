"""Check the output of a model's components on one batch before a run starts."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gazekit.contracts.types import Batch, Output, Views
from gazekit.errors import ConfigurationError, PluginError
from gazekit.modelling.alignment import Alignment
from gazekit.modelling.model import MultiViewClassifier
from gazekit.modelling.objective import GAZE, Objective
from gazekit.presets.layers import Key, component_kind
from gazekit.presets.preset import Preset
from gazekit.registry.component import in_words
from gazekit.registry.registry import Registry

Shape = Sequence[int | None]
"""Expected sizes; None accepts any."""


class TrialBatch:
    """Checks of a preset's components; each raises PluginError with component, package and version."""

    def __init__(self, preset: Preset, registry: Registry) -> None:
        self.preset = preset
        self.registry = registry

    def watch(self, model: MultiViewClassifier) -> None:
        """Check the fusions of a model (a throwaway copy) at every call."""
        fusions = {"images": model.image_fusion, "maps": model.map_fusion, "vectors": model.vector_fusion}
        for level, fusion in fusions.items():
            if fusion is not None:
                self._watch(("fusion", level), fusion)

    def check_losses(self, objective: Objective, output: Output, batch: Batch) -> None:
        """Check the terms beside classification: attention maps, alignment losses, terms and the fusion's own."""
        if not _finite(output.logits):  # weights that are not finite: no component's fault
            return
        if objective.auxiliary_losses is not None:
            key: Key = ("fusion", "vectors")
            losses = objective.auxiliary_losses(output.vectors, output.fused)
            self._check(key, losses, dict.fromkeys(losses, ()))
            if twice := sorted(set(losses) & {*objective.terms, "classification", "loss"}):
                raise ConfigurationError(
                    f"'{twice[0]}' names a loss of the fusion of vectors, and a term beside it; give the term another "
                    f"name than terms.{twice[0]}"
                )
        exams = len(batch.labels)
        aligned = [term for term in objective.terms.values() if isinstance(term, Alignment)]
        if objective.attention_map is not None and all(term.attention_map is not None for term in aligned):
            pictured = objective.attention_map(output, batch.labels)
            self._check(("attention_map",), pictured, dict.fromkeys(output.features, (exams, None, None)))
        read = [*batch.tensors(), *(batch.gaze or {}).values(), output.logits, output.fused]
        versions = [tensor._version for tensor in read]

        def check_left(key: Key) -> None:
            kept = versions == [tensor._version for tensor in read]
            self._promise(key, "to leave output and batch as they are", kept, "changed ones")

        for name, term in objective.terms.items():
            key = ("gaze",) if name == GAZE else ("terms", name)
            try:
                if isinstance(term, Alignment):
                    attention_map = term.attention_map or objective.attention_map
                    assert attention_map is not None
                    maps = attention_map(output, batch.labels)
                    own = (*key, "attention_map") if term.attention_map is not None else ("attention_map",)
                    self._check(own, maps, dict.fromkeys(output.features, (exams, None, None)))
                    check_left(own)
                    losses = term(maps, batch)
                    check_left((*key, "alignment_loss"))
                    self._check(
                        (*key, "alignment_loss"), {"loss": losses}, {"loss": (exams, None)}, finite=False
                    )
                    infinite = bool(losses.isinf().any())
                    self._promise((*key, "alignment_loss"), "finite loss", not infinite, "NaN or infinity")
                else:
                    losses = term(output, batch)
                    check_left(key)
                    shape: Shape = (exams,) if getattr(losses, "ndim", 1) == 1 else (exams, None)
                    self._check(key, {"loss": losses}, {"loss": shape}, finite=False)
                    self._promise(key, "finite loss or NaN", not bool(losses.isinf().any()), "infinity")
            except PluginError:
                raise
            except ConfigurationError as error:
                raise ConfigurationError(f"{'.'.join(key)}: {error}") from error

    def _watch(self, key: Key, fusion: nn.Module) -> None:
        versions: dict[str, int] = {}

        def before(_module: nn.Module, arguments: tuple[Any, ...]) -> None:
            versions.update({view: tensor._version for view, tensor in arguments[0].items()})

        def after(module: Any, arguments: tuple[Any, ...], results: Any) -> None:
            inputs: Views = arguments[0]
            kept = versions == {view: tensor._version for view, tensor in inputs.items()}
            self._promise(key, "to leave its inputs as they are", kept, "changed ones")
            exams = len(next(iter(inputs.values())))
            expected: dict[str, Shape]
            if key[-1] == "images":
                expected = dict.fromkeys(module.views, (exams, module.in_channels, None, None))
            elif key[-1] == "maps":
                expected = {view: tuple(tensor.shape) for view, tensor in inputs.items()}
            else:
                expected, results = {"fused": (exams, module.out_features)}, {"fused": results}
            self._check(key, results, expected, finite=all(_finite(tensor) for tensor in inputs.values()))
            trained = any(tensor.requires_grad for tensor in inputs.values())
            differentiable = all(result.requires_grad for result in results.values())
            self._promise(
                key, "differentiable results", differentiable or not trained, "results without a graph"
            )

        fusion.register_forward_pre_hook(before)
        fusion.register_forward_hook(after)

    def _check(self, key: Key, results: Any, expected: Mapping[str, Shape], *, finite: bool = True) -> None:
        """Check the order of names, shapes, dtypes and finite values."""
        named = isinstance(results, Mapping)
        self._promise(
            key, f"results for {list(expected)}", named and list(results) == list(expected), _said(results)
        )
        for name, shape in expected.items():
            result = results[name]
            self._promise(key, f"{name} as a tensor", isinstance(result, Tensor), _said(result))
            sizes = list(result.shape)
            fits = len(sizes) == len(shape) and all(w in (None, s) for w, s in zip(shape, sizes, strict=True))
            wanted = ", ".join("…" if size is None else str(size) for size in shape)
            self._promise(key, f"{name} of shape [{wanted}]", fits, sizes)
            usual = result.dtype in (torch.float32, torch.bfloat16, torch.float16)
            self._promise(key, f"{name} in the dtype of its inputs, torch.float32", usual, result.dtype)
            self._promise(key, f"finite {name}", not finite or _finite(result), "NaN or infinity")

    def _promise(self, key: Key, promised: str, kept: bool, came: object) -> None:
        choice, kind = self.preset.component(key), component_kind(key)
        if kept or choice is None or kind is None:
            return
        origin = self.registry.component(kind, choice.use).provenance
        raise PluginError(
            f"{in_words(kind)} '{choice.use}' of {origin} promises {promised}; came: {came}; "
            f"gazekit plugins check {origin.distribution} says more"
        )


def _finite(tensor: Tensor) -> bool:
    return bool(tensor.isfinite().all())


def _said(results: Any) -> str:
    return str(list(results)) if isinstance(results, Mapping) else type(results).__name__
