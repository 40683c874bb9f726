"""Say which patients initial weights have seen, and refuse a test part that holds some of them."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from gazekit.contracts.backbone_weights import read_origin
from gazekit.contracts.interfaces import Backbone
from gazekit.disk.wording import in_command
from gazekit.errors import DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.index import read_table
from gazekit.prepared.leaks import image_hashes
from gazekit.prepared.splits import COLUMNS, KIND, indices_of
from gazekit.runs.directory import RunDirectory

_OTHER_FILE = (
    "pre-train on the other parts of the same split (gazekit pretrain --split FILE) or on other data"
)
_OTHER_RUN = "start from another run (--from)"


@dataclass(frozen=True, slots=True)
class SeenBefore:
    """Patients whom initial weights have seen.

    Args:
        words: who has seen them how, before a number of patients: ``"w.safetensors: pre-trained on"``.
        patients: see ``hashed``.
        remedy: for a split whose test part holds some of them.
    """

    words: str
    patients: frozenset[str]
    remedy: str


def hashed(patients: Iterable[str]) -> dict[str, str]:
    """Map a hash of each patient's id to the id; ``run.json`` holds no ids."""
    return {hashlib.sha256(patient.encode()).hexdigest()[:16]: patient for patient in patients}


def in_pretraining(
    backbones: Iterable[nn.Module],
    dataset: PreparedDataset,
    *,
    warn: Callable[[str], None] | None = None,
) -> list[SeenBefore]:
    """Find the patients on whom the files of backbones were pre-trained; an exam was seen if all its images were.

    Args:
        backbones: of one or more models.
        dataset: holds the patients.
        warn: called with each file that is no longer there; None = all must be.

    Raises:
        ConfigurationError: a file is missing or damaged.
    """
    paths = {each.weights_path for each in backbones if isinstance(each, Backbone) and each.weights_path}
    found = []
    for path in sorted(paths):
        if warn is not None and not path.exists():
            warn(f"{path}: is no longer there, so nothing says on which exams it was pre-trained")
            continue
        origin = read_origin(path)
        known = set(origin.seen if origin else ())
        exams = [i for i in range(len(dataset)) if known and known.issuperset(image_hashes(dataset, i))]
        patients = frozenset(hashed(dataset.patient_ids[i] for i in exams))
        found.append(SeenBefore(f"{path.name}: pre-trained on", patients, _OTHER_FILE))
    return found


def in_run(run: RunDirectory) -> list[SeenBefore]:
    """Find the patients whom the weights of a run have seen, in it and before it. Raises DataError: it is damaged."""
    run.split()  # raises if it was changed since
    rows = read_table(run.split_path, COLUMNS, KIND)
    own = hashed(row["patient_id"] for row in rows if row["split"] != "test")
    remedy = f"train on the split of that run (--split {in_command(run.split_path)})"
    name = run.path.resolve().name
    return [
        SeenBefore(f"run {name}: trained or validated on", frozenset(own), remedy),
        SeenBefore(
            f"run {name}: started from weights that had seen", frozenset(run.facts().seen), _OTHER_RUN
        ),
    ]


def check_unseen(
    seen: Iterable[SeenBefore],
    dataset: PreparedDataset,
    split: Mapping[str, str],
    *,
    allow_leak: bool,
    warn: Callable[[str], None],
) -> list[str]:
    """Check that initial weights have seen no patient of the test part.

    Returns:
        With ``allow_leak``, the leaks in words.

    Raises:
        DataError: they have, and the leak is not allowed.
    """
    tested = hashed(dataset.patient_ids[i] for i in indices_of(dataset, split, "test"))
    leaks = []
    for each in seen:
        both = sorted(tested[patient] for patient in each.patients & tested.keys())
        if both:
            said = f"{each.words} {len(both)} of the {len(tested)} patients of this split's test part (first {both[0]})"
            _permit(said, each.remedy, allow_leak=allow_leak, warn=warn)
            leaks.append(said)
    return leaks


def check_leak_of(run: RunDirectory, *, allow_leak: bool, warn: Callable[[str], None]) -> list[str]:
    """Check that a run whose weights another one starts from has no leak; returns and raises as ``check_unseen``."""
    leak = run.facts().leak
    if not leak:
        return []
    said = f"run {run.path.resolve().name}: has a leak ({leak})"
    _permit(said, _OTHER_RUN, allow_leak=allow_leak, warn=warn)
    return [said]


def _permit(leak: str, remedy: str, *, allow_leak: bool, warn: Callable[[str], None]) -> None:
    """Warn of a leak. Raises DataError: it is not allowed."""
    if not allow_leak:
        raise DataError(f"{leak}; {remedy}, or use it all the same with --allow-leak")
    warn(f"{leak}; the test result will flatter the model")
