"""Lift what an enhanced object says of its frame out of functional groups, to where other files say it.

Breast tomosynthesis objects hold synthesised images of one frame; enhanced X-ray and CT objects are built alike.
"""

from pydicom.dataset import Dataset

FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_LIFTED = {
    "FrameVOILUTSequence": (
        *("VOILUTSequence", "VOILUTFunction"),
        *("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation"),
    ),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
    "PixelMeasuresSequence": ("PixelSpacing",),
    "FrameAnatomySequence": ("FrameLaterality",),
}
"""Functional group → attributes of its item. Source: DICOM PS3.3 C.7.6.16.2."""


def lift_functional_groups(dataset: Dataset) -> None:
    """Copy the attributes of the first frame's groups into the data set, where it does not state them itself."""
    for groups in (item for name in FUNCTIONAL_GROUPS for item in list(dataset.get(name) or ())[:1]):
        for name, keywords in _LIFTED.items():
            for item in list(groups.get(name) or ())[:1]:
                for keyword in keywords:
                    if keyword in item and keyword not in dataset:
                        dataset[keyword] = item[keyword]
    if "FrameLaterality" in dataset and not dataset.get("ImageLaterality"):
        dataset.ImageLaterality = dataset.FrameLaterality
