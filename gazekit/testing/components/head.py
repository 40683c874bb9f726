"""The contract of heads."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from gazekit.contracts.types import Views
from gazekit.testing.cases import for_each_case
from gazekit.testing.components.fusion import CHANNELS, VIEWS
from gazekit.testing.module_contract import ModuleContract
from gazekit.testing.promises import EXAMS, ContractCase, check_shapes, random_tensor

_FEATURES = 7
_OUTPUTS: tuple[dict[str, int], ...] = ({"label": 1}, {"label": 3}, {"label": 1, "density": 4, "mass": 1})


class HeadContract(ModuleContract):
    """Logits of one to three targets from the fused vector and the vectors of one to four views."""

    kind = "head"

    def cases(self) -> Iterator[ContractCase]:
        """Try two classes and more, one target and several."""
        yield self._case(_OUTPUTS[0], 1)
        for outputs in _OUTPUTS:
            yield self._case(outputs, EXAMS)

    def typical(self) -> ContractCase:
        """Try several targets."""
        return self._case(_OUTPUTS[-1], EXAMS)

    def _case(self, outputs: Mapping[str, int], exams: int) -> ContractCase:
        views = VIEWS[-1]
        inputs = {"fused": random_tensor(exams, _FEATURES, seed=9)}
        inputs |= {view: random_tensor(exams, CHANNELS, seed=seed) for seed, view in enumerate(views)}
        build = partial(self.make, _FEATURES, outputs, views, CHANNELS)
        targets = ", ".join(f"{name}: {number}" for name, number in outputs.items())
        return ContractCase(build, inputs, f"{exams} exams; logits of {targets}")

    def run(self, component: Any, inputs: Views) -> Views:
        """Return the logits per target."""
        vectors = {view: inputs[view] for view in inputs if view != "fused"}
        logits: Views = component(inputs["fused"], vectors)
        none = sum(tensor.sum() * 0 for tensor in inputs.values())  # a head need not read all of them
        return {target: each + none for target, each in logits.items()}

    @for_each_case()
    def test_shapes(self, case: ContractCase, head: Any) -> None:
        """Logits of each target, the label first."""
        outputs: Mapping[str, int] = case.build.args[1]  # type: ignore[attr-defined]
        expected = {target: (case.exams, number) for target, number in outputs.items()}
        check_shapes(self.component, self.call(head, case.inputs), expected)
