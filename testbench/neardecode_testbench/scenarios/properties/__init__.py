"""Properties of the library's cells, for a solver; each an elaboratable around the cell.

The environment is free: every input takes any value in every cycle, reset included. To close an
induction the properties also state invariants, about what lies inside the cell and is shown by a
subclass of it. Without the invariants the contract alone is left, which is what a broken cell must
break.
"""

from .arbiter import ObservedRoundRobin, RoundRobinProperties
from .credit_link import (
    CreditLinkProperties,
    ObservedCreditPipe,
    ObservedCreditReceiver,
    ObservedCreditSender,
)
from .queue import ObservedFIFO, ObservedQueue, ObservedRegisterSlice, QueueProperties

__all__ = [
    "CreditLinkProperties",
    "ObservedCreditPipe",
    "ObservedCreditReceiver",
    "ObservedCreditSender",
    "ObservedFIFO",
    "ObservedQueue",
    "ObservedRegisterSlice",
    "ObservedRoundRobin",
    "QueueProperties",
    "RoundRobinProperties",
]
