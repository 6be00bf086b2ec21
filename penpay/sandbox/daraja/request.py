"""What the requests made as an initiator have in common: accepted now, their results later."""

from penpay.sandbox.config import DarajaKnobs, SandboxConfig
from penpay.sandbox.daraja.gate import Body
from penpay.sandbox.daraja.initiator import Initiator
from penpay.sandbox.ids import Ids
from penpay.sandbox.postman import Postman
from penpay.sandbox.steps import ResultStep, Script, Step
from penpay.sandbox.truth import Truth


class InitiatorRequest:
    """One kind of request, with all that an answer is made of."""

    name = ""

    def __init__(
        self,
        config: SandboxConfig,
        knobs: DarajaKnobs,
        truth: Truth,
        ids: Ids,
        postman: Postman,
        initiator: Initiator,
        script: Script,
    ) -> None:
        self._config = config
        self._knobs = knobs
        self._truth = truth
        self._ids = ids
        self._postman = postman
        self._initiator = initiator
        self._script = script

    def pick(self, body: Body) -> Step:
        """What the script wants of this one; else it goes well."""
        return self._script.take(self.name, body) or ResultStep(op=self.name)
