"""MLflow follows a training: a run of an experiment, with the preset as parameters."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gazekit.contracts.tracking import Ending, TrackedRun
from gazekit.errors import ConfigurationError
from gazekit.registry.distribution import install_command

_STATES = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
_PARAMETERS_AT_ONCE = 100
_LONGEST = 500
"""Characters of a parameter that every store of MLflow takes."""


class MLflow:
    """A run of MLflow, in the folder ``mlruns`` or wherever ``MLFLOW_TRACKING_URI`` says.

    The experiment is ``gazekit``, or that of ``MLFLOW_EXPERIMENT_NAME``. A resumed training goes on with its run.
    """

    client: Any
    run_id: str

    def check(self) -> None:
        """Raise ConfigurationError if its package is not installed."""
        try:
            import mlflow  # noqa: F401
        except ImportError:
            raise ConfigurationError(
                f"--tracker mlflow: mlflow is not installed: {install_command('mlflow')}"
            ) from None

    def begin(self, run: TrackedRun, tracked: str | None) -> str:
        """Make a run, or open the one of this training again."""
        uri = os.environ.get("MLFLOW_TRACKING_URI") or (Path.cwd() / "mlruns").as_uri()
        if uri.startswith("file:"):
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        self.check()
        from mlflow import MlflowClient
        from mlflow.entities import Param

        self.client = MlflowClient(tracking_uri=uri)
        if tracked is not None:
            self.run_id = tracked
            self.client.update_run(tracked, status="RUNNING")
            return tracked
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "gazekit"
        experiment = self.client.get_experiment_by_name(name)
        number = self.client.create_experiment(name) if experiment is None else experiment.experiment_id
        self.run_id = self.client.create_run(number, run_name=run.name, tags=dict(run.facts)).info.run_id
        values = [Param(key, str(value)[:_LONGEST]) for key, value in run.preset.items()]
        for start in range(0, len(values), _PARAMETERS_AT_ONCE):
            self.client.log_batch(self.run_id, params=values[start : start + _PARAMETERS_AT_ONCE])
        return self.run_id

    def log(self, values: Mapping[str, float], epoch: int) -> None:
        """Log the numbers of an epoch."""
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        self.client.log_batch(
            self.run_id, metrics=[Metric(name, value, now, epoch) for name, value in values.items()]
        )

    def finish(self, ending: Ending) -> None:
        """End the run; one that was stopped or failed may be resumed."""
        self.client.set_terminated(self.run_id, _STATES[ending])
