"""Run a notebook and keep its output: ``make notebook``."""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

KEPT = ("kernelspec", "language_info")


def run(path: Path, folder: Path) -> nbformat.NotebookNode:
    """Run a notebook in a folder and return it with its outputs. Raises CellExecutionError if a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=None,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    notebook.metadata = {name: notebook.metadata[name] for name in KEPT}
    notebook.metadata["language_info"] = {"name": "python"}
    return notebook


if __name__ == "__main__":
    given = Path(sys.argv[1])
    nbformat.write(run(given, given.parent), given)
