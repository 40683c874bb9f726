"""``gazekit predict``: predict new exams from raw images without gaze, or a prepared data set."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gazekit.cli import console
from gazekit.cli.options import Device, Run, WhichWeights, existing_run, refuse_options
from gazekit.cli.predict.lines import answer_lines
from gazekit.cli.predict.output import Format, Header, identity_of, opened_writer, record_of
from gazekit.cli.predict.pictures import Style, Wanted, check_folders, write_files
from gazekit.disk.wording import counted
from gazekit.errors import ConfigurationError, DataError
from gazekit.machine import choose_device

if TYPE_CHECKING:
    import torch

    from gazekit.prediction.file_grouping import Grouping, LooseExam
    from gazekit.prediction.members import Member
    from gazekit.prediction.predict import ExamPrediction
    from gazekit.prepared.settings import PreparationSettings
    from gazekit.records.refused import Refused
    from gazekit.runs.selection import Which
    from gazekit.runs.trained import Trained


def predict(
    context: typer.Context,
    run: Run,
    images: Annotated[
        list[Path] | None,
        typer.Argument(
            help="DICOM, PNG, TIFF or NPY files in any order, folders or tables of them, or one prepared data set."
        ),
    ] = None,
    ensemble: Annotated[
        list[Path] | None,
        typer.Option(help="More runs, trained alike, to average with: --ensemble RUN [RUN ...]."),
    ] = None,
    tta: Annotated[
        bool, typer.Option("--tta", help="Average over the flips and rotations of the training.")
    ] = False,
    weights: WhichWeights = "selected",
    overlays: Annotated[
        Path | None,
        typer.Option(
            help="Folder for PNG overlays of the attention for the positive (or the predicted) class."
        ),
    ] = None,
    overlay_style: Annotated[
        Style,
        typer.Option(help="labelled: with a caption; bare: without; map: the attention alone, in grey."),
    ] = "labelled",
    overlay_side: Annotated[int, typer.Option(min=64, help="Longer side of an overlay at most, px.")] = 2048,
    dicom_out: Annotated[
        Path | None,
        typer.Option(help="Folder for DICOM objects: Secondary Capture, Segmentation, Structured Report."),
    ] = None,
    burn_in: Annotated[
        bool,
        typer.Option("--burn-in", help="Burn view, class and probability into the captures of --dicom-out."),
    ] = False,
    copy_patient: Annotated[
        bool,
        typer.Option("--copy-patient", help="Copy the patient's and study's fields into --dicom-out."),
    ] = False,
    show_ids: Annotated[
        bool, typer.Option("--show-ids", help="Also show patient ids and the paths of files.")
    ] = False,
    bit_depth: Annotated[
        int | None,
        typer.Option(
            min=8,
            max=16,
            help="Bits used of PNG, TIFF and NPY images of 16 bits.",
            show_default="as in the training data",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Exams at a time.")] = 8,
    device: Device = "auto",
    form: Annotated[
        Format, typer.Option("--format", help="json, jsonl and csv are written exam by exam.")
    ] = "table",
    as_json: Annotated[bool, typer.Option("--json", help="Same as --format json.")] = False,
    stdin: Annotated[
        bool,
        typer.Option(
            "--stdin",
            help="Read paths from standard input, those of an exam in one line with tabs between them, and answer each "
            "line with one line of JSON; the model stays loaded.",
        ),
    ] = False,
) -> None:
    """Print each exam's probability of every class and its uncertainty; no gaze needed.

    DICOM files become exams by patient, side, day and view in their headers, other files by their names
    (0012_cc.png), and a table (exams.csv) by its rows. Images are prepared like the training data. Exams are named
    by their ids in a table, else by the common part of their file names. An exam that the model was not
    trained for (another view, another modality, one view of two) is refused, and the exit code is then 3, as it is
    where a folder cannot be listed.
    """
    _refuse_orphans(context)
    wanted = Wanted(overlays, overlay_style, overlay_side, dicom_out, copy_patient, burn_in)
    check_folders(wanted)
    runs, inputs = _runs(run, ensemble or [], images or [])
    for path in runs:
        existing_run(path)
    _check_inputs(inputs, stdin=stdin, alone=not (overlays or dicom_out or as_json or form != "table"))
    if not _is_prepared(inputs):
        from gazekit.reading.parallel import start_ahead

        start_ahead()
    from gazekit.prediction.file_grouping import about_exams
    from gazekit.prediction.predict import ExamPrediction
    from gazekit.training.signals import ended_by_sigterm

    trained = _open(runs, choose_device(device), which=weights, explained=bool(overlays))
    explain = bool(overlays or dicom_out)
    members = [each.as_member(tta=tta) for each in trained]
    settings = _settings(trained, bit_depth)
    if stdin:
        with ended_by_sigterm():
            answer_lines(members, trained, settings, batch_size=batch_size, show_ids=show_ids)
        return
    folder = _folder(inputs)
    grouping = _grouped(inputs, trained, dicom_out, bit_depth, folder if show_ids else None)
    exams = None if grouping is None else grouping.exams
    predictions, total = _predictions(
        members,
        trained,
        settings,
        exams,
        inputs,
        batch_size=batch_size,
        explain=explain,
        show_ids=show_ids,
    )
    facts = trained[0].facts
    identified = show_ids and exams is not None
    header = Header(
        tuple(each.run.path.name for each in trained),
        facts.classes,
        members[0].preset.views,
        sum(len(member.transforms) for member in members),
        total,
        str(folder) if identified else "",
        facts.targets,
    )
    by_key = {exam.key: exam for exam in exams or ()}
    refused = unwritten = 0
    answers: list[Any] = []  # probability of each exam
    alike: dict[str, list[str]] = {}  # remark: a missing field or view → exams it concerns
    with (
        ended_by_sigterm(),
        opened_writer("json" if as_json else form, header) as writer,
        console.progress("predicting") as report,
    ):
        report(0, total)
        for done, found in enumerate(predictions, start=1):
            record = record_of(found, facts, folder)
            writer.write(record | (identity_of(by_key[found.key], folder) if identified else {}))
            if isinstance(found, ExamPrediction):
                for each in _not_yet_said(found, by_key.get(found.key)):
                    console.warn(f"{found.key}: {each}")
                answers.append(found.probabilities)
                all_written, remarks = write_files(found, by_key.get(found.key), wanted, trained)
                unwritten += not all_written
                for remark in (*remarks, *(found.findings if exams is None else ())):
                    alike.setdefault(remark, []).append(found.key)
            else:
                refused += 1
                console.warn(f"{found.key}: {record['reason']}")
            report(done, total)
    for what, keys in alike.items():
        console.warn(about_exams(keys, what))
    _doubt(answers, trained)
    _fail_unless_whole(refused, unwritten, total, 0 if grouping is None else len(grouping.unlisted), show_ids)


def _fail_unless_whole(refused: int, unwritten: int, total: int, unlisted: int, show_ids: bool) -> None:
    """Raise DataError if some exams are not predicted, or not all of their files written."""
    faults = []
    if refused:
        faults.append(f"{refused} of {total} exams refused")
    if unlisted:
        faults.append(
            f"{counted(unlisted, 'subfolder')} not listed, so that what lies there is not predicted"
        )
    if unwritten:
        faults.append(f"{unwritten} of {total} exams predicted, but not all of their files written")
    if faults:
        hint = "" if show_ids or not refused else " (--show-ids names their files)"
        raise DataError(f"{'; '.join(faults)}; see above{hint}")


def _not_yet_said(found: "ExamPrediction", exam: "LooseExam | None") -> list[str]:
    """List the findings on an exam of image files beside the assumptions, which were said of all exams together."""
    return [] if exam is None else [each for each in found.findings if each not in exam.assumed]


def _refuse_orphans(context: typer.Context) -> None:
    """Raise ConfigurationError if an option is about files that are not asked for."""
    if context.params["overlays"] is None:
        refuse_options(context, ("overlay_style", "overlay_side"), "a prediction without --overlays")
    if context.params["dicom_out"] is None:
        refuse_options(context, ("burn_in", "copy_patient"), "a prediction without --dicom-out")


def _say_calibrations(trained: "list[Trained]") -> None:
    """Note how each run's probabilities are calibrated, and the threshold of a single run: an ensemble has none."""
    from gazekit.prediction.calibration import UNCALIBRATED, in_effect

    for each in trained:
        above = each.calibration.threshold if len(trained) == 1 else UNCALIBRATED.threshold
        if said := in_effect(each.calibration.words(), above, each.facts.classes[-1]):
            console.note(f"{each.run.path.name}, by gazekit calibrate: {said}")


