"""Say why the exams that a model is measured on may flatter it."""

from collections.abc import Iterator

from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import patients_in
from gazekit.runs.trained import Trained

_USED = {"train": "was trained on", "val": "was selected on", "all": "was trained on most of"}


def flattery(trained: Trained, dataset: PreparedDataset, part: str) -> list[str]:
    """List, a sentence each, what makes the numbers of a model better than those on exams that it never saw.

    Args:
        trained: the model.
        dataset, part: what it is measured on.
    """
    return list(_sentences(trained, dataset, part))


def _sentences(trained: Trained, dataset: PreparedDataset, part: str) -> Iterator[str]:
    if leak := trained.facts.leak:
        yield f"The model has seen patients of the test part, so its numbers flatter it: {leak}."
    if trained.preset.training.labels == "permuted":
        yield "The model was trained on permuted labels, as a control: it has learnt nothing true."
    if dataset.fingerprint != trained.facts.fingerprint:
        trained.run.split()  # raises if it was changed since
        patients, known = set(dataset.patient_ids), patients_in(trained.run.split_path, "train")
        if trained.preset.training.select != "last":
            known |= patients_in(trained.run.split_path, "val")
        if common := len(patients & known):
            yield (
                f"{common} of the {len(patients)} patients are called like patients that the model was trained or "
                "selected on; if they are the same, the numbers flatter it."
            )
    elif part == "val" and trained.preset.training.select == "last":
        yield "These exams flatter the model if its settings, calibration or threshold were chosen on them."
    elif part != "test":
        yield f"The model {_USED[part]} these exams: their numbers flatter it."
