"""Explain why a path is not a prepared data set, and name the command that makes one."""

from pathlib import Path

from gazekit.disk.wording import in_command
from gazekit.prepared.manifest import MANIFEST

JOURNAL = "journal.jsonl"
SHARD = "shard.json"
"""File of a finished shard of a preparation."""

_TABLES = (".csv", ".tsv", ".txt", ".xlsx")


def why_not_prepared(path: Path) -> str:
    """Say, as the end of a message, why a path is not a prepared data set and what to do; empty if it is one."""
    if path.is_file():
        return _of_file(path)
    if not path.is_dir():
        return "there is no such folder; expected a prepared data set"
    if (path / MANIFEST).exists():
        return ""
    return _of_folder(path)


def _of_folder(path: Path) -> str:
    if (path / SHARD).exists():
        return "not a prepared data set but a shard of one; merge all shards: gazekit data merge PREPARED SHARD …"
    if (path / JOURNAL).exists():
        return "its preparation is incomplete; run the same `gazekit data prepare` again"
    if (path / "run.json").is_file():
        return "not a prepared data set but a run; give the folder that `gazekit data prepare` wrote"
    below = sorted(manifest.parent for manifest in path.glob(f"*/{MANIFEST}"))
    if below:
        return f"not a prepared data set (no {MANIFEST}); there is one in {below[0]}"
    table = next((each.name for each in sorted(path.glob("exams.*")) if each.suffix.lower() in _TABLES), None)
    if table is not None:
        return (
            f"not a prepared data set but raw exams ({table}); make one: gazekit data prepare folder "
            f"{in_command(path)} {in_command(_beside(path))}"
        )
    return (
        f"not a prepared data set (no {MANIFEST}); make one: gazekit data prepare KIND {in_command(path)} "
        f"{in_command(_beside(path))}, KIND one of gazekit plugins list --kind dataset"
    )


def _of_file(path: Path) -> str:
    if path.name == MANIFEST:
        return f"is a file of a prepared data set; give its folder, {path.parent}"
    if path.suffix.lower() in _TABLES:
        folder = path.parent
        prepared = _beside(folder)
        named = (
            ""
            if path.stem.lower() == "exams"
            else f" (which reads the table called exams{path.suffix.lower()})"
        )
        return (
            f"is a table of raw exams; prepare them: gazekit data prepare folder {in_command(folder)} "
            f"{in_command(prepared)}{named}, then give {prepared}; images in a table are predicted as they are by "
            f"gazekit predict RUN {in_command(path)}"
        )
    return "is a file; expected the folder of a prepared data set"


def _beside(folder: Path) -> Path:
    """Suggest a path for the prepared data set, next to the raw one."""
    return folder.parent / f"{folder.name}-prepared" if folder.name else Path("prepared")
