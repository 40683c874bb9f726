"""The manifest ``dataset.json``: written last, so that its presence says that a preparation is complete."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gazekit.errors import DataError

MANIFEST = "dataset.json"
FORMAT = "gazekit prepared data set"
SCHEMA = 3
NAMED = "image_names"
"""Key of the settings, there where the files' names were kept."""


def make_manifest(header: Mapping[str, Any], entries: Sequence[dict[str, Any]], unmatched: int) -> str:
    """The manifest as JSON text.

    Its fingerprint is a hash of the settings and of every exam's labels and arrays: it is the same wherever
    the same data were prepared in the same way.

    Args:
        header: of the journal: settings, classes, source.
        entries: of the journal.
        unmatched: external recordings that belong to no exam.
    """
    prepared = [entry for entry in entries if "reject" not in entry]
    labels = Counter(entry["label"] for entry in prepared)
    settings = {key: value for key, value in header.items() if key not in ("source", NAMED)}
    content = [
        [entry[key] for key in ("exam_id", "patient_id", "label", "split", "dataset", "digest")]
        for entry in prepared
    ]
    manifest = {
        "format": FORMAT,
        "schema": SCHEMA,
        "fingerprint": hashlib.sha256(json.dumps([settings, content]).encode()).hexdigest(),
        "preparation": header,
        "counts": {
            "exams": len(prepared),
            "rejected": len(entries) - len(prepared),
            "classes": {name: labels[name] for name in header["classes"]},
            "with_gaze": _per_view(header["views"], prepared, "has_gaze"),
            "with_mask": _per_view(header["views"], prepared, "has_mask"),
            "unmatched_recordings": unmatched,
        },
        "modalities": sorted(
            {view.get("modality", "") for entry in prepared for view in entry["views"]} - {""}
        ),
        "sides": sorted({view.get("laterality", "") for entry in prepared for view in entry["views"]} - {""}),
        "duplicates": _duplicates(prepared),
    }
    return json.dumps(manifest, indent=2) + "\n"


def read_manifest(root: Path) -> dict[str, Any]:
    """Read and check a manifest. Raises: DataError when it is absent, damaged or of another version."""
    path = root / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise DataError(f"{path}: cannot be read; expected the manifest of a prepared data set") from None
    except ValueError:
        raise DataError(f"{path}: is not JSON; the prepared data set is damaged; prepare it again") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DataError(f"{path}: not the manifest of a prepared data set; choose the folder of one")
    if manifest.get("schema") != SCHEMA:
        raise DataError(
            f"{path}: schema version {manifest.get('schema')}; this gazekit reads version {SCHEMA}; "
            "prepare the data set again"
        )
    return manifest


def _per_view(views: Sequence[str], prepared: Sequence[dict[str, Any]], flag: str) -> dict[str, int]:
    return {view: sum(entry["views"][i][flag] for entry in prepared) for i, view in enumerate(views)}


def _duplicates(prepared: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Exams that hold an identical image, per image."""
    owners: dict[str, dict[str, None]] = {}
    for entry in prepared:
        for digest in entry["image_digests"]:
            owners.setdefault(digest, {})[entry["exam_id"]] = None
    groups = dict.fromkeys(tuple(exams) for exams in owners.values() if len(exams) > 1)
    return [list(group) for group in groups]
