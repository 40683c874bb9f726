"""Weights & Biases follows a training, offline unless you say otherwise."""

import os
from collections.abc import Mapping
from typing import Any

from gazekit.contracts.tracking import Ending, TrackedRun
from gazekit.errors import ConfigurationError
from gazekit.registry.distribution import install_command


class WeightsAndBiases:
    """A run of Weights & Biases, offline in ``RUN/trackers/wandb``; ``wandb sync`` sends it.

    ``WANDB_MODE=online`` sends it as it trains; the project is ``gazekit``, or that of ``WANDB_PROJECT``. A
    resumed training goes on with its run.
    """

    run: Any

    def check(self) -> None:
        """Raise ConfigurationError if its package is not installed."""
        try:
            import wandb  # noqa: F401
        except ImportError:
            raise ConfigurationError(
                f"--tracker wandb: wandb is not installed: {install_command('wandb')}"
            ) from None

    def begin(self, run: TrackedRun, tracked: str | None) -> str:
        """Begin a run, or go on with the one of this training."""
        self.check()
        import wandb

        run.folder.mkdir(parents=True, exist_ok=True)
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or "gazekit",
            name=run.name,
            id=tracked,
            resume="allow" if tracked else None,
            dir=str(run.folder),
            mode=os.environ.get("WANDB_MODE") or "offline",
            config={**run.facts, **run.preset},
            settings=wandb.Settings(silent=True, console="off", disable_git=True, x_disable_stats=True),
        )
        return str(self.run.id)

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        """Log the numbers of an epoch."""
        self.run.log(dict(values), step=epoch)

    def finish(self, ending: Ending) -> None:
        """End the run; W&B knows success and failure."""
        self.run.finish(exit_code=0 if ending == "finished" else 1)
