"""Compare the patients of a data set's tables with those of its DICOM headers, over all exams."""

from collections.abc import Callable, Iterable

from gazekit.records.exam import Exam

_LINES = 5
"""Maximum number of warnings of one sort."""


class PatientIds:
    """Warns where exams of one header's patient have two ids in the table, or those of one id two headers' patients.

    Args:
        warn: told of each in one line, without the patient's id of the header.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._by_header: dict[tuple[str, str], tuple[str, str]] = {}
        self._by_table: dict[str, tuple[str, str]] = {}
        self._parted = self._joined = 0

    def look(self, exam: Exam, told: Iterable[str]) -> None:
        """Note the patients of an exam by the headers of its images; empty where a header names none.

        Hospitals number their patients alike, so those of another ``dataset`` are others.
        """
        exam_id, patient_id = exam.exam_id, exam.patient_id
        for patient in dict.fromkeys(filter(None, told)):
            table, first = self._by_header.setdefault((exam.dataset, patient), (patient_id, exam_id))
            if table != patient_id:
                self._parted += 1
                self._tell(
                    self._parted,
                    f"exams {first} and {exam_id} are of one patient by the headers of their images, and of two by the "
                    "table: a split may put the patient on two sides; give them one patient_id",
                )
            header, first = self._by_table.setdefault(patient_id, (patient, exam_id))
            if header != patient and first != exam_id:
                self._joined += 1
                self._tell(
                    self._joined,
                    f"exams {first} and {exam_id} are of one patient by the table, and of two by the headers of their "
                    "images: check patient_id",
                )

    def _tell(self, number: int, line: str) -> None:
        if number <= _LINES:
            self._warn(line)
        elif number == _LINES + 1:
            self._warn("further exams whose patients differ between table and headers are not named")
