"""Open the data sets of a study, and the controls that systems use in their place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gazekit.errors import ConfigurationError, DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.study.settings import StudySettings, SystemSettings


@dataclass(frozen=True, eq=False)
class StudyData:
    """The prepared data of a study.

    Args:
        sets: name → data set, in the order of the study; the name is that of its folder.
        controls: system → the same for a system with its own data.
    """

    sets: Mapping[str, PreparedDataset]
    controls: Mapping[str, Mapping[str, PreparedDataset]] = field(default_factory=dict)

    @property
    def first(self) -> PreparedDataset:
        """The first data set."""
        return next(iter(self.sets.values()))

    def of(self, system: str, name: str) -> PreparedDataset:
        """Return the data that a system trains on instead of the data set ``name``."""
        return self.controls.get(system, self.sets)[name]

    def fold(self, name: str, split_name: str) -> str:
        """Name a split among those of the study: with several data sets the data set's name comes first."""
        return f"{name}-{split_name}" if len(self.sets) > 1 else split_name


def fingerprints(sets: Mapping[str, PreparedDataset]) -> str:
    """Return the fingerprint of each data set, in order."""
    return ", ".join(dataset.fingerprint for dataset in sets.values())


def open_data(settings: StudySettings) -> StudyData:
    """Open every data set of a study.

    Raises:
        ConfigurationError: two data sets are one and the same, so that they are no independent units.
        DataError: a data set cannot be read, has other classes than the first, or a control has other exams than its
            counterpart, or its whole content.
    """
    names = settings.data_names
    sets = dict(zip(names, map(PreparedDataset.open, settings.data_paths), strict=True))
    _check_units(sets)
    controls = {}
    for system in settings.systems:
        if system.data is not None:
            paths = (system.data,) if isinstance(system.data, Path) else system.data
            controls[system.name] = dict(zip(names, map(PreparedDataset.open, paths), strict=True))
            for name, dataset in controls[system.name].items():
                _check_same_exams(system, dataset, sets[name])
    return StudyData(sets, controls)


def _check_units(sets: Mapping[str, PreparedDataset]) -> None:
    found: dict[str, str] = {}
    for name, dataset in sets.items():
        if dataset.fingerprint in found:
            raise ConfigurationError(
                f"data: {found[dataset.fingerprint]} and {name} have one content; expected different data sets, as "
                "each counts as an independent unit of the tests"
            )
        found[dataset.fingerprint] = name
        (first, begun), *_ = sets.items()
        if dataset.classes != begun.classes:
            raise DataError(
                f"{dataset.root}: classes {', '.join(dataset.classes)}, {first} has {', '.join(begun.classes)}; "
                "expected the same classes in all data sets of a study"
            )


def _check_same_exams(system: SystemSettings, dataset: PreparedDataset, study: PreparedDataset) -> None:
    """Raise DataError if a system's own data differ from the study's in exams, labels or patients, or in nothing."""
    for name in ("exam_ids", "patient_ids", "classes"):
        if getattr(dataset, name) != getattr(study, name):
            raise DataError(
                f"{dataset.root}: data of system '{system.name}': other {name.replace('_', ' ')} than {study.root}; "
                "expected the same exams in the same order"
            )
    if (dataset.labels != study.labels).any():
        raise DataError(f"{dataset.root}: data of system '{system.name}': other labels than {study.root}")
    if dataset.fingerprint == study.fingerprint:
        raise DataError(
            f"{dataset.root}: data of system '{system.name}': the content of {study.root}, nothing is changed; make "
            "the control again, or leave data out of the system"
        )
