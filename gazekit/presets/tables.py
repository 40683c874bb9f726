"""The tables of a preset: every key with its type, range and default."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import Field

from gazekit.disk.wrong_value import in_plain_words, problems_of

LABEL = "label"
"""The target that every exam has, which is explained, selected by and compared."""
Share = Annotated[float, Field(ge=0, le=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
NonNegativeCount = Annotated[int, Field(ge=0)]


class PresetTable(pydantic.BaseModel):
    """A table of a preset; unknown keys are errors."""

    model_config = pydantic.ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False
    )


class ComponentChoice(pydantic.BaseModel):
    """A component by name; every other key is an option."""

    model_config = pydantic.ConfigDict(extra="allow", frozen=True)
    use: str

    @property
    def options(self) -> dict[str, Any]:
        """The options as written, or with defaults after the preset is resolved."""
        return dict(self.model_extra or {})


def absent(value: Any) -> Any:
    """Read ``"none"`` as absent: TOML has no null."""
    return None if value == "none" else value


Slot = Annotated[ComponentChoice | None, pydantic.BeforeValidator(absent)]


class DataSettings(PresetTable):
    """Size and normalisation of images, and the split."""

    dataset: Slot = None
    """Data source that is generated and used when no data are given."""
    exams: Count = 300
    """Number of exams to generate."""
    size: Count = 224
    """Height and width of a prepared image, px."""
    mean: float = 0.449
    """Subtracted from pixels in [0, 1]."""
    std: Positive = 0.226
    """Pixels are divided by it."""
    test: Share = 0.3
    """Share of the patients in the test part when the data bring no split."""
    val: Share = 0.2
    """Share of the other patients in the validation part."""
    split_seed: NonNegativeCount = 0
    """Seed of the random order of the patients."""

    @property
    def validation(self) -> float:
        """The former name of ``val``; it goes in the next release."""
        warnings.warn("data.validation is now data.val", FutureWarning, stacklevel=2)
        return self.val

    def normalisation(self, full: float = 1.0) -> tuple[float, float]:
        """Gain and offset that normalise pixels in [0, full]: ``(x / full - mean) / std = gain * x + offset``."""
        return 1 / (full * self.std), -self.mean / self.std


class ModelSettings(PresetTable):
    """How the model shell joins the components."""

    share_backbone: bool = False
    """One backbone for all views instead of one each."""
    vector_features: Annotated[Count | None, pydantic.BeforeValidator(absent)] = None
    """Width of p_v = Linear(pooled); absent: p_v = pooled."""
    map_fusion_after: Count = 3
    """The stage after which the feature maps are fused, counted from 1."""


class FusionSettings(PresetTable):
    """Where views meet: at the images, the feature maps, the vectors."""

    images: Slot = None
    """Before the backbones; absent: each has its view's image."""
    maps: Slot = None
    """After the stage ``model.map_fusion_after``; absent: the branches do not meet there."""
    vectors: Slot = None
    """Makes one vector of the views' vectors; absent: there is one view, or one image of all."""


def _readers(value: Any) -> Any:
    """A way to take readers, or their names. Raises ValueError: neither."""
    if isinstance(value, list | tuple) and value and all(isinstance(name, str) for name in value):
        return tuple(value)
    if value not in ("mean", "each", "sampled"):
        raise ValueError('expected "mean", "each", "sampled", or a list of readers such as ["Ann", "Bob"]')
    return value


def _window(value: Any) -> Any:
    """Two times in order. Raises ValueError: something else."""
    value = absent(value)
    if value is None:
        return None
    numbers = isinstance(value, list | tuple) and all(isinstance(each, int | float) for each in value)
    if not (numbers and len(value) == 2 and 0 <= value[0] < value[1]):
        raise ValueError("expected [from, to] in ms, such as [0, 2000]")
    return tuple(map(float, value))


class GazeSettings(PresetTable):
    """How gaze is read and how it supervises attention; ``gaze = "none"`` trains without it."""

    alignment_loss: Slot = None
    """Compares attention with gaze; absent: gaze serves the terms of ``terms`` and a fusion of images only."""
    target: Literal["label", "positive"] = "label"
    """Class whose attention is aligned: the true one, or the positive one (of several classes: the true one).

    With one logit the maps of the two classes are each other's negatives, so ``"label"`` asks for opposite maps.
    """
    readers: Annotated[
        Literal["mean", "each", "sampled"] | tuple[str, ...], pydantic.BeforeValidator(_readers)
    ] = "mean"
    """Whose gaze: the mean of all readers' heat maps, each reader in turn, one reader drawn per exam and epoch, or the
    mean of those named."""
    sigma: Annotated[Positive | None, pydantic.BeforeValidator(absent)] = None
    """Width of a fixation's Gaussian in degrees of visual angle; absent: as prepared."""
    window_ms: Annotated[tuple[float, float] | None, pydantic.BeforeValidator(_window)] = None
    """Fixations that begin in this time, in ms from the start of their recording; absent: all."""
    minimum_duration_ms: NonNegative = 0.0
    """Shorter fixations are left out."""

    @property
    def choices(self) -> list[str]:
        """The settings that choose among fixations, by name."""
        names = ("readers", "sigma", "window_ms", "minimum_duration_ms")
        return [name for name in names if getattr(self, name) != type(self).model_fields[name].default]


