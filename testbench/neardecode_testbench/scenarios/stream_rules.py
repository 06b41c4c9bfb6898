"""The rules of a stream, checked from the outside, one cycle after another."""

from typing import Any

__all__ = ["StreamRuleError", "StreamRules"]


class StreamRuleError(AssertionError):
    """A stream broke a rule; the message names the stream, the cycle and the rule."""


class StreamRules:
    """Watch a stream for the two rules that bind its source.

    1. Once ``valid`` is high it stays high until a cycle in which ``ready`` is high too.
    2. The payload does not change during that wait.

    It knows no simulator: a monitor samples the stream at each active clock edge and calls
    `cycle`. That ``valid`` must not wait for ``ready`` cannot be seen from outside; a sink that
    withholds ``ready`` until it sees ``valid`` finds it out.

    Args:
        name: The stream's name in messages.

    Attributes:
        cycles: Cycles seen.
        transfers: Payloads transferred.
    """

    def __init__(self, name: str):
        self.name = name
        self.cycles = 0
        self.transfers = 0
        self._waiting = False
        self._payload: Any = None

    def cycle(self, valid: int | bool, ready: int | bool, payload: Any) -> bool:
        """Check one cycle and say whether a payload was transferred in it.

        Raises:
            StreamRuleError: if a rule was broken.
        """
        if self._waiting and not valid:
            self._fail(f"valid dropped before ready; the payload was {self._payload!r}")
        if self._waiting and payload != self._payload:
            self._fail(f"the payload changed from {self._payload!r} to {payload!r} before ready")
        self.cycles += 1
        transferred = bool(valid and ready)
        self.transfers += transferred
        self._waiting = bool(valid and not ready)
        self._payload = payload if self._waiting else None
        return transferred

    def reset(self) -> None:
        """Forget a payload that waits: the source was reset. The cycles count on."""
        self._waiting = False
        self._payload = None

    def _fail(self, rule: str) -> None:
        raise StreamRuleError(f"stream {self.name}, cycle {self.cycles}: {rule}")
