"""A fusion of views by a learnt gate, as a plugin of gazekit."""

from importlib.resources import files

from gazekit import hookimpl

GAZEKIT_HOOKS = 1


@hookimpl
def gazekit_fusions():
    """``gated``."""
    from gated_fusion.gated import Gated

    return {"gated": Gated}


@hookimpl
def gazekit_presets():
    """Mammo-Net at demonstration size with the gate in the place of BFL."""
    return {"mammonet_small_gated": files("gated_fusion") / "presets" / "mammonet_small_gated.toml"}
