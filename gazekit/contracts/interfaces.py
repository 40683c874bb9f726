"""The contracts of the components.

A component is a class whose *positional* parameters are context that the core hands over and whose
*keyword-only* parameters are the options a preset may set; each option needs a type and a default.

A component leaves what it is handed as it is, and torch's seed, default dtype and gradient mode, which all share. What
it learns in training is in its state dict.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from gazekit.contracts.gaze import Gaze
from gazekit.contracts.progress import Elapsed
from gazekit.contracts.report import ReportedRun, ReportPart
from gazekit.contracts.tracking import Ending, TrackedRun
from gazekit.contracts.types import Batch, Extras, Output, Views
from gazekit.records.arrays import Floats, Grey, Integers
from gazekit.records.exam import Exam, Finding
from gazekit.records.identity import ImageIdentity
from gazekit.records.image_header import ImageHeader
from gazekit.records.recording import Recording
from gazekit.records.region import Region


class Backbone(nn.Module):
    """A network as a chain of stages; ``__init__(in_channels, size, *, options)``.

    ``size`` is (height, width) of an image in pixels; leave the parameter out where it does not matter. The network has
    no ``forward``: the model runs ``stages`` one after the other and may let the views meet between two of them.
    """

    stages: nn.ModuleList
    """Stage ``i`` maps ``[B, C_i-1, …]`` to ``[B, channels[i], h_i, w_i]``; the stem belongs to the first.

    A stage may return ``(maps, extras)``: extras are tensors by name with exams along the first axis, such as
    ``"attention"`` ``[B, layers, heads, n, n]``, the weights of its transformer blocks (a class token first),
    ``"class_token"`` ``[B, C]``, or ``"registers"`` ``[B, r, C]``, further tokens after it. A stage with
    ``reads_extras = True`` is called with those of the stage before it as a second argument.
    """
    channels: tuple[int, ...]
    """Channels out of each stage."""
    weights_path: Path | None = None
    """The file that ``load_initial_weights`` reads, if any; see ``gazekit.contracts.backbone_weights``.

    The core looks there for how the weights were made, and refuses to test on images that they have seen.
    """

    def load_initial_weights(self) -> str:
        """Load what the options ask for (a file, a pre-training) and say where it came from.

        Called once when a training starts, never when a trained model is loaded; the constructor leaves
        random weights. Raises: ConfigurationError if weights that are asked for cannot be had.
        """
        return "random"


class ImageFusion(nn.Module, ABC):
    """Views meet at the images; ``__init__(views, in_channels, *, options)``."""

    needs_gaze: ClassVar[Literal["never", "training", "always"]] = "never"
    """Gaze is handed over never, in training only, or at inference too; else ``gaze`` is None.

    In training an exam may lack gaze (``gaze.present(view)``); with ``"always"`` none does.
    """
    views: tuple[str, ...]
    """Views that come out."""
    in_channels: int
    """Channels of every view that comes out."""

    @abstractmethod
    def forward(self, images: Views, gaze: Gaze | None) -> Views:
        """Map images ``[B, C, H, W]`` (and gaze, whose ``gaze[view]`` is a heat map) to the views the branches see."""


class MapFusion(nn.Module, ABC):
    """Views meet at the feature maps; ``__init__(views, channels, *, options)``."""

    @abstractmethod
    def forward(self, maps: Views) -> Views:
        """Map ``[B, C, h, w]`` per view to the same shapes."""


class VectorFusion(nn.Module, ABC):
    """Views meet at the vectors; ``__init__(views, channels, *, options)``."""

    out_features: int
    """``D``, the features of the fused representation."""

    @abstractmethod
    def forward(self, vectors: Views) -> Tensor:
        """Map ``[B, C]`` per view to ``[B, D]``."""

    def auxiliary_losses(self, vectors: Views, fused: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        """Scalar losses of the fusion itself by name, unweighted; computed in training only."""
        return {}


Fusion = ImageFusion | MapFusion | VectorFusion


class Pooling(nn.Module, ABC):
    """Turns the last maps of a view into one vector; ``__init__(channels, *, options)``.

    There is one per branch, or one for all views that share a backbone. It computes in the precision of the weights.
    """

    is_mean: ClassVar[bool] = False
    """Whether it is the mean over space, which attention maps have a closed form for."""

    @abstractmethod
    def forward(self, maps: Tensor, extras: Extras) -> Tensor:
        """Map the last maps ``[B, C, h, w]`` to ``[B, C]``; ``extras`` are those of the last stage, such as tokens."""


class Head(nn.Module, ABC):
    """From the fused vector to the logits of each target; ``__init__(features, outputs, views, channels, *, options)``.

    Args:
        features: of the fused vector; where the model reads covariates, they are part of it.
        outputs: target → logits K (1 = binary, else one per class), the label first.
        views, channels: of the vectors.
    """

    @abstractmethod
    def forward(self, fused: Tensor, vectors: Views) -> dict[str, Tensor]:
        """Map ``[B, features]``, and ``[B, channels]`` per view, to logits ``[B, K]`` per target.

        With one logit, its sigmoid is the probability of the second class; with several, their softmax is that of each.
        """


@runtime_checkable
class AttentionMap(Protocol):
    """Where the model looked; ``__init__(*, options)``.

    If it is an ``nn.Module``, its parameters learn and are saved with the run. A class that reads ``output.stages``
    says so with ``reads_stages = True``, and gets the maps of all stages, in one graph with the logits. If its maps
    hold a gradient through stages that a loss may differentiate again, it says ``differentiates_gradient = True``:
    attention in the model is then composed of operations that have a second derivative.
    """

    def __call__(self, output: Output, target: Tensor) -> Views:
        """Map an output and the class to explain (``[B]`` int64) to ``[B, h, w]`` per view.

        What a map of a class explains is ``output.score(target)``: with two classes there is one logit, and class 0
        has its negative. ``output.pooled`` must be part of the graph of ``output.logits``. The maps are
        differentiable with respect to ``output.features``.
        """


class AlignmentLoss(nn.Module, ABC):
    """How far attention is from gaze; ``__init__(*, options)``."""

    reads: ClassVar[Literal["heat_map", "fixations"]] = "heat_map"
    """The form of gaze that attention is compared with."""

    @abstractmethod
    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        """Map attention ``[B, h, w]`` and gaze to a loss per map, ``[B]``.

        Gaze is a heat map ``[B, H, W]`` in [0, 1]; for a loss that reads fixations ``[B, F, 3]``: x and y in cells of
        the attention map ((0, 0) is the outer corner of the first), and the duration in ms. Unused rows are NaN.

        Unreduced: the core masks maps without gaze, weighs and averages.
        """


class Term(nn.Module, ABC):
    """A term of the loss; ``__init__(views, channels, *, options)`` with the channels of the last feature maps.

    Its parameters learn with the model and are saved with the run.
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    """The parts of a batch it reads besides images and labels, of ``"gaze"`` and ``"masks"``; others are None.

    ``"fixations"`` beside ``"gaze"`` says that finished heat maps do not serve it.
    """

    @abstractmethod
    def forward(self, output: Output, batch: Batch) -> Tensor:
        """Map the model's output and the batch to one number per exam ``[B]``, or several ``[B, n]``.

        NaN says nothing: an exam without gaze, for example. The core averages the other numbers over all exams of the
        batch, whichever process has them, and weighs. Make a NaN with ``torch.where`` from a finite number, whose
        gradient is then zero.
        """


