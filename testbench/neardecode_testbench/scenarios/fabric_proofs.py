"""Proofs of the routers of a network at hand."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count

from neardecode_testbench.drive.prove import prove
from neardecode_testbench.drive.traffic import FabricShape
from neardecode_testbench.scenarios.properties.router import RouterProperties
from neardecode_testbench.scenarios.properties.router_state import ObservedRouter, routers_of

__all__ = ["RouterProof", "prove_routers"]

INDUCTION = 2


@dataclass(frozen=True)
class RouterProof:
    """A router that keeps its contract for all time, whatever it is sent and whatever its routes.

    Attributes:
        inputs, outputs: Ports that packets come in at and leave by.
        turns: Ways through it, by virtual channel.
        bounded_wait: Whether the wait of tokens was among the statements.
        seconds: What the proof took.
    """

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    turns: int
    bounded_wait: bool
    seconds: float


def prove_routers(shape: FabricShape) -> list[RouterProof]:
    """Proves each kind of router of a network by k-induction.

    The statements are those of `RouterProperties`.

    Raises:
        ProofError: if a router breaks one of them.
        ValueError: if a class has no whole number of virtual channels a lane.
    """
    routers = routers_of(shape.topology, shape.buffer_flits, shape.classes)
    # Each proof is a process of its own.
    with ThreadPoolExecutor(cpu_count()) as pool:
        return list(pool.map(_prove, routers))


def _prove(router: ObservedRouter) -> RouterProof:
    result = prove(RouterProperties(router), INDUCTION)
    return RouterProof(
        tuple(sorted({port for port, _ in router.ways})),
        tuple(sorted({port for port, _ in router.credits})),
        sum(map(len, router.ways.values())),
        router.classes[0] == 1,
        result.seconds,
    )
