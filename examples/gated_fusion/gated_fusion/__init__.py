"""Offer a fusion by a learnt gate to gazekit."""

from importlib.resources import files

from gazekit import hookimpl

GAZEKIT_HOOKS = 1


@hookimpl
def gazekit_fusions():
    """Offer ``gated``."""
    from gated_fusion.gated import Gated

    return {"gated": Gated}


@hookimpl
def gazekit_presets():
    """Offer Mammo-Net at demonstration size with the gate instead of BFL."""
    return {"mammonet_small_gated": files("gated_fusion") / "presets" / "mammonet_small_gated.toml"}