def _doubt(answers: list[Any], trained: "list[Trained]") -> None:
    """Warn if the threshold separates nothing on these exams, or on those that a run was evaluated on."""
    import numpy as np

    from gazekit.measures.classification.threshold import on_one_side, with_advice

    classes = trained[0].facts.classes
    if len(classes) != 2 or not answers:
        return
    threshold = trained[0].calibration.threshold if len(trained) == 1 else 0.5
    for each in trained:
        try:
            evaluation = each.run.read_evaluation() if each.run.evaluation.exists() else {}
        except DataError as error:  # the predictions do not depend on it
            console.warn(str(error))
            continue
        evaluated = [evaluation.get(key) for key in ("epoch", "calibration", "called_above")]
        of_these = evaluated == [each.weights.epoch, each.calibration.words(), threshold]
        if of_these and (said := evaluation["threshold"]):
            known = with_advice(said, str(each.run.path), threshold)
            console.warn(f"{each.run.path.name}, as evaluated on its {evaluation['split']} part: {known}")
            return
    if said := on_one_side(np.array(answers)[:, 1], classes, threshold):
        console.warn(with_advice(said, str(trained[0].run.path), threshold))


def _runs(run: Path, ensemble: list[Path], images: list[Path]) -> tuple[list[Path], list[Path]]:
    """Separate runs from inputs: the shell gives ``--ensemble A B`` as one option and one argument."""
    is_run = {path: bool(ensemble) and (path / "run.json").is_file() for path in images}
    return (
        [run, *ensemble, *(path for path in images if is_run[path])],
        [path for path in images if not is_run[path]],
    )


