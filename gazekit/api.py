"""A function for each of the main commands; see ``examples/quickstart.ipynb``.

Each mirrors the command of its name: the same checks, the same files, the same resuming. Messages name the
arguments of these functions where the command line's would name options.
"""

import functools
import inspect
import operator
import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, get_args, get_origin

from gazekit.disk.atomic import check_place
from gazekit.errors import ConfigurationError, GazekitError
from gazekit.gaze.collecting import SkippedFile, read_all
from gazekit.gaze.image_names import check_named
from gazekit.gaze.options import reader_lookup, readers_and_settings, reading_options
from gazekit.gaze.readers import only_readers
from gazekit.machine import choose_device
from gazekit.measures.units import How, Per
from gazekit.prediction.calibration import Method
from gazekit.prediction.loose_exams import find_exams
from gazekit.prediction.predict import ExamPrediction, predict_loose, predict_prepared, remarks_on
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.manifest import MANIFEST
from gazekit.prepared.settings import PreparationSettings
from gazekit.preparing.prepare import Procedure
from gazekit.preparing.prepare import prepare as prepare_data
from gazekit.preparing.raw.source import RawData
from gazekit.preparing.redaction import finding_of
from gazekit.presets.preset import Preset
from gazekit.records.refused import Refused
from gazekit.registry.discovery import load_registry
from gazekit.registry.registry import Registry
from gazekit.runs.calibration.calibrated import CalibrationSettings, calibrate_run
from gazekit.runs.directory import RunDirectory
from gazekit.runs.evaluation import evaluate_run
from gazekit.runs.explain_check.check import check_explanations
from gazekit.runs.explain_check.checked_maps import ExplainCheckSettings
from gazekit.runs.files import EvaluatedPart
from gazekit.runs.selection import Which
from gazekit.runs.tracking import check_trackers, followed
from gazekit.runs.trained import (
    Progress,
    Trained,
    check_ensemble,
    each_once,
    images_of,
    open_data,
    open_data_of,
    open_trained,
)
from gazekit.training.loop import State
from gazekit.training.run import continue_run
from gazekit.training.start import GivenSplit, StartSettings, resume_run, split_of, start_run

if TYPE_CHECKING:
    from gazekit.pretraining.pretrain import Pretrained
    from gazekit.study.results.result import StudyResult
    from gazekit.study.tuning.search import Tuning

Dataset = PreparedDataset | Path | str
P = ParamSpec("P")
R = TypeVar("R")

_FLAGS = ("resume", "overwrite", "allow-leak", "tta", "image-names", "so-far")
"""Options that are given or not, and have no value."""
_RENAMED = {"from": "initial", "lr": "learning_rate"}


def in_python(message: str) -> str:
    """Put a message into the words of Python: ``--overwrite`` becomes ``overwrite=True``.

    A whole command (``gazekit train --out RUN --resume``) stays as it is: it can be typed.
    """
    return "".join(
        part if "gazekit " in part else re.sub(_OPTION, _argument, part)
        for part in re.split(r"([;(])", message)
    )


_OPTION = (
    r"--([a-z]+(?:-[a-z]+)*)"
    r"(?: ([A-Z]+\b|[0-9][0-9.]*\b)"  # --size N, --size 224
    r"| ([a-z_]+(?:\.[a-z_]+)*=\S*[^\s,.;:)])"  # --set key.path=value
    r"| '([a-z_]+(?:\.[a-z_]+)*=[^']*)'"  # --set 'key.path=[1, 2]'
    r"| (all|val|test|train)\b)?"  # --part val
)


def _argument(found: re.Match[str]) -> str:
    option, plain, setting, quoted, part = found.groups()
    setting = setting or quoted
    name = _RENAMED.get(option, option.replace("-", "_"))
    if option in _FLAGS:
        return f"{name}=True" + (f" {plain}" if plain else "")
    if option == "set" and setting and setting.startswith("positive="):  # an argument of prepare
        name, setting = setting.split("=", 1)
        return f'{name}="{setting}"'
    if setting:
        mark = "'" if '"' in setting else '"'
        value = f"{mark}{setting}{mark}"
        return f"overrides=[{value}]" if option == "set" else f"{name}={value}"
    if part:
        return f'{name}="{part}"'
    return f"{name}={plain}" if plain else name


