"""Register components with their origin, and isolate broken plugins."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gazekit.registry.registry import HOOKS as HOOKS
    from gazekit.registry.registry import KINDS as KINDS
    from gazekit.registry.registry import Registry as Registry


def __getattr__(name: str) -> Any:
    """Import the registry on first access: the guard of torchvision is in this package too."""
    if name in ("HOOKS", "KINDS", "Registry"):
        from gazekit.registry import registry

        return getattr(registry, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
