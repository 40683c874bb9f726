"""The errors a user can cause, each with the exit code the command line ends on."""


class GazekitError(Exception):
    """A fault that one clear line explains: what, where, what was expected, what to do."""

    exit_code = 1


class ConfigurationError(GazekitError):
    """A preset, option, plugin name or argument that cannot be used."""

    exit_code = 2


class PluginError(ConfigurationError):
    """A plugin that is to be used and cannot be, or that failed while it was used."""

    exit_code = 1


class DataError(GazekitError):
    """A file, table, recording or split that cannot be used."""

    exit_code = 3


class StorageError(GazekitError):
    """A disk that is full, read-only or failing."""

    exit_code = 74


class Preempted(GazekitError):
    """The run was asked to stop; its checkpoint is written and it can be resumed."""

    exit_code = 75