@runtime_checkable
class PredictsScanpaths(Protocol):
    """A term that can also predict where readers look, in order; ``evaluate`` compares that with their scanpaths."""

    def predict(self, output: Output, *, fixations: int) -> Views:
        """Predict a scanpath per view, ``[B, fixations, 2]``: x and y as shares of the image's width and height."""


@runtime_checkable
class Optimizer(Protocol):
    """Makes the optimiser of a training; ``__init__(*, options)``.

    Its options are those that hold for all parameters. Learning rates and weight decays belong to the groups, and the
    core sets every group's ``lr`` before each step.
    """

    def __call__(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Make an optimiser of parameter groups, each with ``params``, ``lr`` and ``weight_decay``.

        The state that it needs to go on is in its ``state_dict``. One that torch's gradient scaler can tell on the
        device to change nothing (``fused=True`` in torch) never makes the host wait; before a step of another one, the
        core waits to know whether the step counts.
        """


@runtime_checkable
class Schedule(Protocol):
    """The course of the learning rate over a training; ``__init__(*, options)``.

    A function: it keeps no state, so a training that resumes needs nothing from it.
    """

    def __call__(self, now: Elapsed) -> float:
        """Map the step about to be taken to the factor of every learning rate, finite and at least 0."""


@runtime_checkable
class DataSource(Protocol):
    """A data set as it lies on disk; ``__init__(*, options)``."""

    classes: Sequence[str] | None
    """Class names in order (of two, the negative one first); None = sorted from the labels found."""

    def exams(self, root: Path) -> Iterator[Exam | Finding]:
        """Yield the exams below ``root``, and a finding for whatever is left out or does not agree.

        Reads tables and headers, no pixels. Raises: DataError with file, row and what was expected.
        """


@runtime_checkable
class GeneratedSource(DataSource, Protocol):
    """A data source that can write its own data set."""

    def generate(self, root: Path, *, exams: int, seed: int, progress: Callable[[int, int], None]) -> None:
        """Write ``exams`` exams below ``root``; the same seed writes the same bytes.

        ``progress`` is called with (done, total).
        """


@runtime_checkable
class CroppedSource(DataSource, Protocol):
    """A data source whose images are cut to a region, unless a preparation is told otherwise."""

    region: str
    """Name of the region, as ``gazekit plugins list --kind region`` has it."""


@runtime_checkable
class IdentifyingSource(DataSource, Protocol):
    """A data source that knows its own files without its tables, and files like them, when they are to be predicted.

    ``identify`` is asked about every image file that is predicted, with any model; so it must be sure. Where it knows
    a part only, the header says the rest. Two sources that answer must not contradict each other.
    """

    @staticmethod
    def identify(header: ImageHeader | None, path: Path) -> ImageIdentity | None:
        """Say whose image a file is and which view, or None for a stranger; never raises, and reads no files.

        ``header`` is None unless the file is DICOM.
        """


@runtime_checkable
class GazeReader(Protocol):
    """One file format of gaze recordings; ``__init__(*, options)``.

    A format that reads other files too may have a method ``beside(path)``, which returns their paths for a file and
    never raises: data prepared from them are another preparation where they change.
    """

    def fits(self, path: Path) -> bool:
        """Whether a file looks like this format, from its first lines; never raises. Two formats must not both fit."""

    def read(self, path: Path) -> Iterator[Recording]:
        """Yield recordings in pixels of the original image, or of the screen where the format leaves that open.

        One whose rows are damaged may be a ``Recording`` without rows and with the reason as its ``fault``, so that the
        others of the file are used.

        Raises: DataError with file and row.
        """


@runtime_checkable
class RegionFinder(Protocol):
    """Finds the part of an image that a preparation cuts out, such as an organ; ``__init__()``, without options.

    It runs in the worker processes of a preparation: its module must not import torch, and an instance must be
    picklable. A prepared data set keeps the name and the version of its region, and new images are prepared for a model
    by the same name and version.
    """

    version: int
    """Version of its rules, at least 1, as a class attribute; raise it with every change that moves a crop."""

    def find(self, pixels: Grey) -> Region:
        """Find the region in an image ``[H, W]`` in [0, 1] with a dark background, and leave the image as it is.

        Where none is plausible, return :func:`gazekit.records.region.whole_image` with the reason as its doubt. Never
        raises.
        """


@runtime_checkable
class Metric(Protocol):
    """A measure of a classification; ``__init__()``, without options, so that a name is the same number everywhere.

    gazekit computes it wherever it computes the AUC, with an interval that resamples patients, and compares systems by
    it. Its module needs no torch. It may also have the class attributes

    - ``meaning``: one phrase for tables; the first line of the docstring by default,
    - ``scale``: lowest and highest possible value, ``chance``: the score of guessing; None by default,
    - ``reads = "calls"``, where the class that is called counts and not its probability,

    and a method ``weighted(truth, probabilities, weights)``, which returns ``[R]``: the metric where exam i counts
    ``weights[r, i]`` times, a whole number that may be 0. It makes the 2000 resamples of an interval one call.

    A metric of probabilities may also have ``leaving_out(truth, probabilities, patient)``, which returns ``[P]``: the
    metric without the exams of each patient, whose numbers ``[N]`` run from 0 to P - 1. Without it the interval leaves
    out one after another of at most 2000 patients, or groups of them, which takes long where there are many.
    """

    title: str
    """Name for tables."""
    higher_is_better: bool

    def __call__(self, truth: Integers, probabilities: Floats) -> float:
        """Measure predictions; NaN says nothing, for example of classes that the metric is not made for.

        ``truth`` is ``[N]``, ``probabilities`` ``[N, C]``; of two classes, 1 is the positive one. With
        ``reads = "calls"`` each row of probabilities is 1 for the called class and 0 elsewhere.
        """


@runtime_checkable
class ReportSection(Protocol):
    """A section of the page about a run; ``__init__()``, without options.

    It stands before the training. One that raises is shown as failed, with its distribution and version, and the rest
    of the page stands. Its module needs no torch.
    """

    title: str
    """Heading."""

    def __call__(self, run: ReportedRun) -> Iterable[ReportPart]:
        """Yield paragraphs, tables and figures, which the page draws; nothing leaves the section out.

        Text is shown as it is: the page escapes it, and markup in it stays text.
        """


@runtime_checkable
class Tracker(Protocol):
    """Follows a training in another program; ``__init__()``, without options: it has its own, such as variables.

    It is called in the training's process, the writing one of several. One that raises is left out with one warning,
    and the training goes on. Raise ConfigurationError in ``begin`` where something is missing: it ends the training
    before the first step. A tracker that needs a package may have a method ``check()``, which raises it where the
    package is missing, before a run directory is made.
    """

    def begin(self, run: TrackedRun, tracked: str | None) -> str | None:
        """Begin to follow a run, or go on with one that was resumed.

        ``tracked`` is what this returned when the run was followed before, such as an id; None at first. It is kept in
        the run directory. After an id, ``log`` gets the epochs that it has not had; after None, every epoch from the
        first one again.
        """

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        """Take the numbers of an epoch: those of its line in ``metrics.jsonl``, without those that are null."""

    def finish(self, ending: Ending) -> None:
        """End: the training has finished, was stopped on request, or failed."""
