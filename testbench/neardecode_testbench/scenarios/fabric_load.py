"""Traffic on a network as the literature measures it: patterns, warm-up, measurement, drain.

Open loop: sources make packets whatever the network does, into queues outside it; latency runs
from a packet's making to the arrival of its last flit, the queue included.

Source of the method and the patterns: W. J. Dally, B. Towles, "Principles and Practices of
Interconnection Networks", 2004, chapters 3 and 23.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count
from typing import Literal, get_args

import numpy as np

from neardecode.config.guarantee import Envelope, latency_bound
from neardecode.config.topology import Topology
from neardecode_testbench.drive.traffic import (
    WORD_BITS,
    FabricShape,
    Load,
    NetworkModel,
    TrafficResult,
)

__all__ = [
    "PATTERNS",
    "FabricLoad",
    "GuaranteeResult",
    "Measure",
    "Pattern",
    "destinations",
    "measure_guarantee",
    "measure_load",
    "percentile",
    "soak",
    "sweep",
    "zero_load_latency",
]

Pattern = Literal["uniform", "transpose", "bit-complement", "neighbour", "hotspot", "allreduce"]
PATTERNS: tuple[str, ...] = get_args(Pattern)

ALLREDUCE_BYTES = 8192
"""A vector of 4,096 values of 16 bits, as of a model of eight thousand million weights."""
WARM_UP = 3000
MEASURED = 10000
DRAIN = 20000


@dataclass(frozen=True)
class FabricLoad:
    """A load on a network.

    Attributes:
        shape: The network.
        pattern: Where packets go.
        load: Flits that each end makes in a cycle.
        packet_flits: Flits of a packet.
        token_share: Share of packets in the token class; None where all are of one class.
        hot_share: Of the pattern `hotspot`: packets that go to the node in the middle, the others
            being uniform.
        seed: Of all chance.
    """

    shape: FabricShape
    pattern: Pattern = "uniform"
    load: float = 0.3
    packet_flits: int = 1
    token_share: float | None = None
    hot_share: float = 0.2
    seed: int = 1


@dataclass(frozen=True)
class Measure:
    """What was measured; flits are a node and cycle, latencies in cycles.

    Attributes:
        offered, accepted: Flits made and taken in the measured cycles.
        latency_mean, latency_p50, latency_p99, latency_p999, latency_max: Of packets made in
            them, or None where none of them arrived.
        hops_mean: Links between routers of such a packet.
        missing: Such packets that had not arrived when the run ended.
        cycles, seconds: Of the whole run, in a core's own time.
    """

    offered: float
    accepted: float
    latency_mean: float | None
    latency_p50: int | None
    latency_p99: int | None
    latency_p999: int | None
    latency_max: int | None
    hops_mean: float | None
    missing: int
    cycles: int
    seconds: float


def destinations(
    topology: Topology, pattern: Pattern, packet_flits: int = 1
) -> tuple[tuple[int, ...], ...] | None:
    """By source where its packets go one after another, or None where that is left to chance.

    Raises:
        ValueError: if the topology has no such pattern.
    """
    nodes = range(topology.nodes)
    sizes = topology.sizes
    places: Sequence[Sequence[int]] = [topology.coordinates(node) for node in nodes]
    if pattern == "transpose":
        if len(set(sizes)) != 1:
            raise ValueError(f"transpose needs a square, not {'x'.join(map(str, sizes))}")
        return tuple((topology.node(place[::-1]),) for place in places)
    if pattern == "bit-complement":
        return tuple(
            (topology.node([size - 1 - at for at, size in zip(place, sizes, strict=True)]),)
            for place in places
        )
    if pattern == "neighbour":
        return tuple(
            (topology.node([(at + 1) % size for at, size in zip(place, sizes, strict=True)]),)
            for place in places
        )
    if pattern == "allreduce":
        return _allreduces(topology.nodes, packet_flits)
    return None


def _allreduces(nodes: int, packet_flits: int) -> tuple[tuple[int, ...], ...]:
    """The packets of a decode's sums over all nodes, by recursive doubling.

    Every layer has two such sums of a vector of the model's width, at batch 1 one after another:
    in each step a node sends its whole vector to the partner of that step.
    """
    if nodes & (nodes - 1):
        raise ValueError(f"allreduce needs a power of two of nodes, not {nodes}")
    packets = -(-8 * ALLREDUCE_BYTES // (WORD_BITS * packet_flits))
    steps = range(nodes.bit_length() - 1)
    return tuple(
        tuple(node ^ (1 << step) for step in steps for _ in range(packets)) for node in range(nodes)
    )


def zero_load_latency(given: FabricLoad) -> float:
    """The mean latency of packets that meet nobody: two cycles a hop with a register on a link."""
    topology = given.shape.topology
    nodes = range(topology.nodes)
    fixed = destinations(topology, given.pattern, given.packet_flits)
    if fixed is not None:
        hops = np.mean([topology.hops(node, end) for node in nodes for end in fixed[node]])
    else:
        uniform = np.mean([topology.hops(here, there) for here in nodes for there in nodes])
        middle = topology.nodes // 2
        hot = np.mean([topology.hops(node, middle) for node in nodes])
        share = given.hot_share if given.pattern == "hotspot" else 0.0
        hops = (1 - share) * uniform + share * hot
    link = given.shape.link_latency
    return float((hops + 1) * (link + 1) + link + given.packet_flits - 1)


def measure_load(given: FabricLoad) -> tuple[Measure, ...]:
    """All packets, then, where there are two classes, tokens and bulk."""
    topology = given.shape.topology
    fixed = destinations(topology, given.pattern, given.packet_flits)
    hot = (topology.nodes // 2, given.hot_share) if given.pattern == "hotspot" else None
    rate = given.load / given.packet_flits

    def load(share: float) -> Load | None:
        return Load(rate * share, given.packet_flits, fixed, hot) if share else None

    share = 1.0 if given.token_share is None else given.token_share
    result = NetworkModel(given.shape).run(
        load(share),
        load(1 - share),
        seed=given.seed,
        warm_up=WARM_UP,
        measured=MEASURED,
        drain=DRAIN,
        # At full load a queue grows by a packet a cycle at most.
        longest_queue=2 * (WARM_UP + MEASURED + DRAIN),
    )
    kinds = [(0, 1)] if given.token_share is None else [(0, 1), (0,), (1,)]
    return tuple(_measure(result, of_kinds, topology.nodes) for of_kinds in kinds)


def _measure(result: TrafficResult, kinds: Sequence[int], nodes: int) -> Measure:
    def total(numbers: Sequence[int]) -> int:
        return sum(numbers[kind] for kind in kinds)

    packets = total(result.packets)
    latencies = result.latencies[list(kinds)].sum(axis=0)
    return Measure(
        total(result.offered) / (nodes * MEASURED),
        total(result.accepted) / (nodes * MEASURED),
        total(result.latency_sum) / packets if packets else None,
        percentile(latencies, 0.5),
        percentile(latencies, 0.99),
        percentile(latencies, 0.999),
        max(result.latency_max[kind] for kind in kinds) if packets else None,
        total(result.hops) / packets if packets else None,
        result.missing,
        result.cycles,
        result.seconds,
    )


def percentile(histogram: np.ndarray, share: float) -> int | None:
    """The least latency that this share of packets does not exceed."""
    count = int(histogram.sum())
    if count == 0:
        return None
    return int(np.searchsorted(np.cumsum(histogram), share * count - 1e-9))


def sweep(loads: Sequence[FabricLoad]) -> list[tuple[Measure, ...]]:
    """Measures loads, a core each at a time."""
    return _parallel(measure_load, loads)


def _parallel(measure: Callable, given: Sequence) -> list:
    # A run is one call into C++, in which Python lets other threads work.
    with ThreadPoolExecutor(cpu_count()) as pool:
        return list(pool.map(measure, given))


def soak(shape: FabricShape, flits: int, seed: int) -> tuple[int, int]:
    """Random traffic of all kinds; every flit is compared with what was sent.

    Returns:
        The flits that were compared and the cycles that they took.

    Raises:
        TrafficError: if anything was lost, changed, doubled, misled or out of order.
    """
    random = np.random.default_rng(seed)
    model = NetworkModel(shape)
    checked = cycles = 0
    while checked < flits:
        lengths = random.integers(1, 9, 2)
        shares = random.uniform(0.02, 0.6, 2)
        loads = [
            Load(
                float(share / length),
                int(length),
                hot=(int(random.integers(shape.topology.nodes)), float(random.choice([0, 0.3]))),
            )
            for share, length in zip(shares, lengths, strict=True)
        ]
        length = int(min(200_000, 100 + 4 * (flits - checked) / shape.topology.nodes))
        result = model.run(
            loads[0],
            loads[1] if len(shape.classes) > 1 else None,
            seed=int(random.integers(2**32)),
            measured=length,
            warm_up=0,
            drain=0,
            longest_queue=100,
            stall_takers=float(random.choice([0, 0.1, 0.5])),
            empty=True,
        )
        checked += result.checked
        cycles += result.cycles
    return checked, cycles


@dataclass(frozen=True)
class GuaranteeResult:
    """How long tokens took under bulk that fills the network.

    Attributes:
        bound: The most cycles that a token's packet can take.
        window: Cycles between bursts.
        worst, worst_adversarial: The most cycles that one took, with random destinations and
            where the tokens of all ends come to one corner at once.
        token_flits: Flits of tokens that arrived.
        missing: Flits of tokens that took longer than the bound and were not waited for.
        cycles: Of all runs.
        bulk_accepted: Flits of bulk a node and cycle.
    """

    bound: int
    window: int
    worst: int
    worst_adversarial: int
    token_flits: int
    missing: int
    cycles: int
    bulk_accepted: float


def measure_guarantee(
    shape: FabricShape,
    burst: int,
    packet_flits: int,
    seeds: int,
    flits: int,
    seed: int = 1,
    window: int | None = None,
) -> GuaranteeResult:
    """Tokens as declared, under bulk at full load, seed after seed.

    Half of the seeds have random destinations, a burst whenever the window allows or a little
    later. The other half is what the derivation counts: every end sends to the corner whose cone
    most crossings lie in, the far ones sooner, so that all tokens are before the same link at the
    same time, give or take a few cycles that change with the seed.

    Args:
        shape: The network, of two classes.
        burst, packet_flits, window: What every end declares; by default the window is the least in
            which no end has two bursts under way.
        seeds: Runs.
        flits: Of tokens, in all runs together, at least.
        seed: The first seed.

    Raises:
        ValueError: if there is no bound.
    """
    topology = shape.topology
    numbers = {"buffer_flits": shape.buffer_flits, "link_latency": shape.link_latency}
    if window is None:
        # With a burst of each end in two bounds' time, as many as the bound of a single one.
        alone = latency_bound(topology, Envelope(burst, packet_flits, 1 << 40), **numbers)
        window = 2 * alone + 1
    bound = latency_bound(topology, Envelope(burst, packet_flits, window), **numbers)
    nodes = range(topology.nodes)
    corner = topology.nodes - 1
    far = max(topology.hops(node, corner) for node in nodes)
    # Where a burst begins with this probability, it begins that much later than it might.
    late = 0.05
    a_burst = topology.nodes * burst * packet_flits
    cycles = window + int(flits / seeds / a_burst * (window + 1 / late) * 1.02)

    def run(number: int) -> tuple[int, int, int, int, int]:
        random = np.random.default_rng(seed + number)
        if number % 2:
            spread = int(random.integers(5))
            begins = tuple(
                (far - topology.hops(node, corner)) * (shape.link_latency + 1)
                + int(random.integers(spread + 1))
                for node in nodes
            )
            token = Load(1.0, packet_flits, ((corner,),) * len(nodes), None, burst, window, begins)
        else:
            rate = 1.0 if number % 4 else late
            token = Load(rate, packet_flits, burst=burst, window=window)
        result = NetworkModel(shape).run(
            token,
            Load(1.0 / 5, 5, hot=(corner, 0.5)),
            seed=seed + number,
            warm_up=0,
            measured=cycles,
            # Bulk never drains; a token that takes longer than this is missing.
            drain=bound + 1,
            longest_queue=1000,
        )
        # A whole result has histograms, too large to keep a thousand of.
        return (
            *(result.latency_max[0], result.packets[0] * packet_flits, result.offered[0]),
            *(result.cycles, result.accepted[1]),
        )

    worst, arrived, offered, ran, bulk = zip(*_parallel(run, range(seeds)), strict=True)
    return GuaranteeResult(
        bound,
        window,
        max(worst[::2]),
        max(worst[1::2], default=0),
        sum(arrived),
        sum(offered) - sum(arrived),
        sum(ran),
        sum(bulk) / (cycles * seeds * topology.nodes),
    )
