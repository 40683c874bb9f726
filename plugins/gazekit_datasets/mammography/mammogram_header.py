"""Read patient, side and view from the header of a DICOM mammogram, without its pixels."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gazekit.errors import DataError
from gazekit.reading.dicom.header import read_image_header
from gazekit.reading.identifying.view_names import split_words
from gazekit.records.identity import ImageIdentity
from gazekit.records.image_header import Code, ImageHeader

VIEW_CODES = {
    **dict.fromkeys(("R-10242", "399162004"), "cc"),
    **dict.fromkeys(("R-10226", "399368009"), "mlo"),
    **dict.fromkeys(("R-10224", "399260004"), "ml"),
    **dict.fromkeys(("R-10228", "399352003"), "lm"),
    **dict.fromkeys(("R-10230", "399099002"), "lmo"),
    **dict.fromkeys(("R-10244", "399196006"), "fb"),
    **dict.fromkeys(("R-102D0", "399188001"), "sio"),
    **dict.fromkeys(("R-40AAA", "441555000"), "iso"),
    **dict.fromkeys(("R-1024A", "399192008"), "xccl"),
    **dict.fromkeys(("R-1024B", "399101009"), "xccm"),
}
"""Codes of ViewCodeSequence, SRT and SNOMED CT → view. Source: DICOM PS3.16, CID 4014."""
SPECIMEN_CODES = ("G-8310", "127457009")
MODIFIER_CODES = {
    **dict.fromkeys(("R-102D6", "399163009"), "magnification"),
    **dict.fromkeys(("R-102D7", "399055006"), "spot compression"),
    **dict.fromkeys(("R-102D5", "399209000"), "implant displaced"),
    **dict.fromkeys(("R-102D2", "399161006"), "cleavage"),
    **dict.fromkeys(("R-102D1", "399011000"), "axillary tail"),
    **dict.fromkeys(("R-102D3", "399197002"), "rolled lateral"),
    **dict.fromkeys(("R-102D4", "399226006"), "rolled medial"),
    **dict.fromkeys(("R-102CA", "414493004"), "rolled inferior"),
    **dict.fromkeys(("R-102C9", "415670009"), "rolled superior"),
    **dict.fromkeys(("R-102C2", "399110001"), "tangential"),
    **dict.fromkeys(("R-40AB3", "442581004"), "nipple in profile"),
    **dict.fromkeys(("R-40AB2", "442580003"), "axillary tissue"),
    **dict.fromkeys(("P2-00161", "441752004"), "anterior compression"),
    **dict.fromkeys(("R-40ABE", "442593008"), "infra-mammary fold"),
}
"""Codes of ViewModifierCodeSequence → words. Source: DICOM PS3.16, CID 4015."""
_WORDS = {
    **dict.fromkeys(("mag", "magnification", "magnified"), "magnification"),
    **dict.fromkeys(("spot", "cone"), "spot compression"),
    **dict.fromkeys(("displaced", "eklund", "ccid", "mloid"), "implant displaced"),
    **dict.fromkeys(("lccid", "rccid", "lmloid", "rmloid"), "implant displaced"),
    **dict.fromkeys(("rolled", "roll"), "rolled"),
    **dict.fromkeys(("tan", "tangential"), "tangential"),
    **dict.fromkeys(("cv", "cleavage"), "cleavage"),
    **dict.fromkeys(("synth", "synthetic", "synthesized", "synthesised"), "synthesised from tomosynthesis"),
}
"""Words used by technicians and vendors in names and descriptions → the same."""
_LONG_NAMES = (
    (re.compile(r"exagg\w* cranio ?caudal|cranio ?caudal exagg"), ""),
    (re.compile(r"medio ?lateral oblique"), "mlo"),
    (re.compile(r"cranio ?caudal"), "cc"),
)
"""Patterns in a description, tried in order, with the view each means; none for other views."""
_CONTACT = 1.3
"""Factor from which an image counts as magnified (ours): contact images are at most 1.1, magnified ones 1.5 to 2."""
_VIEW_WORD = re.compile(r"[lr]?(cc|mlo)(id)?")


@dataclass(frozen=True, slots=True)
class MammogramHeader:
    """Args: patient_id; study, its unique identifier; side, ``"L"`` or ``"R"``; view, ``"cc"`` or ``"mlo"``."""

    patient_id: str
    study: str
    side: str
    view: str


def read_header(path: Path) -> MammogramHeader:
    """Read the header of a mammogram.

    Raises:
        DataError: not a DICOM file, or its header lacks patient or side, or names a view other than CC and MLO.
    """
    header = read_image_header(path)
    view = _coded_view(header)
    if not header.patient:
        raise DataError(f"{path}: the header names no patient; expected PatientID")
    if not header.side:
        raise DataError(f"{path}: the header names no side; expected L or R as ImageLaterality")
    if view not in ("cc", "mlo"):
        raise DataError(
            f"{path}: the header names another view or none; expected CC or MLO in ViewCodeSequence"
        )
    return MammogramHeader(header.patient, header.study, header.side, view)


def identify_mammogram(header: ImageHeader | None, path: Path) -> ImageIdentity | None:
    """Identify the view of a DICOM mammogram from codes or descriptions, and any special acquisition.

    Other files can only be marked as special by name, which counts if it names a view of a breast.
    """
    if header is None:
        return _by_name(path)
    if header.modality != "MG" and not _coded_view(header):
        return None
    if any(code.value in SPECIMEN_CODES for code in header.view_codes):
        return ImageIdentity(unfit="a tissue specimen")
    if header.frames > 1:
        return ImageIdentity(
            view=_view(header), unfit=f"a stack of {header.frames} frames, as of tomosynthesis"
        )
    return ImageIdentity(view=_view(header), special=", ".join(dict.fromkeys(_special(header))))


def _coded_view(header: ImageHeader) -> str:
    return next((VIEW_CODES[code.value] for code in header.view_codes if code.value in VIEW_CODES), "")


def _view(header: ImageHeader) -> str:
    coded = _coded_view(header)
    if coded or header.view_position:
        return coded
    for text in header.texts():
        words = " ".join(split_words(text))
        for pattern, view in _LONG_NAMES:
            if pattern.search(words):
                return view
    return ""


def _special(header: ImageHeader) -> Iterator[str]:
    """Describe a special acquisition named in the header, beyond the view."""
    yield from (_modifier(code) for code in header.modifier_codes)
    if header.magnification >= _CONTACT:
        yield "magnification"
    kinds = {word for kind in header.image_type[2:] for word in split_words(kind)}
    if kinds & {"tomosynthesis", "generated", "volume"}:
        yield "synthesised from tomosynthesis"
    if kinds & {"subtraction", "recombined"}:
        yield "contrast-enhanced"
    for text in (header.view_position, header.series_description, header.protocol, header.paddle):
        yield from (_WORDS[word] for word in split_words(text) if word in _WORDS)


def _modifier(code: Code) -> str:
    return MODIFIER_CODES.get(code.value) or code.meaning.lower() or "a modified view"


def _by_name(path: Path) -> ImageIdentity | None:
    words = split_words(path.stem)
    special = [word for word in words if word in _WORDS]
    if not special or not any(_VIEW_WORD.fullmatch(word) for word in words):
        return None
    return ImageIdentity(special=_WORDS[special[0]], name_words=frozenset(special))