def _speaks_python(function: Callable[P, R]) -> Callable[P, R]:
    """Put the messages of errors into the words of Python; refuse a word that is not offered, and one for a list."""
    parameters = inspect.signature(function).parameters
    lists = [name for name, each in parameters.items() if each.annotation == Sequence[str]]
    offered = {name: words for name, each in parameters.items() if (words := _words_of(each.annotation))}

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        given = dict(zip(parameters, args, strict=False)) | kwargs
        for name, words in offered.items():
            if isinstance(value := given.get(name), str) and value not in words:
                raise ConfigurationError(f"{name}={value!r}: expected {' or '.join(map(repr, words))}")
        for name in lists:
            if isinstance(value := given.get(name), str):
                raise ConfigurationError(f"{name}={value!r}: expected a list; write {name}=[{value!r}]")
        try:
            return function(*args, **kwargs)
        except GazekitError as error:
            error.args = tuple(in_python(each) if isinstance(each, str) else each for each in error.args)
            raise

    return wrapped


def _words_of(annotation: Any) -> tuple[Any, ...]:
    """List the words that a ``Literal`` allows, also one within a union; none of another type."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return sum(map(_words_of, get_args(annotation)), ())


@_speaks_python
def train(
    preset: Preset | str,
    data: Dataset,
    out: Path | str,
    *,
    registry: Registry | None = None,
    overrides: Sequence[str] = (),
    split: GivenSplit | None = None,
    seed: int | None = None,
    device: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    allow_leak: bool = False,
    initial: Path | str | None = None,
    trackers: Sequence[str] = (),
    progress: Callable[[State, int], None] | None = None,
    note: Callable[[str], None] = print,
) -> Trained:
    """Train a preset on a prepared data set, and open the result.

    It writes an ordinary run directory: ``gazekit report OUT`` reads it. An interrupted training goes on with
    ``resume=True``, and a finished one too if the preset has more epochs than before.

    Args:
        preset: a preset, or the name or TOML file of one.
        data: a prepared data set, or its folder.
        out: the run directory to make.
        registry: where the components come from; None finds all plugins.
        overrides: ``key.path=value`` items on top of a preset given by name.
        split: exam → ``"train"``, ``"val"`` or ``"test"``, or the file of one; None makes one by patient, as the preset
            says.
        seed: of initial weights, order, augmentation and dropout; None is 0, or that of the run resumed.
        device: ``"cpu"`` or ``"cuda"``; None takes CUDA where there is one.
        resume: go on with the run in ``out`` if there is one.
        overwrite: replace a run in ``out``.
        allow_leak: train even if a patient is on two sides of the split.
        initial: run whose selected weights this one starts from.
        trackers: names of trackers that follow the training.
        progress: told the state and the batches of an epoch after every step and every validation, in place of a
            note for every epoch.
        note: told of every epoch, and of what may spoil the result, in one line each.

    Raises:
        ConfigurationError: the folder exists, or preset and data do not fit.
        DataError: the split is unusable, or gaze is to supervise and there is none.
    """
    registry = registry or load_registry()
    check_trackers(registry, trackers)
    if not isinstance(preset, Preset):
        preset = registry.preset(preset, environment=os.environ, overrides=overrides)
    elif overrides:
        raise ConfigurationError(
            "overrides belong to a preset given by name; give them to registry.preset(…, overrides=…)"
        )
    dataset = data if isinstance(data, PreparedDataset) else PreparedDataset.open(Path(data))
    out, chosen, warn = Path(out), choose_device(device), _warner(note)
    if resume and (out / "run.json").exists():
        run = RunDirectory.open(out)
        if initial is not None:
            note(f"initial={initial}: {out} already has weights and resumes with them")
        if changed := resume_run(run, preset, registry, dataset=dataset, seed=seed, split=split):
            note(f"{out}: {changed}")
    else:
        made = split_of(preset, dataset, split, allow_leak=allow_leak)
        settings = StartSettings(
            seed=operator.index(seed or 0),  # an integer of NumPy, too
            device=chosen,
            overwrite=overwrite,
            leftovers=resume,
            allow_leak=allow_leak,
            initial=None if initial is None else Path(initial),
        )
        run = start_run(out, preset, registry, dataset, made, settings, warn=warn)
    report = progress or _each_epoch(note, preset.training.epochs)
    with followed(run, registry, trackers, report, warn=warn) as told:
        continue_run(run, registry, dataset, device=chosen, report=told, warn=warn)
    return open_trained(run.path, registry, chosen)


@_speaks_python
def load(
    run: Path | str,
    *,
    registry: Registry | None = None,
    device: str | None = None,
    weights: Which = "selected",
) -> Trained:
    """Open a run directory: its model, its preset, and what it predicts.

    Args:
        run: run directory of ``gazekit.train`` or ``gazekit train``.
        registry: where the components come from; None finds all plugins.
        device: ``"cpu"`` or ``"cuda"``; None takes CUDA where there is one.
        weights: ``"selected"``, of the epoch that training selected, or ``"last"``.

    Raises:
        DataError: no run, or no epoch of it validated yet.
    """
    return open_trained(Path(run), registry or load_registry(), choose_device(device), which=weights)


@_speaks_python
def evaluate(
    run: Trained | Path | str,
    data: Dataset | None = None,
    part: EvaluatedPart = "test",
    *,
    weights: Which | None = None,
    resamples: int = 2000,
    per: Per | None = None,
    pool: How = "max",
    by: str | Sequence[str] = (),
) -> dict[str, Any]:
    """Compare predictions with the truth, write measures and predictions into the run; the content of the first file.

    These are evaluation.json and predictions.csv; other parts, other data and the last weights have their own files,
    named in the item ``files``.

    Args:
        run: from ``gazekit.train`` or ``gazekit.load``, or its folder.
        data: None is what it was trained on; other data need ``part="all"``.
        part: ``"test"``, ``"val"``, ``"train"`` or ``"all"``.
        weights: ``"selected"`` or ``"last"``; None takes those that ``run`` was opened with.
        resamples: of the bootstrap over patients.
        per: ``"side"`` or ``"patient"``: also measure those, with their exams pooled.
        pool: ``"max"`` (of the positive class) or ``"mean"``.
        by: ``"side"``, ``"dataset"``, a further target or a covariate (``"age:50,65"``), or several: also measure the
            exams of each group separately.
    """
    trained = _opened(run, weights)
    dataset = _data_for(trained, data)
    return evaluate_run(
        trained,
        dataset,
        part,
        resamples=resamples,
        per=per,
        pool=pool,
        by=[by] if isinstance(by, str) else by,
    )


@_speaks_python
def explain_check(
    run: Trained | Path | str,
    data: Dataset | None = None,
    part: EvaluatedPart = "test",
    *,
    random_labels: Trained | Path | str | None = None,
    progress: Progress = lambda _done, _total: None,
    **settings: Any,
) -> dict[str, Any]:
    """Check what the attention maps of a run depend on, write explain_check.json; its content. Doubts are warnings.

    Checks that were stopped go on when called again.

    Args:
        run: from ``gazekit.train`` or ``gazekit.load``, or its folder.
        data: None is what it was trained on; other data need ``part="all"``.
        part: ``"test"``, ``"val"``, ``"train"`` or ``"all"``.
        random_labels: a run of the same preset and split with ``training.labels = "permuted"``, to compare with.
        progress: told the checks done and their number.
        settings: those of :class:`gazekit.runs.explain_check.checked_maps.ExplainCheckSettings` (``exams``, ``draws``,
            ``fill`` …).
    """
    trained = _opened(run)
    return check_explanations(
        trained,
        _data_for(trained, data),
        part,
        ExplainCheckSettings(**settings),
        random_labels=None if random_labels is None else _opened(random_labels),
        report=progress,
        warn=lambda said: warnings.warn(said, stacklevel=4),
    ).model_dump(by_alias=True)


@_speaks_python
def pretrain(
    preset: str,
    data: Dataset,
    out: Path | str,
    *,
    overrides: Sequence[str] = (),
    device: str | None = None,
    registry: Registry | None = None,
    progress: Progress = lambda _done, _total: None,
    **settings: Any,
) -> "Pretrained":
    """Pre-train a preset's backbone on patches, and write its weights; called again it goes on where it was stopped.

    Args:
        preset: the name or TOML file of a preset.
        data: a prepared data set of other exams, or its folder.
        out: the safetensors file to write; ``backbone.weights`` starts from it.
        overrides: ``key.path=value`` items on top of the preset.
        device: ``"cpu"`` or ``"cuda"``; None takes CUDA where there is one.
        registry: where the components come from; None finds all plugins.
        progress: told the steps done and their number.
        settings: those of :class:`gazekit.pretraining.settings.PretrainSettings` (``patch``, ``steps``, ``pretext`` …).

    Raises:
        ConfigurationError: the file exists, or the backbone does not fit.
        DataError: the split does not fit, or a class has no patches.
    """
    from gazekit.pretraining.pretrain import pretrain as run
    from gazekit.pretraining.settings import PretrainSettings

    registry = registry or load_registry()
    return run(
        Path(out),
        registry.preset(preset, environment=os.environ, overrides=overrides),
        registry,
        data if isinstance(data, PreparedDataset) else PreparedDataset.open(Path(data)),
        PretrainSettings(**settings),
        device=choose_device(device),
        report=progress,
    )


@_speaks_python
def prepare(
    kind: str,
    source: Path | str,
    out: Path | str,
    *,
    size: int | tuple[int, int] = 224,
    options: Mapping[str, Any] | None = None,
    gaze: Path | str | None = None,
    gaze_format: str = "auto",
    gaze_options: Mapping[str, Any] | None = None,
    names: Path | str | None = None,
    reader: str | Sequence[str] = (),
    allow_outside: Iterable[Path | str] = (),
    registry: Registry | None = None,
    note: Callable[[str], None] = print,
    **settings: Any,
) -> PreparedDataset:
    """Decode, crop, flip and resize every exam of a raw data set once, with its gaze and lesion masks; open the result.

    A preparation that was interrupted goes on when called again; a finished one is left as it is.

    Args:
        kind: of data set, as ``gazekit plugins list --kind dataset`` names them.
        source: folder of the raw data set.
        out: folder of the prepared one.
        size: side, or (height, width), of the prepared images in pixels.
        options: of the data set.
        gaze: file or folder of recordings, joined by exam and view or by image name.
        gaze_format: of these, or ``"auto"``.
        gaze_options: of the gaze format; ``"fixations.NAME"`` of the fixation detection.
        names: table of ``name``, ``exam_id`` and ``view``: the image that a name in ``gaze`` stands for.
        reader: whose recordings are used, one name or several; empty takes those of all.
        allow_outside: folders outside ``source`` below which it may name files too.
        registry: where the components come from; None finds all plugins.
        note: told what is read and what looks wrong, in one line each.
        settings: ``positive``, and those of :class:`gazekit.prepared.settings.PreparationSettings` (``crop``, ``views``
            …) and of :class:`gazekit.preparing.prepare.Procedure` (``jobs``, ``overwrite``, ``progress`` …).

    Raises:
        DataError: no usable exam, no gaze that matches, another preparation in ``out``.
        ConfigurationError: an option that there is not.
    """
    registry = registry or load_registry()
    readers, fixations = readers_and_settings(registry, gaze_format, gaze_options or {})
    wanted = [reader] if isinstance(reader, str) else reader
    check_named(None if names is None else Path(names), gaze)
    recordings = None
    skipped: list[SkippedFile] = []
    if gaze is not None:
        recordings = read_all(
            Path(gaze),
            readers,
            _warner(note),
            names=None if names is None else Path(names),
            wanted=wanted,
            strict=settings.get("on_bad_exam") == "error",
            skip=skipped.append,
        )
    given = {name: value for name, value in settings.items() if value is not None}
    raw = RawData(
        registry.create("dataset", kind, **(options or {})),
        Path(source),
        positive=given.pop("positive", None),
        allow_outside=tuple(map(Path, allow_outside)),
        gaze_reader=reader_lookup(registry, only_readers(readers, wanted)),
        gaze_options=reading_options(gaze_format, gaze_options or {}, wanted),
        recordings=recordings,
        skipped=skipped,
        registry=registry,
    )
    of_work = {field.name: given.pop(field.name) for field in fields(Procedure) if field.name in given}
    sides = (size, size) if isinstance(size, int) else size
    summary = prepare_data(
        raw,
        Path(out),
        PreparationSettings(size=sides, fixations=fixations, **given),
        Procedure(note=note, warn=_warner(note), **of_work),
    )
    told = [finding_of(each, named=bool(of_work.get("image_names"))).what for each in skipped]
    for line in summary.doubts(told):
        note(f"warning: {line}")
    for refused in summary.refused:
        note(f"warning: exam {refused.key} refused: {refused.reason}")
    return PreparedDataset.open(Path(out))


@_speaks_python
def predict(
    run: Trained | Path | str | Sequence[Trained | Path | str],
    *images: Dataset,
    tta: bool = False,
    explain: bool = True,
    batch_size: int = 8,
    bit_depth: int | None = None,
    device: str | None = None,
) -> list[ExamPrediction | Refused]:
    """Predict raw image files, or folders of them, prepared as the training data were, or one prepared data set.

    No gaze is needed. Images that are left out, and what is assumed of the others, are warnings.

    Args:
        run: from ``gazekit.train`` or ``gazekit.load``, or its folder; several are averaged, one that
            is given twice counts once.
        images: files, folders or tables of them; data sources, DICOM headers or else file names say exam and view. Or a
            prepared data set alone, or its folder.
        tta: average over the flips and rotations of the training.
        explain: also with attention.
        batch_size: exams at a time.
        bit_depth: bits that images of 16 bits other than DICOM use; None takes that of the training data.
        device: of runs given by folder.

    Returns:
        A prediction per exam, or a ``Refused`` with the reason.
    """
    several = [run] if isinstance(run, Trained | Path | str) else list(run)
    repeated: list[str] = []
    trained = each_once([_opened(each, device=device) for each in several], repeated.append)
    for said in repeated:
        warnings.warn(said, stacklevel=3)
    check_ensemble(trained)
    first = trained[0]
    members = [each.as_member(tta=tta) for each in trained]
    if any(map(_is_prepared, images)):
        if len(images) > 1 or bit_depth is not None:
            raise ConfigurationError(
                "a prepared data set is predicted alone, without bit_depth; give image files for these"
            )
        dataset = open_data_of(
            trained, images[0] if isinstance(images[0], PreparedDataset) else Path(images[0])
        )
        prepared = list(
            predict_prepared(members, dataset, first.device, batch_size=batch_size, explain=explain)
        )
        for remark in remarks_on(prepared):
            warnings.warn(remark, stacklevel=3)
        return [*prepared]
    paths = [Path(path) for path in images if not isinstance(path, PreparedDataset)]
    grouping = find_exams(paths, images_of(trained), first.registry)
    for remark in grouping.remarks(str):
        warnings.warn(remark, stacklevel=3)
    found = predict_loose(
        members,
        images_of(trained).settings(bit_depth),
        first.registry,
        grouping.exams,
        first.device,
        batch_size=batch_size,
        explain=explain,
        show_names=True,
    )
    return list(found)


def _is_prepared(images: Dataset) -> bool:
    return isinstance(images, PreparedDataset) or (Path(images) / MANIFEST).is_file()


@_speaks_python
def calibrate(
    run: Trained | Path | str,
    data: Dataset | None = None,
    *,
    method: Method = "temperature",
    at_specificity: float | None = None,
) -> dict[str, Any]:
    """Fit probabilities, and a threshold, on the validation part of a run, and write calibration.json; its content.

    Open the run again to use them. Doubts are warnings.

    Args:
        run: from ``gazekit.train`` or ``gazekit.load``, or its folder.
        data: None is what it was trained on.
        method: ``"temperature"``, ``"platt"`` or ``"isotonic"`` (two classes), or ``"none"`` for the threshold alone.
        at_specificity: choose the lowest threshold of this specificity; None calls above 0.5.
    """
    if isinstance(run, Trained):
        trained = run
    else:
        trained = open_trained(Path(run), load_registry(), choose_device("auto"), calibrated=False)
    dataset = _data_for(trained, data)
    settings = CalibrationSettings(method=method, at_specificity=at_specificity)
    return calibrate_run(trained, dataset, settings, warn=lambda said: warnings.warn(said, stacklevel=4))


@_speaks_python
def report(
    run: Trained | Path | str,
    *,
    without: Trained | Path | str | None = None,
    part: EvaluatedPart = "test",
    threshold: float | Literal["val"] | None = None,
    exams: Sequence[str] = (),
    cases: int = 200,
) -> Path:
    """Write report.html of a run or of a study; its path.

    Args:
        run: a run, its folder, or the folder of a study (to which the other arguments do not apply).
        without: a run on the same data to compare with.
        part, threshold, exams, cases: see ``gazekit.reporting.run.report.ReportSettings``.
    """
    from gazekit.reporting.run.files import write_report
    from gazekit.reporting.run.report import ReportSettings
    from gazekit.reporting.study.page import write_study_page
    from gazekit.reporting.study.report import study_page

    if not isinstance(run, Trained) and (Path(run) / "study.json").is_file():
        path = Path(run) / "report.html"
        check_place(path)
        write_study_page(path, study_page(Path(run)))
        return path
    trained = _opened(run)
    other = None if without is None else _opened(without)
    settings = ReportSettings(part=part, threshold=threshold, exams=exams, cases=cases)
    return write_report(trained, open_data(trained, None), settings, without=other)


@_speaks_python
def card(
    run: Trained | Path | str,
    out: Path | str | None = None,
    *,
    licence: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a model card of an evaluated run, in Markdown with the header of the Hugging Face hub; its path.

    Args:
        run: from ``gazekit.train`` or ``gazekit.load``, or its folder.
        out: the file; None is ``README.md`` in the run.
        licence: of the model, as the hub names it, such as ``"apache-2.0"``.
        overwrite: replace a card that was changed by hand.
    """
    from gazekit.reporting.run.card import model_card, write_card

    opened = run.run if isinstance(run, Trained) else RunDirectory.open(Path(run))
    registry = run.registry if isinstance(run, Trained) else load_registry()
    path = opened.path / "README.md" if out is None else Path(out)
    write_card(path, model_card(opened, registry, licence=licence), overwrite=overwrite)
    return path


