"""A miniature CBIS-DDSM in each layout in which it is handed around; 80 x 60 pixels, unique identifiers made up."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from made_mammography import SHAPE, write_mammogram
from PIL import Image

PARTS = {"train": "Training", "test": "Test"}
BOX = (slice(20, 30), slice(10, 20))
MASS_ONLY, CALC_ONLY = ("mass shape", "mass margins"), ("calc type", "calc distribution")


@dataclass(frozen=True)
class Lesion:
    """One row of a table: patient, side, view, table, part, number of the abnormality, pathology."""

    patient: str
    side: str
    view: str
    kind: str = "mass"
    part: str = "train"
    number: int = 1
    pathology: str = "BENIGN"

    @property
    def image(self) -> str:
        return f"{self.kind.capitalize()}-{PARTS[self.part]}_{self.patient}_{self.side}_{self.view}"

    @property
    def subject(self) -> str:
        return f"{self.image}_{self.number}"


LESIONS = [
    *(Lesion("P_00001", "LEFT", view, pathology="MALIGNANT") for view in ("CC", "MLO")),
    Lesion("P_00001", "LEFT", "CC", number=2, pathology="BENIGN_WITHOUT_CALLBACK"),
    *(Lesion("P_00002", "RIGHT", view) for view in ("CC", "MLO")),
    *(Lesion("P_00003", "LEFT", view, part="test", pathology="MALIGNANT") for view in ("CC", "MLO")),
    *(Lesion("P_00003", "LEFT", view, kind="calc") for view in ("CC", "MLO")),
    *(Lesion("P_00004", "RIGHT", view, kind="calc", part="test") for view in ("CC", "MLO")),
    Lesion("P_00005", "LEFT", "MLO", kind="calc", pathology="MALIGNANT"),
]


def uid(*parts: object) -> str:
    """A unique identifier whose last five digits differ too."""
    digits = [ord(letter) for letter in "/".join(map(str, parts))]
    number = sum(digit * 131**position for position, digit in enumerate(digits)) % 10**30
    return f"1.3.6.1.4.1.9590.100.1.2.{number}"


def write_tables(root: Path, lesions: list[Lesion], *, swap: bool = False) -> None:
    """The four case descriptions, CRLF rows with an LF in the last quoted path but one."""
    root.mkdir(parents=True, exist_ok=True)
    for kind in ("mass", "calc"):
        for part in PARTS:
            density = "breast_density" if kind == "mass" else "breast density"
            header = ["patient_id", density, "left or right breast", "image view", "abnormality id"]
            header += ["abnormality type", *(MASS_ONLY if kind == "mass" else CALC_ONLY), "assessment"]
            header += [
                "pathology",
                "subtlety",
                "image file path",
                "cropped image file path",
                "ROI mask file path",
            ]
            with (root / f"{kind}_case_description_{part}_set.csv").open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(header)
                writer.writerows(
                    _row(each, swap=swap) for each in lesions if (each.kind, each.part) == (kind, part)
                )


def _row(lesion: Lesion, *, swap: bool) -> list[object]:
    image = f"{lesion.image}/{uid(lesion.image, 'study')}/{uid(lesion.image, 'series')}/000000.dcm"
    folder = f"{lesion.subject}/{uid(lesion.subject, 'study')}/{uid(lesion.subject, 'series')}"
    crop, mask = (f"{folder}/00000{number}.dcm" for number in ((1, 0) if swap else (0, 1)))
    about = [lesion.patient, 3, lesion.side, lesion.view, lesion.number, lesion.kind, "A", "B", 4]
    return [*about, lesion.pathology, 3, image, f"{crop}\n", mask]


def write_images(root: Path, lesions: list[Lesion], layout: str, mask_shape: tuple[int, int] = SHAPE) -> None:
    """Full images, crops and masks as NBIA's retriever (``new``, ``old``) or the repack (``jpeg``) lays them out."""
    for lesion in lesions:
        side = lesion.side[0]
        if layout == "jpeg":
            _write_jpegs(root, lesion, side, mask_shape)
            continue
        names = ("1-1.dcm", "1-2.dcm") if layout == "new" else ("000000.dcm", "000001.dcm")
        image = _folder(root, lesion.image, "full mammogram images", layout) / names[0]
        write_mammogram(image, side=side, seed=len(lesion.image) + ord(image.name[0]) + hash_of(lesion.image))
        folder = _folder(root, lesion.subject, "ROI mask images", layout)
        crop, mask = names if lesion.number == 1 else names[::-1]  # swapped in places
        write_mammogram(folder / crop, Rows=10, Columns=10, PixelData=bytes(range(200)))
        write_mammogram(folder / mask, **_mask_tags(mask_shape))


def hash_of(text: str) -> int:
    return sum(map(ord, text))


def drawn(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    mask = np.zeros(shape, dtype=np.uint8)
    mask[BOX] = 255
    return mask


def _mask_tags(shape: tuple[int, int]) -> dict[str, object]:
    eight_bits = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    return {"Rows": shape[0], "Columns": shape[1], "PixelData": drawn(shape).tobytes(), **eight_bits}


def _folder(root: Path, subject: str, what: str, layout: str) -> Path:
    study, series = uid(subject, "study")[-5:], uid(subject, "series")[-5:]
    number = "1.000000" if layout == "new" else "1"
    return root / subject / f"08-07-2016-DDSM-{study}" / f"{number}-{what}-{series}"


def _write_jpegs(root: Path, lesion: Lesion, side: str, mask_shape: tuple[int, int]) -> None:
    full = np.random.default_rng(hash_of(lesion.image)).integers(90, 255, SHAPE).astype(np.uint8)
    beside = slice(30, None) if side == "L" else slice(None, 18)
    full[:, beside] = 0
    crop = np.linspace(0, 255, 100).reshape(10, 10).astype(np.uint8)
    for subject, files in ((lesion.image, [full]), (lesion.subject, [crop, drawn(mask_shape)])):
        folder = root / "jpeg" / uid(subject, "series")
        folder.mkdir(parents=True, exist_ok=True)
        for number, pixels in enumerate(files, start=1):
            Image.fromarray(pixels).save(folder / f"{number}-{100 + number}.jpg", quality=90)
