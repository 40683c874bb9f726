"""How a training makes its steps: its settings, with the optimiser and the schedule that they name."""

from dataclasses import dataclass

from gazekit.contracts.interfaces import Optimizer, Schedule
from gazekit.presets.tables import TrainingSettings
from gazekit.registry.registry import Registry


@dataclass(frozen=True, slots=True)
class Recipe:
    """The preset's ``training`` table, and the components of it; None where it names none."""

    settings: TrainingSettings
    optimizer: Optimizer | None = None
    schedule: Schedule | None = None

    @classmethod
    def of(cls, settings: TrainingSettings, registry: Registry) -> "Recipe":
        """Make the components that the settings name. Raises ConfigurationError: one does not take its options."""
        optimizer, schedule = settings.optimizer, settings.schedule
        return cls(
            settings,
            registry.create("optimizer", optimizer.use, **optimizer.options) if optimizer else None,
            registry.create("schedule", schedule.use, **schedule.options) if schedule else None,
        )