@_speaks_python
def export(
    run: Trained | Path | str,
    out: Path | str | None = None,
    *,
    form: Literal["onnx", "torch-export"] = "onnx",
    attention: bool = True,
    overwrite: bool = False,
) -> Path:
    """Write the model with its attention maps as one graph that runs without gazekit; its path.

    Args:
        run: from ``gazekit.train`` or ``gazekit.load``, or its folder.
        out: the file; None is ``model.onnx`` or ``model.pt2`` in the run.
        form: of the file.
        attention: with attention maps, or the predictions alone.
        overwrite: replace a file that is there.
    """
    from gazekit.exporting import export as write

    trained, path = _opened(run, device="cpu"), None if out is None else Path(out)
    return write(trained, form, path, attention=attention, overwrite=overwrite).path


@_speaks_python
def benchmark(
    study: Path | str | Mapping[str, Any],
    out: Path | str,
    *,
    jobs: int = 1,
    launcher: str = "local",
    device: str | None = None,
    registry: Registry | None = None,
    note: Callable[[str], None] = print,
) -> "StudyResult":
    """Train every system of a study on every fold with every seed, and compare them; called again it goes on.

    Args:
        study: a STUDY.toml, or its content: ``{"data": "PREPARED", "folds": 5, "seeds": 3, "system": [{"preset":
            "mammonet"}, {"preset": "ga_net"}]}``.
        out: the study directory.
        jobs: runs at a time.
        launcher: ``"local"``, ``"slurm"`` or ``"ray"``; see ``gazekit.study.launch.launchers``.
        device: ``"cpu"`` or ``"cuda"``; None takes CUDA where there is one.
        registry: where the components come from; None finds all plugins.
        note: told of every run that ends, in one line.

    Returns:
        The result, as results.json has it; tables and figures are in ``out``.
    """
    from gazekit.reporting.study.files import write_study
    from gazekit.study.folder import StudyFolder
    from gazekit.study.launch.launchers import device_of_runs
    from gazekit.study.results.collect import collect
    from gazekit.study.settings import parse_study, read_study
    from gazekit.study.study import finish, open_study
    from gazekit.study.tuning.nested import check_spaces, finish_tuned

    if isinstance(study, Mapping):
        settings = parse_study(dict(study), "the study given", folder=Path())
    else:
        settings = read_study(Path(study))
    folder, chosen = StudyFolder(Path(out)), device_of_runs(device, launcher)
    here = choose_device("auto") if chosen.type == "cuda" else chosen  # a login node may have no GPU
    registry = registry or load_registry()
    check_spaces(settings, registry, os.environ)
    with folder.lock():
        opened = open_study(folder, settings, registry, device=chosen)
        carry_out = finish_tuned if settings.tune else finish
        failures = carry_out(opened, launcher=launcher, jobs=jobs, finished=_each_run(note))
        result, pooled = collect(opened, failures)
        write_study(opened, result, pooled, here, _warner(note))
    return result


