"""Identify loose files of CBIS-DDSM, whose headers hold the view in the field for the patient's posture."""

import re
from pathlib import Path

from gazekit.records.identity import ImageIdentity
from gazekit.records.image_header import ImageHeader

_SUBJECT = re.compile(
    r"(?:((?:Mass|Calc)-(?:Training|Test))_)?(P_\d+)_(LEFT|RIGHT)_(CC|MLO)(_\d+)?(?:\.dcm)?", re.IGNORECASE
)
"""Table (missing for some masks), patient, side and view of an image; for a lesion's mask and crop also its number."""
_SERIES = {
    "roi mask images": "the mask or crop of a lesion",
    "cropped images": "the mask or crop of a lesion",
}
_VIEWS = ("CC", "MLO")


def identify_cbis_ddsm(header: ImageHeader | None, path: Path) -> ImageIdentity | None:
    """Identify a file by its subject (the patient id in the header, a folder name on disk), else by what remains of it.

    Every image has a separate study; a patient has one visit, and may be in the tables of masses and of
    calcifications, each with separate files of the same images.
    """
    names = [header.patient] if header else []
    names += [Path(path.name).stem, *reversed(path.parent.parts)]
    subject = next((match for match in map(_SUBJECT.fullmatch, names) if match), None)
    series = header.series_description.lower() if header else ""
    if subject is None:
        return _by_header(header, _SERIES.get(series, ""))
    table, patient, side, view, number = subject.groups()
    return ImageIdentity(
        patient=patient,
        visit="CBIS-DDSM",
        study=table or "",
        side=side[0].upper(),
        view=view.lower(),
        unfit=_SERIES["cropped images"] if number else _SERIES.get(series, ""),
        pseudonym=patient,
    )


def _by_header(header: ImageHeader | None, unfit: str) -> ImageIdentity | None:
    """Identify a file with a changed patient id by study name, and view in the field for posture."""
    view = header.orientation[0].upper() if header and header.orientation else ""
    if header is None or header.study_id != "DDSM" or view not in _VIEWS:
        return None
    return ImageIdentity(view=view.lower(), unfit=unfit)
