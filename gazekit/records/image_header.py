"""The fields of a DICOM header that identify and describe an image."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Code:
    """A coded concept. Args: value, such as ``"399162004"``; meaning, in words."""

    value: str
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """The identifying and descriptive fields of a DICOM header; a text is empty if the header lacks it.

    Args:
        patient: the patient's id, as written.
        study: unique identifier of the study.
        study_id: the study's short name.
        date: of the study.
        side: ``"L"`` or ``"R"``.
        view_position: as written.
        view_codes, modifier_codes: the coded view and its modifiers.
        modality: ``"MG"`` for mammograms.
        series_description, study_description, protocol, body_part, paddle: free texts.
        orientation: of the patient, by rows and columns.
        image_type: such as ``("ORIGINAL", "PRIMARY")``.
        intent: ``"FOR PRESENTATION"`` or ``"FOR PROCESSING"``.
        sop_class: unique identifier of the kind of object.
        rows, columns: size of the image in pixels; 0 if the object has none.
        samples: per pixel; more than one means colour.
        bits: allocated per sample.
        frames: images in the file.
        is_partial: the image shows only part of its view.
        magnification: factor by which the image was magnified when it was taken; 0 if unknown.
        naming: values that identify the patient, or help to.
    """

    patient: str = ""
    study: str = ""
    study_id: str = ""
    date: str = ""
    side: str = ""
    view_position: str = ""
    view_codes: tuple[Code, ...] = ()
    modifier_codes: tuple[Code, ...] = ()
    modality: str = ""
    series_description: str = ""
    study_description: str = ""
    protocol: str = ""
    body_part: str = ""
    paddle: str = ""
    orientation: tuple[str, ...] = ()
    image_type: tuple[str, ...] = ()
    intent: str = ""
    sop_class: str = ""
    rows: int = 0
    columns: int = 0
    samples: int = 1
    bits: int = 0
    frames: int = 1
    is_partial: bool = False
    magnification: float = 0.0
    naming: tuple[str, ...] = field(default=(), repr=False)

    def texts(self) -> tuple[str, ...]:
        """The free texts that may name view and side, those about the image first."""
        return (
            self.view_position,
            *self.orientation,
            self.series_description,
            self.protocol,
            self.body_part,
            self.study_description,
        )