@_speaks_python
def tune(
    preset: str,
    data: Path | str,
    grid: Sequence[str],
    out: Path | str,
    *,
    sampler: str = "grid",
    trials: int = 16,
    seed: int = 0,
    folds: int = 3,
    seeds: int = 1,
    split: GivenSplit | None = None,
    overrides: Sequence[str] = (),
    jobs: int = 1,
    launcher: str = "local",
    device: str | None = None,
    registry: Registry | None = None,
    note: Callable[[str], None] = print,
) -> "Tuning":
    """Train points of a grid on inner folds of the training part; the highest mean validation AUC is chosen.

    Args:
        preset: the name or TOML file of one.
        data: folder of a prepared data set.
        grid: ``"key.path=value,value"`` items; ``sampler="grid"`` tries all combinations. Without items the others draw
            from the preset's own space.
        out: the study directory.
        sampler: ``"grid"``, ``"random"`` or ``"tpe"``.
        trials, seed: of a sampler that draws.
        folds, seeds: inner folds, and runs per fold.
        split: whose test part stays closed; None makes one as ``train`` would.
        overrides: ``key.path=value`` items that all points share.
        jobs, launcher, device, registry, note: see ``benchmark``.
    """
    from gazekit.study.folder import StudyFolder
    from gazekit.study.launch.launchers import device_of_runs
    from gazekit.study.study import finish
    from gazekit.study.tuning.tune import AskedTuning
    from gazekit.study.tuning.tune import tune as run

    asked = AskedTuning(
        preset=preset,
        changes=overrides,
        data=Path(data),
        grid=grid,
        sampler=sampler,
        trials=trials,
        seed=seed,
        folds=folds,
        seeds=seeds,
        split=split,
    )
    tuning, _, _ = run(
        StudyFolder(Path(out)),
        asked,
        registry or load_registry(),
        device_of_runs(device, launcher),
        lambda study: finish(study, launcher=launcher, jobs=jobs, finished=_each_run(note)),
    )
    return tuning