class TermSettings(ComponentChoice):
    """A term of the loss: a component by name with its options, or an alignment of attention with gaze."""

    use: str | None = None  # type: ignore[assignment]
    """A component of kind ``term``; absent: an alignment."""
    weight: NonNegative = 1.0
    """λ of the term."""
    alignment_loss: Slot = None
    """Of an alignment: compares attention with gaze."""
    attention_map: Slot = None
    """Of an alignment: computes the attention; absent: the one of the preset."""
    target: Annotated[Literal["label", "positive"] | None, pydantic.BeforeValidator(absent)] = None
    """Of an alignment: class whose attention is aligned; absent: ``gaze.target``."""


class LossSettings(PresetTable):
    """Weights of the terms."""

    gaze_weight: NonNegative = 0.5
    """λ of Eq. 8."""
    auxiliary_weight: NonNegative = 0.2
    """μ of Eq. 8."""
    class_weights: Literal["balanced", "none"] = "balanced"
    """``balanced``: inverse to the frequency in the training split (binary: pos_weight = n_neg / n_pos); with
    ``training.sampling = "balanced"`` the classes are equally frequent, so the weights of the label are equal."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """ε: share of the truth that is spread over all classes. The validation loss has it too."""
    focal_gamma: NonNegative = 0.0
    """γ of the focal loss ``(1 - p_t)^γ CE``: exams that are classified well count less. The validation loss has it
    too."""
    balance: Literal["none", "gradient"] = "none"
    """``gradient``: scale each term once, before training, so that its gradient at the last maps has the norm of
    classification's; losses of different sizes can then be compared at one λ."""


class AugmentationSettings(PresetTable):
    """One random affine map per exam and view, the same for image and heat map."""

    rotation: NonNegative = 15.0
    """Largest rotation, degrees."""
    translation: Share = 0.1
    """Largest shift, as a share of the image side."""
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest relative change of size."""
    flip_horizontal: Share = 0.5
    """Probability."""
    flip_vertical: Share = 0.5
    """Probability."""
    same_for_views: bool | Literal["horizontal"] = False
    """Draw one map per exam instead of one per view; ``"horizontal"`` draws one size, one horizontal flip and one
    horizontal shift per exam, and the rest per view. With ``rotation = 0``, views prepared at one scale then keep
    equal horizontal distances, such as that of a lesion to the nipple, equal."""
    gain: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Largest relative change of contrast: pixels in [0, 1] are multiplied by 1 ± gain. Black stays black."""
    gamma: NonNegative = 0.0
    """Largest change of gamma: pixels in [0, 1] are raised to a power in [1 / (1 + gamma), 1 + gamma]."""
    noise: NonNegative = 0.0
    """Largest standard deviation of noise, as a share of the full range; black stays black."""
    blur: NonNegative = 0.0
    """Largest width (sigma) of a Gaussian blur, px."""
    mixup: NonNegative = 0.0
    """α of mixup: images of an exam are mixed with those of another of its batch, and so are the losses of their
    labels; 0 mixes none. Terms on gaze and masks read those of the exam with the larger share."""
    drop_view: Share = 0.0
    """Probability that an exam with several views is shown without one of them, as if it lacked it."""


class ReportedSettings(PresetTable):
    """Published results of this system, on the publication's own data, split and protocol."""

    auc: Share | None = None
    acc: Share | None = None
    """Accuracy."""
    source: str
    """Source of the results."""


class GroupSettings(PresetTable):
    """How a part of the model learns, where that is not how the rest does."""

    learning_rate: Annotated[Positive | None, pydantic.BeforeValidator(absent)] = None
    """Its own rate, which the schedule multiplies too; absent: ``training.learning_rate``."""
    weight_decay: Annotated[NonNegative | None, pydantic.BeforeValidator(absent)] = None
    """Its own weight decay; absent: ``training.weight_decay``."""
    freeze_epochs: NonNegativeCount = 0
    """Epochs at the start in which it rests: no gradient, no weight decay, and fixed statistics of batch norm."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Of backbones: the rate of each stage is that of the next one times this; the last stage has the group's rate."""


