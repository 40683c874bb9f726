"""Check which pretrained weights of timm are at hand, for ``gazekit doctor``."""

from collections.abc import Iterator
from pathlib import Path

from gazekit.contracts.check import Check


def check_weights() -> Iterator[Check]:
    """List the pretrained weights of timm in the hub's cache; without network only these can be used."""
    from huggingface_hub.constants import HF_HUB_CACHE, HF_HUB_OFFLINE

    cached = sorted(
        folder.parent.parent.name.removeprefix("models--timm--")
        for folder in Path(HF_HUB_CACHE).glob("models--timm--*/snapshots/*")
        if (folder / "model.safetensors").exists()
    )
    if cached:
        yield Check("weights", "pretrained, cached", "ok", ", ".join(dict.fromkeys(cached)))
    else:
        remedy = (
            "train once with network, or set backbone.weights=FILE; "
            'with pretrained = "auto" and no network training starts from random weights'
        )
        offline = " (and HF_HUB_OFFLINE is set)" if HF_HUB_OFFLINE else ""
        yield Check("weights", "pretrained, cached", "limit", f"none in {HF_HUB_CACHE}{offline}", remedy)