def _opened(run: Trained | Path | str, weights: Which | None = None, *, device: str | None = None) -> Trained:
    """A run opened with the weights asked for, or as it is."""
    if isinstance(run, Trained) and weights in (None, run.weights.which):
        return run
    path = run.run.path if isinstance(run, Trained) else Path(run)
    return open_trained(path, load_registry(), choose_device(device), which=weights or "selected")


def _data_for(trained: Trained, data: Dataset | None) -> PreparedDataset:
    """The data given, or those the run was trained on, after checking that they fit the model."""
    return open_data(trained, data if data is None or isinstance(data, PreparedDataset) else Path(data))


def _warner(note: Callable[[str], None]) -> Callable[[str], None]:
    return lambda text: note(f"warning: {in_python(text)}")


def _each_run(note: Callable[[str], None]) -> Callable[[Any, str | None], None]:
    return lambda task, reason: note(f"{task.system} {task.name}: {reason or 'done'}")


def _each_epoch(note: Callable[[str], None], epochs: int) -> Callable[[State, int], None]:
    def report(state: State, _batches: int) -> None:
        if state.batch == 0:
            aucs = [] if state.auc is None else [f"val AUC {state.auc:.3f}"]
            if state.best_epoch:
                aucs.append(f"best {state.best_auc:.3f}")
            note("  ".join([f"epoch {state.epoch}/{epochs}", ", ".join(aucs)]).strip())

    return report