class TrainingSettings(PresetTable):
    """How the model is trained."""

    epochs: Count = 300
    """Number of times that the training part is gone through."""
    batch_size: Count = 8
    """Exams of a step, of all processes together."""
    optimizer: Slot = None
    """Takes the steps; absent: Adam of torch as it comes."""
    learning_rate: Positive = 1e-4
    """The schedule multiplies it."""
    weight_decay: NonNegative = 0.0
    """As the optimizer defines it."""
    decay_norms_and_biases: bool = True
    """Weight decay also pulls at parameters with a single axis, which are those of norms, and biases."""
    schedule: Slot = None
    """The course of the learning rate; absent: it stays."""
    groups: dict[str, GroupSettings] = {}
    """How parts of the model learn, by the part's name: ``backbones``, ``fusion``, ``projections``, ``head``,
    ``objective``."""
    amp: Literal["off", "bf16", "fp16"] = "off"
    """Precision of the branches; layers after the last feature maps, and all weights, stay float32."""
    compile: bool = False
    """Compile the stages of the branches, except operations that are differentiated twice."""
    cuda_graphs: bool = True
    """On one GPU, record the step once and replay it; not with ``accumulate`` or ``checkpoint_activations``."""
    accumulate: Count = 1
    """Number of parts in which a batch passes the branches; only one part's activations are in memory."""
    checkpoint_activations: bool = False
    """Keep only the input of each stage, and recompute the rest in the backward pass."""
    exams_on_device: Annotated[Literal["auto"] | bool, Field(union_mode="left_to_right")] = "auto"
    """Hold all exams on the device, or read them batch by batch; ``auto``: hold them on a GPU if they fit."""
    deterministic: bool = False
    """Use deterministic algorithms, also on CUDA."""
    checkpoint_every: Annotated[Count | None, pydantic.BeforeValidator(absent)] = None
    """Write a checkpoint each time after this many steps, besides those after epochs."""
    select: Literal["auc", "loss", "last"] = "auc"
    """Weights that are used: of the epoch with the highest validation AUC (of equal ones the lowest validation loss),
    of the epoch with the lowest validation loss, or of the last epoch."""
    validate_every: Count = 1
    """Validate after every so many epochs, and before a training ends; an epoch without validation is not selected."""
    sampling: Literal["all", "balanced"] = "all"
    """Exams of an epoch: each once, or as many in total but equally many of each class, whose exams are repeated or
    left out in turn."""
    labels: Literal["given", "permuted"] = "given"
    """Labels of the training part: as the data say, or ``permuted`` among its exams, a control for ``explain-check
    --random-labels``. Validation and test keep their labels."""
    patience: Annotated[Count | None, pydantic.BeforeValidator(absent)] = None
    """End the training after this many epochs without better weights, by ``select``; absent: train all epochs."""
    ema: Annotated[float | None, Field(gt=0, lt=1), pydantic.BeforeValidator(absent)] = None
    """Decay of a moving average of the weights, such as 0.999, which is then what is validated, selected and used;
    absent: no average."""
    augmentation: AugmentationSettings = AugmentationSettings()


class ValueRange(PresetTable):
    """A range of numbers that tuning draws from."""

    low: float
    high: float
    log: bool = False
    """Draw the logarithm evenly, as for a learning rate; ``low`` is above 0 then."""

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.low < self.high or (self.log and self.low <= 0):
            above = "0 < low < high" if self.log else "low < high"
            raise ValueError(f"expected {above} (got low = {self.low:g}, high = {self.high:g})")
        return self


Space = dict[str, ValueRange | tuple[Any, ...]]
"""Key of a preset → the values that tuning tries: a list, or a range."""
COMMON_SPACE: Space = {"training.learning_rate": ValueRange(low=1e-5, high=1e-2, log=True)}
"""The space of a preset that declares none."""


def has_twice(values: Sequence[Any]) -> bool:
    """Whether a value comes twice; 1 and true differ, and NaN is one value."""
    lost = [isinstance(each, float) and math.isnan(each) for each in values]
    told_apart = [
        (isinstance(each, bool), is_lost, 0 if is_lost else each)
        for each, is_lost in zip(values, lost, strict=True)
    ]
    return any(told_apart.count(each) > 1 for each in told_apart)


def read_space(value: Any) -> Space:
    """Read the table ``tune``. Raises ValueError: an entry is neither a list of values nor a range."""
    if isinstance(value, Mapping):
        return dict(_axes(value, ""))
    raise ValueError('expected keys with their values, such as "loss.gaze_weight" = [0.1, 0.5, 2]')


def _axes(table: Mapping[str, Any], above: str) -> Iterator[tuple[str, ValueRange | tuple[Any, ...]]]:
    for name, axis in table.items():
        key = above + name
        if isinstance(axis, ValueRange):
            yield key, axis
        elif isinstance(axis, Mapping) and axis.keys() & {"low", "high"}:
            try:
                yield key, ValueRange.model_validate(axis)
            except pydantic.ValidationError as error:
                first = problems_of(error)[0]
                where = ".".join(map(str, (key, *first["loc"])))
                raise ValueError(f"{where}: {in_plain_words(first)}") from None
        elif isinstance(axis, Mapping):
            yield from _axes(axis, f"{key}.")
        elif isinstance(axis, list | tuple) and axis and not has_twice(axis):
            yield key, tuple(axis)
        else:
            raise ValueError(
                f"{key}: expected a list of different values, or a range such as "
                f"{{ low = 1e-5, high = 1e-2, log = true }} (got {axis!r})"
            )
