"""Which components there are, where each comes from, and what keeps a broken one apart."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gazekit.registry.registry import HOOKS as HOOKS
    from gazekit.registry.registry import KINDS as KINDS
    from gazekit.registry.registry import Registry as Registry


def __getattr__(name: str) -> Any:
    """The registry itself, imported when it is first asked for: the guard of torchvision lies here too."""
    if name in ("HOOKS", "KINDS", "Registry"):
        from gazekit.registry import registry

        return getattr(registry, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
