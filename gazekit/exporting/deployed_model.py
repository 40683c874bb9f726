"""Combine a model and its attention in one forward-only graph.

An attention map differentiates the head of the model, but neither ONNX nor ``torch.export`` supports gradients. So the
head and its gradient are first traced (``make_fx`` follows the operations of autograd too) into plain operations; the
exported model calls that graph after the branches.
"""

from collections.abc import Callable, Sequence
from itertools import count
from typing import cast

import torch
from torch import Tensor, nn
from torch._decomp import core_aten_decompositions
from torch.fx.experimental.proxy_tensor import make_fx

from gazekit.contracts.interfaces import AttentionMap
from gazekit.contracts.types import Views
from gazekit.errors import ConfigurationError
from gazekit.modelling.model import Encoded, MultiViewClassifier, explained_class
from gazekit.prediction.calibration import UNCALIBRATED, Calibration
from gazekit.presets.preset import Preset

COVARIATES = "covariates"
"""Name of the input that holds them."""
_TRACED_BATCH = 2


class DeployedModel(nn.Module):
    """Map images in [0, 1], and covariates, to logits and attention maps, without gazekit at run time.

    Every exam must have every view.

    Args:
        model: in evaluation mode, on the CPU.
        attention_map: explains the positive class (of several: the most probable); None = logits only.
        preset: names the views and the normalisation.
        size: (height, width) of the images in pixels.
        calibration: adds the output ``probabilities`` ``[B, classes]``, unless its method is none.
        channels: of an image.

    Raises:
        ConfigurationError: the model reads gaze at inference, or the attention map more than the last feature maps.
    """

    def __init__(
        self,
        model: MultiViewClassifier,
        attention_map: AttentionMap | None,
        preset: Preset,
        size: tuple[int, int],
        calibration: Calibration = UNCALIBRATED,
        channels: int = 1,
    ) -> None:
        super().__init__()
        if model.needs_gaze:
            raise ConfigurationError(
                f"preset '{preset.name}' reads gaze at inference, which an exported model does not have"
            )
        self.model = model
        self.channels = channels
        self.views = preset.views
        self.covariates = preset.covariates
        self.inputs = (*preset.views, *((COVARIATES,) if preset.covariates else ()))
        self.gain, self.offset = preset.data.normalisation()
        examples = self.examples(size)
        self.outputs = (
            "logits",
            *(f"logits_{name}" for name in preset.targets),
            *(f"attention_{view}" for view in _explained_views(model, attention_map, preset)),
            *(("probabilities",) if calibration.method != "none" else ()),
        )
        self.calibration = calibration
        with torch.no_grad():
            encoded, known = self._encode(examples)
        head = _head(model, attention_map, preset.views, encoded)
        try:
            self.head = _trace(head, _of_another_length([*encoded.tensors(), *known]))
        except ConfigurationError as error:
            raise ConfigurationError(
                "an exported model has the last feature maps alone, with the extras of its stages, and the attention "
                f"map of preset '{preset.name}' reads inner stages or what no stage shows ({error}); export the "
                "predictions alone (--no-attention), or train with another attention map, such as grad_cam"
            ) from None

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """Map the tensors named in ``inputs`` to those named in ``outputs``.

        One ``[B, C, H, W]`` in [0, 1] per view, in preset order; then covariates ``[B, C]``, if the model reads some,
        NaN where not known.
        """
        encoded, known = self._encode(given)
        found = cast(tuple[Tensor, ...], tuple(self.head(*encoded.tensors(), *known)))
        if self.calibration.method == "none":
            return found
        return (*found, self.calibration.probabilities(found[0]))

    def examples(
        self, size: tuple[int, int], exams: int = _TRACED_BATCH, seed: int = 0
    ) -> tuple[Tensor, ...]:
        """Make random inputs of the right shape."""
        generator = torch.Generator().manual_seed(seed)
        images = [torch.rand(exams, self.channels, *size, generator=generator) for _ in self.views]
        if self.covariates:
            images.append(torch.rand(exams, len(self.covariates), generator=generator))
        return tuple(images)

    def named(self, given: Sequence[Tensor]) -> tuple[Views, Tensor | None]:
        """The normalised images per view, and the covariates."""
        images = zip(self.views, given, strict=not self.covariates)
        normalised = {view: image * self.gain + self.offset for view, image in images}
        return normalised, given[-1] if self.covariates else None

    def _encode(self, given: Sequence[Tensor]) -> tuple[Encoded, tuple[Tensor, ...]]:
        """The last feature maps and the extras of the stages, and the covariates, if there are some, as they are."""
        images, covariates = self.named(given)
        encoded = self.model.encode_all(images)
        return Encoded(encoded.maps, {}, encoded.extras), () if covariates is None else (covariates,)


def _explained_views(
    model: MultiViewClassifier, attention_map: AttentionMap | None, preset: Preset
) -> list[str]:
    """Return the views that the branches see, which an image fusion may have changed."""
    return [view for view in preset.views if view in model.views] if attention_map else []


def _head(
    model: MultiViewClassifier, attention_map: AttentionMap | None, views: tuple[str, ...], like: Encoded
) -> Callable[..., tuple[Tensor, ...]]:
    """Map the tensors of an ``Encoded`` like the one given, and covariates, to logits ``[B, K]`` and ``[B, h, w]``."""

    def head(*tensors: Tensor) -> tuple[Tensor, ...]:
        given = iter(tensors)
        encoded = like.map(lambda _: next(given))
        covariates = next(given, None)
        with torch.enable_grad():
            leaves = {view: maps.detach().requires_grad_() for view, maps in encoded.maps.items()}
            output = model.classify(Encoded(leaves, {}, encoded.extras), None, covariates)
            found = attention_map(output, explained_class(output.logits)) if attention_map else {}
        logits = [each.detach() for each in (output.logits, *output.further.values())]
        return *logits, *(found[view].detach() for view in views if view in found)

    return head


def _of_another_length(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Repeat the first exam, to a number that is the length of no other axis: tracing takes equal lengths for one."""
    taken = {length for tensor in tensors for length in tensor.shape[1:]}
    exams = next(number for number in count(2) if number not in taken)
    return tuple(each[:1].repeat(exams, *[1] * (each.ndim - 1)) for each in tensors)


def _trace(head: Callable[..., tuple[Tensor, ...]], features: tuple[Tensor, ...]) -> nn.Module:
    traced: nn.Module = make_fx(
        head,
        decomposition_table=dict(core_aten_decompositions()),
        tracing_mode="symbolic",  # keeps the number of exams dynamic
        _allow_non_fake_inputs=True,  # the weights of the head
    )(*features)
    return traced