def _check_inputs(inputs: list[Path], *, stdin: bool, alone: bool) -> None:
    if not stdin and not inputs:
        raise ConfigurationError("give images, a folder, a table or a prepared data set; or --stdin")
    if stdin and inputs:
        raise ConfigurationError(f"--stdin reads paths from standard input; leave out {inputs[0]}")
    if stdin and not alone:
        raise ConfigurationError(
            "--stdin answers in lines of JSON; leave out --format, --json, --overlays and --dicom-out"
        )


def _open(runs: list[Path], device: "torch.device", *, which: "Which", explained: bool) -> "list[Trained]":
    """Open the runs, and say of which epoch their weights are, unless selected, and how they are calibrated.

    Raises:
        ConfigurationError: they were trained differently, or have no attention map to draw.
    """
    from gazekit.runs.trained import check_ensemble, each_once, open_trained

    opened = [
        open_trained(path, console.registry(), device, which=which, report=console.warn) for path in runs
    ]
    trained = each_once(opened, console.note)
    for each in trained if which != "selected" else ():
        console.note(f"{each.run.path.name}: weights of epoch {each.weights.epoch}: {each.weights.why}")
    check_ensemble(trained)
    if explained and not any(each.attention_map for each in trained):
        raise ConfigurationError(
            f"preset '{trained[0].facts.preset}' has no attention map to draw; leave out --overlays"
        )
    _say_calibrations(trained)
    return trained


def _grouped(
    inputs: list[Path],
    trained: "list[Trained]",
    dicom_out: Path | None,
    bit_depth: int | None,
    folder: Path | None,
) -> "Grouping | None":
    """Find the exams of loose images and tables; None if the input is a prepared data set.

    Messages name files by their paths in ``folder``, if there is one.
    """
    from gazekit.prediction.loose_exams import find_exams
    from gazekit.reading.content import is_dicom
    from gazekit.runs.trained import images_of

    if _is_prepared(inputs):
        if len(inputs) > 1 or (dicom_out, bit_depth) != (None, None):
            raise ConfigurationError(
                "a prepared data set is predicted alone, without --dicom-out and --bit-depth; give image files for "
                "these"
            )
        return None
    if dicom_out is not None:
        from gazekit.exporting.dicom import check_installed

        check_installed()
    with console.progress("looking at images", transient=True) as report:
        grouping = find_exams(inputs, images_of(trained), trained[0].registry, report=report)
    for remark in grouping.remarks(
        lambda path: grouping.names[path] if folder is None else os.path.relpath(path, folder)
    ):
        console.warn(remark)
    if dicom_out is not None and not any(all(map(is_dicom, e.images.values())) for e in grouping.exams):
        raise ConfigurationError("--dicom-out refers to DICOM images, and no exam has any")
    return grouping


def _is_prepared(inputs: list[Path]) -> bool:
    from gazekit.prepared.manifest import MANIFEST

    return any((path / MANIFEST).is_file() for path in inputs)


def _folder(inputs: list[Path]) -> Path:
    """Return the common folder of all inputs; paths are shown relative to it."""
    folders = [path if path.is_dir() else path.parent for path in inputs]
    return Path(os.path.commonpath([folder.absolute() for folder in folders]))


def _settings(trained: "list[Trained]", bit_depth: int | None) -> "PreparationSettings":
    """Return how new images are prepared: as those that the runs were trained on."""
    from gazekit.runs.trained import images_of

    return images_of(trained).settings(bit_depth)


def _predictions(
    members: "list[Member]",
    trained: "list[Trained]",
    settings: "PreparationSettings",
    exams: "list[LooseExam] | None",
    inputs: list[Path],
    *,
    batch_size: int,
    explain: bool,
    show_ids: bool,
) -> "tuple[Iterator[ExamPrediction | Refused], int]":
    """Return the predictions as they are made, and the number of exams."""
    from gazekit.prediction.predict import predict_loose, predict_prepared
    from gazekit.runs.trained import open_data_of

    device = trained[0].device
    if exams is None:
        dataset = open_data_of(trained, inputs[0])
        found = predict_prepared(members, dataset, device, batch_size=batch_size, explain=explain)
        return found, len(dataset)
    loose = predict_loose(
        members,
        settings,
        trained[0].registry,
        exams,
        device,
        batch_size=batch_size,
        explain=explain,
        show_names=show_ids,
    )
    return loose, len(exams)
