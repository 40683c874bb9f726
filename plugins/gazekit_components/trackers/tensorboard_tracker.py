"""TensorBoard follows a training: event files in the run directory."""

import shutil
from collections.abc import Mapping
from typing import Any

from gazekit.contracts.tracking import Ending, TrackedRun
from gazekit.disk.atomic import check_folder, disk_errors
from gazekit.errors import ConfigurationError
from gazekit.registry.distribution import install_command


class TensorBoard:
    """Event files in ``RUN/tensorboard``, a scalar for each number of an epoch.

    They are written from ``metrics.jsonl`` alone: a training that is resumed replaces them.
    """

    writer: Any

    def check(self) -> None:
        """Raise ConfigurationError if its package is not installed."""
        try:
            import torch.utils.tensorboard  # noqa: F401
        except ImportError:
            raise ConfigurationError(
                f"--tensorboard: tensorboard is not installed: {install_command('tensorboard')}"
            ) from None

    def begin(self, run: TrackedRun, tracked: str | None) -> None:  # noqa: ARG002
        """Remove earlier files; every epoch comes again."""
        self.check()
        from torch.utils.tensorboard import SummaryWriter

        folder = run.path / "tensorboard"
        check_folder(folder)
        with disk_errors(run.path):
            shutil.rmtree(folder, ignore_errors=True)
            self.writer = SummaryWriter(str(folder))

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        """Write the scalars of an epoch."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, epoch)
        self.writer.flush()

    def finish(self, ending: Ending) -> None:  # noqa: ARG002
        """Close the files."""
        self.writer.close()
