"""Check gazekit's contracts on Gated, and the promises of the gate itself."""

import gated_fusion
import torch
from gated_fusion.gated import Gated

from gazekit.testing import FusionContract, PluginContract


class TestGated(FusionContract):
    component = Gated
    options = {"hidden": 5}

    def test_weights_are_a_mixture(self):
        """The result lies between the views: equal views give that view."""
        vector = torch.randn(3, 4)
        fused = Gated(("cc", "mlo"), 4)({"cc": vector, "mlo": vector})
        torch.testing.assert_close(fused, vector)

    def test_order_of_views_does_not_matter(self):
        gated = Gated(("cc", "mlo"), 4)
        cc, mlo = torch.randn(2, 3, 4)
        torch.testing.assert_close(gated({"cc": cc, "mlo": mlo}), gated({"mlo": mlo, "cc": cc}))

    def test_a_closed_gate_leaves_one_view(self):
        """With a gate of ``1000 x_0`` only the view with the larger first feature remains."""
        gated = Gated(("cc", "mlo"), 2, hidden=1)
        with torch.no_grad():
            gated.gate[0].weight.copy_(torch.tensor([[1.0, 0.0]]))
            gated.gate[0].bias.zero_()
            gated.gate[2].weight.fill_(1000.0)
        views = {"cc": torch.tensor([[0.1, 7.0], [0.9, 8.0]]), "mlo": torch.tensor([[0.5, 1.0], [0.2, 2.0]])}
        torch.testing.assert_close(gated(views), torch.tensor([[0.5, 1.0], [0.9, 8.0]]))


class TestPlugin(PluginContract):
    plugin = gated_fusion
