"""Offer data sets and gaze formats to gazekit, as a plugin."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gazekit.contracts.hookspecs import hookimpl

if TYPE_CHECKING:
    from gazekit.contracts.interfaces import DataSource, GazeReader, RegionFinder


@hookimpl
def gazekit_datasets() -> Mapping[str, "type[DataSource]"]:
    """Offer public mammography sets, any folder of images with a table, and the in-silico phantom."""
    from gazekit_datasets.folder import Folder
    from gazekit_datasets.mammography.cbis_ddsm import CbisDdsm
    from gazekit_datasets.mammography.cmmd import CMMD
    from gazekit_datasets.mammography.inbreast import INbreast
    from gazekit_datasets.mammography.phantom import Phantom
    from gazekit_datasets.mammography.vindr_mammo import VinDrMammo

    return {
        "cbis_ddsm": CbisDdsm,
        "cmmd": CMMD,
        "folder": Folder,
        "inbreast": INbreast,
        "phantom": Phantom,
        "vindr_mammo": VinDrMammo,
    }


@hookimpl
def gazekit_regions() -> Mapping[str, "type[RegionFinder]"]:
    """Offer the breast in a mammogram."""
    from gazekit_datasets.mammography.breast import Breast

    return {"breast": Breast}


@hookimpl
def gazekit_gaze_readers() -> Mapping[str, "type[GazeReader]"]:
    """Offer readers for plain tables and the formats of eye trackers, viewers and public gaze sets."""
    from gazekit_datasets.gaze_readers.bids import Bids
    from gazekit_datasets.gaze_readers.egd_cxr import EgdCxr
    from gazekit_datasets.gaze_readers.eyelink import EyeLink
    from gazekit_datasets.gaze_readers.gazemedseg import GazeMedSeg
    from gazekit_datasets.gaze_readers.gazepoint import Gazepoint
    from gazekit_datasets.gaze_readers.miceye import MicEye
    from gazekit_datasets.gaze_readers.plain import Plain
    from gazekit_datasets.gaze_readers.pupil_labs import PupilLabs
    from gazekit_datasets.gaze_readers.reflacx import Reflacx
    from gazekit_datasets.gaze_readers.smi import SMI
    from gazekit_datasets.gaze_readers.tobii.pro_lab import TobiiProLab
    from gazekit_datasets.gaze_readers.tobii.sdk import TobiiSDK
    from gazekit_datasets.gaze_readers.tobii.studio import TobiiStudio
    from gazekit_datasets.gaze_readers.viewer_log import ViewerLog

    return {
        "bids": Bids,
        "egd_cxr": EgdCxr,
        "eyelink": EyeLink,
        "gazemedseg": GazeMedSeg,
        "gazepoint": Gazepoint,
        "miceye": MicEye,
        "plain": Plain,
        "pupil_labs": PupilLabs,
        "reflacx": Reflacx,
        "smi": SMI,
        "tobii_pro_lab": TobiiProLab,
        "tobii_sdk": TobiiSDK,
        "tobii_studio": TobiiStudio,
        "viewer_log": ViewerLog,
    }
