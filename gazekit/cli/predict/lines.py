"""Answer lines of standard input: the paths of an exam in, a line of JSON out."""

import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gazekit.cli.predict.output import identity_of, record_of

if TYPE_CHECKING:
    from gazekit.prediction.members import Member
    from gazekit.prepared.settings import PreparationSettings
    from gazekit.runs.trained import Trained

SCHEMA = "gazekit.predicted_line/1"


def answer_lines(
    members: "list[Member]",
    trained: "list[Trained]",
    settings: "PreparationSettings",
    *,
    batch_size: int,
    show_ids: bool,
) -> None:
    """Answer every line of standard input as soon as it is read; an empty line gets no answer.

    Raises:
        DataError: at the end, if lines could not be answered, exams were refused or folders could not be listed.
    """
    from gazekit.errors import DataError, GazekitError

    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # a name in another encoding is a path all the same
    lines = faults = 0
    for line in sys.stdin:
        paths = [Path(each) for each in line.rstrip("\r\n").split("\t") if each]
        if not paths:
            continue
        lines += 1
        answer: dict[str, Any] = {"schema": SCHEMA, "line": lines, "exams": [], "remarks": [], "error": None}
        whole = False
        try:
            found, whole = _answer(
                paths, members, trained, settings, batch_size=batch_size, show_ids=show_ids
            )
            answer |= found
        except (GazekitError, OSError) as error:
            answer["error"] = _in_words(error, () if show_ids else paths)
        faults += not whole
        print(json.dumps(answer, allow_nan=False), flush=True)
    if faults:
        raise DataError(
            f"{faults} of {lines} lines have an error, a refused exam or a folder that cannot be listed"
        )


def _in_words(error: Exception, hidden: Sequence[Path]) -> str:
    """Return an error as one line that names the hidden paths by their numbers."""
    said = f"{error.filename}: {error.strerror or error}" if isinstance(error, OSError) else str(error)
    for number, path in enumerate(hidden, start=1):
        for text in (str(path), str(path.absolute())):
            if said.startswith((f"{text}:", f"{text}{os.sep}")):
                return f"given path number {number}: {said.removeprefix(text).partition(': ')[2]}"
    return said


def _answer(
    paths: list[Path],
    members: "list[Member]",
    trained: "list[Trained]",
    settings: "PreparationSettings",
    *,
    batch_size: int,
    show_ids: bool,
) -> tuple[dict[str, Any], bool]:
    """Return the exams and remarks of a line, and whether everything that it names is predicted."""
    from gazekit.errors import DataError
    from gazekit.prediction.loose_exams import find_exams
    from gazekit.prediction.predict import predict_loose
    from gazekit.prepared.manifest import MANIFEST
    from gazekit.runs.trained import images_of

    if any((path / MANIFEST).is_file() for path in paths):
        raise DataError("a prepared data set is predicted without --stdin")
    folder = Path(os.path.commonpath([(path if path.is_dir() else path.parent).absolute() for path in paths]))
    first = trained[0]
    grouping = find_exams(paths, images_of(trained), first.registry)
    found = predict_loose(
        members,
        settings,
        first.registry,
        grouping.exams,
        first.device,
        batch_size=batch_size,
        show_names=show_ids,
    )
    facts, by_key = first.facts, {exam.key: exam for exam in grouping.exams}
    exams = [
        record_of(each, facts, folder) | (identity_of(by_key[each.key], folder) if show_ids else {})
        for each in found
    ]
    remarks = grouping.remarks(
        lambda path: os.path.relpath(path, folder) if show_ids else grouping.names[path]
    )
    whole = not grouping.unlisted and all(each["status"] == "predicted" for each in exams)
    return {"exams": exams, "remarks": list(remarks)}, whole
