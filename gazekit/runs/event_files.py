"""Write the lines of ``metrics.jsonl`` as TensorBoard event files, which are rebuilt from it alone."""

import shutil
from types import TracebackType
from typing import Any, Self

from gazekit.disk.atomic import check_folder, disk_errors
from gazekit.errors import ConfigurationError
from gazekit.registry.distribution import install_command
from gazekit.runs.directory import RunDirectory

FOLDER = "tensorboard"
_COUNTERS = ("epoch", "step")


class EventFiles:
    """Event files in ``RUN/tensorboard``; a context manager.

    Existing files are replaced at the end of the first epoch, or of the run: until a resumed run trains, its lines may
    include epochs that it will repeat.

    Raises:
        ConfigurationError: tensorboard is not installed.
    """

    def __init__(self, run: RunDirectory) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise ConfigurationError(
                f"--tensorboard: tensorboard is not installed: {install_command('tensorboard')}"
            ) from None
        self.run = run
        self.written = 0
        check_folder(run.path / FOLDER)
        with disk_errors(run.path):
            shutil.rmtree(run.path / FOLDER, ignore_errors=True)
            self.writer: Any = SummaryWriter(str(run.path / FOLDER))

    def update(self) -> None:
        """Write the lines added since the last call."""
        lines = self.run.read_metrics()
        for line in lines[self.written :]:
            for name, value in line.items():
                if value is not None and name not in _COUNTERS:
                    self.writer.add_scalar(name, value, line["epoch"])
        self.written = len(lines)
        self.writer.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.update()
        self.writer.close()
