"""Write attention over its image as a Secondary Capture that any viewer shows."""

import numpy as np
from highdicom import UID
from highdicom.sc import SCImage
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from gazekit.exporting.dicom.source_header import LOSSY
from gazekit.exporting.dicom.words import NAME, VERSION, in_utf8, short


def secondary_capture(
    picture: NDArray[np.uint8], source: Dataset, *, per_pixel: tuple[float, float], description: str
) -> Dataset:
    """Make a Secondary Capture from a picture.

    Args:
        picture: RGB ``[H, W, 3]``.
        source: header of the source image, see ``read_source``.
        per_pixel: (down, across) pixels of the source per pixel of the picture.
        description: description of the picture.
    """
    spacing = source.get("PixelSpacing") or source.get("ImagerPixelSpacing")
    side = source.get("ImageLaterality") or source.get("Laterality")
    captured = SCImage(
        pixel_array=picture,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=source.StudyInstanceUID,
        series_instance_uid=UID(),
        series_number=9001,
        sop_instance_uid=UID(),
        instance_number=1,
        manufacturer=NAME,
        patient_id=source.PatientID,
        patient_name=source.PatientName,
        patient_birth_date=source.PatientBirthDate,
        patient_sex=source.PatientSex or None,
        accession_number=source.AccessionNumber,
        study_id=source.StudyID,
        study_date=source.StudyDate or None,
        study_time=source.StudyTime or None,
        referring_physician_name=source.ReferringPhysicianName,
        pixel_spacing=(float(spacing[0]) * per_pixel[0], float(spacing[1]) * per_pixel[1])
        if spacing
        else None,
        laterality=side if side in ("L", "R") else None,
        # highdicom supports no oblique directions, so the source's is set below
        patient_orientation=("A", "F"),
    )
    captured.PatientOrientation = source.get("PatientOrientation")
    captured.ImageType = ["DERIVED", "SECONDARY"]
    captured.SeriesDescription = captured.DerivationDescription = short(description)
    captured.ManufacturerModelName = NAME
    captured.SoftwareVersions = VERSION
    # a picture has what its source has: lost detail, and any name in its pixels (a caption has none)
    for keyword in ("BurnedInAnnotation", *LOSSY):
        if keyword in source:
            captured[keyword] = source[keyword]
    captured.SourceImageSequence = Sequence([_reference(source)])
    return in_utf8(captured)


def _reference(source: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = source.SOPClassUID
    item.ReferencedSOPInstanceUID = source.SOPInstanceUID
    return item
