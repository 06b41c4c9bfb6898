"""Traffic on a network in the native simulator: sources, sinks and counts in C++.

The network is either simulated as one model, or tile by tile: a tile's outputs depend on its
registers alone, so the wires between tiles are copied once a cycle and a model as small as one
tile, built in seconds, makes a network of any size.
"""

import ctypes
import os
import tempfile
import time
from collections.abc import Sequence
from ctypes import POINTER, c_int64, c_uint64, c_void_p
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from neardecode.config.topology import LOCAL, Topology, refuse_cycle
from neardecode.fabric.network import Network
from neardecode.fabric.tile import Tile, network_flit, network_routes, network_turns
from neardecode_testbench.drive.design import Design, build_cache, digest
from neardecode_testbench.drive.native import NativeRunner
from neardecode_testbench.drive.native_build import call, compiler_flags
from neardecode_testbench.drive.toolchain import compiler

__all__ = [
    "WORD_BITS",
    "FabricShape",
    "Load",
    "NetworkModel",
    "TrafficError",
    "TrafficResult",
    "make_network",
]

_SOURCE = Path(__file__).with_name("traffic.cpp")
_BINS = 1 << 16
WORD_BITS = 64
_KINDS = {
    1: "a packet that nobody sent there",
    2: "a flit with another payload than was sent",
    3: "a packet of another length than was sent",
    4: "a credit too many, or a flit without one",
    5: "something left over, or credits that never came back",
}


class TrafficError(RuntimeError):
    """A network that lost, changed, doubled or misled something."""


@dataclass(frozen=True)
class FabricShape:
    """A network.

    Attributes:
        topology: How routers are joined.
        buffer_flits: Flits that a virtual channel of an input holds.
        classes: Virtual channels of tokens and of bulk, or of the one class there is.
        link_latency: Registers of a link in each direction.
    """

    topology: Topology
    buffer_flits: int = 8
    classes: tuple[int, ...] = (2,)
    link_latency: int = 1

    @property
    def channels(self) -> int:
        """Virtual channels."""
        return sum(self.classes)


@dataclass(frozen=True)
class Load:
    """A class of traffic.

    Attributes:
        rate: Packets that an end begins in a cycle, or bursts.
        packet_flits: Flits of a packet.
        destinations: By source where its packets go, one after another and again from the first;
            or None for uniform ones, oneself included.
        hot: A node, and the share of packets that go there whatever the pattern.
        burst: Packets that begin at once; none is one at a time without a window.
        window: Cycles from the beginning of a burst to the next, at least.
        begins: By source the cycle before which no burst begins; the first by default.
    """

    rate: float
    packet_flits: int = 1
    destinations: tuple[tuple[int, ...], ...] | None = None
    hot: tuple[int, float] | None = None
    burst: int = 0
    window: int = 0
    begins: tuple[int, ...] | None = None


@dataclass
class TrafficResult:
    """What came of traffic; where there are two numbers, of tokens and of bulk.

    Attributes:
        cycles: How long it ran.
        seconds: What that took of a core's time.
        offered, accepted: Flits made and taken while measured.
        checked: Flits compared at their destination.
        packets: Measured packets that arrived.
        missing: Measured packets that did not in time.
        hops, latency_sum, latency_max: Of measured packets.
        refused: Packets not made because a source's queue was full.
        latencies: How many packets had each latency.
    """

    cycles: int
    seconds: float
    offered: list[int]
    accepted: list[int]
    checked: int
    packets: list[int]
    missing: int
    hops: list[int]
    latency_sum: list[int]
    latency_max: list[int]
    refused: int
    latencies: np.ndarray = field(repr=False)


class _Models(ctypes.Structure):
    _fields_ = [
        ("count", c_int64),
        ("runners", POINTER(c_void_p)),
        ("settle", POINTER(c_void_p)),
        ("edge", POINTER(c_void_p)),
        ("wires", c_int64),
        ("to", POINTER(c_void_p)),
        ("from_", POINTER(c_void_p)),
        ("bytes", POINTER(c_int64)),
    ]


_NUMBERS = (
    *("count", "channels", "lanes", "credits", "token_channels", "port_bits", "address_bits"),
)
_PORTS = tuple(
    f"{side}_{wire}" for side in ("send", "take") for wire in ("valid", "flit", "credit")
)


class _Ends(ctypes.Structure):
    _fields_ = [
        *((name, c_int64) for name in _NUMBERS),
        ("addresses", POINTER(c_int64)),
        ("hops", POINTER(c_int64)),
        *((name, POINTER(c_void_p)) for name in _PORTS),
    ]


class _Load(ctypes.Structure):
    _fields_ = [
        ("threshold", c_uint64),
        ("packet_flits", c_int64),
        ("destinations", POINTER(c_int64)),
        ("sequence", c_int64),
        ("hot_node", c_int64),
        ("hot_threshold", c_uint64),
        ("burst", c_int64),
        ("window", c_int64),
        ("begins", POINTER(c_int64)),
    ]


class _Plan(ctypes.Structure):
    _fields_ = [
        ("loads", _Load * 2),
        ("seed", c_uint64),
        ("warm_up", c_int64),
        ("measured", c_int64),
        ("drain", c_int64),
        ("longest_queue", c_int64),
        ("stall_takers", c_int64),
    ]


class _Result(ctypes.Structure):
    _fields_ = [
        ("cycles", c_int64),
        ("offered", c_int64 * 2),
        ("accepted", c_int64 * 2),
        ("checked", c_int64),
        ("packets", c_int64 * 2),
        ("missing", c_int64),
        ("hops", c_int64 * 2),
        ("latency_sum", c_int64 * 2),
        ("latency_max", c_int64 * 2),
        ("refused", c_int64),
        ("wrong_cycle", c_int64),
        ("wrong_end", c_int64),
        ("wrong_kind", c_int64),
        ("latencies", POINTER(c_int64) * 2),
    ]


def make_network(
    sizes: tuple[int, ...], closed: bool, buffer_flits: int, link_latency: int, classes: tuple
) -> Network:
    """A whole network."""
    topology = Topology(sizes, closed)
    return Network(
        topology,
        network_flit(topology, WORD_BITS),
        buffer_flits=buffer_flits,
        link_latency=link_latency,
        classes=classes,
    )


def _make_tile(
    addresses: Topology, turns: tuple, buffer_flits: int, link_latency: int, classes: tuple
) -> Tile:
    return Tile(
        network_flit(addresses, WORD_BITS),
        None,
        turns,
        buffer_flits=buffer_flits,
        link_latency=link_latency,
        classes=classes,
    )


class NetworkModel:
    """A network that takes one traffic after another.

    Args:
        shape: The network.
        whole: Simulate it as one model; otherwise tile by tile.

    Raises:
        ValueError: if packets could wait for each other in a circle.
        ToolError: if there is no compiler.
    """

    def __init__(self, shape: FabricShape, *, whole: bool = False):
        refuse_cycle(shape.topology)
        self.shape = shape
        self._whole = whole
        self._library = ctypes.CDLL(str(_library()))
        self._library.traffic_run.restype = c_int64

    def run(
        self,
        token: Load | None,
        bulk: Load | None,
        *,
        seed: int = 1,
        warm_up: int = 1000,
        measured: int = 10000,
        drain: int = 100000,
        longest_queue: int = 1 << 20,
        stall_takers: float = 0.0,
        empty: bool = False,
    ) -> TrafficResult:
        """Runs traffic from reset on and checks every flit.

        Args:
            token: Tokens; with one class of channels everything is of this class.
            bulk: The rest.
            seed: Of all chance.
            warm_up: Cycles before packets are measured.
            measured: Cycles in which packets are measured.
            drain: Most cycles until measured packets have arrived, under the same load.
            longest_queue: Packets of a source's queue.
            stall_takers: Share of cycles in which an end does not take a flit that it holds.
            empty: At the end let everything arrive, and every credit come back.

        Raises:
            TrafficError: if anything is not as it was sent.
        """
        shape = self.shape
        runners, wires, ports = self._open()
        try:
            keep: list = []
            models, ends = self._models(runners, wires, keep), self._ends(ports, keep)
            plan = _Plan(
                (_Load * 2)(*(_load(load, shape.topology.nodes, keep) for load in (token, bulk))),
                *(seed, warm_up, measured, drain, longest_queue, round(256 * stall_takers)),
            )
            latencies = np.zeros((2, _BINS), np.int64)
            result = _Result()
            for kind in range(2):
                result.latencies[kind] = ctypes.cast(latencies[kind].ctypes.data, POINTER(c_int64))
            # The thread's own time: what else the machine does is no part of the speed.
            start = time.thread_time()
            cycles = self._library.traffic_run(
                *map(ctypes.byref, (models, ends, plan, result)), c_int64(100000 if empty else 0)
            )
            seconds = time.thread_time() - start
        finally:
            for runner in runners:
                runner.close()
        if result.wrong_cycle >= 0:
            raise TrafficError(
                f"cycle {result.wrong_cycle}, node {result.wrong_end}:"
                f" {_KINDS[result.wrong_kind]} (seed {seed})"
            )
        return TrafficResult(
            cycles,
            seconds,
            *(list(result.offered), list(result.accepted), result.checked, list(result.packets)),
            *(result.missing, list(result.hops), list(result.latency_sum)),
            *(list(result.latency_max), result.refused, latencies),
        )

    def _open(self):
        """Runners, wires between them as (runner, port) pairs, and each end's two links."""
        shape, topology = self.shape, self.shape.topology
        numbers = (shape.buffer_flits, shape.link_latency, shape.classes)
        nodes = range(topology.nodes)
        if self._whole:
            design = Design(make_network, (topology.sizes, topology.closed, *numbers))
            runner = NativeRunner(design)
            return (
                [runner],
                [],
                [
                    ((runner, f"injections__{node}"), (runner, f"ejections__{node}"))
                    for node in nodes
                ],
            )
        runners = []
        for node in nodes:
            # In an open topology one tile with every turn serves everywhere.
            turned = nodes if not topology.closed else [node]
            turns = set().union(
                *(network_turns(topology, other, shape.classes) for other in turned)
            )
            runner = NativeRunner(Design(_make_tile, (topology, tuple(sorted(turns)), *numbers)))
            routes = network_routes(topology, node)
            for port in range(topology.ports):
                runner.set_input(
                    f"routes__{port}",
                    sum((leads == port) << address for address, leads in enumerate(routes)),
                )
            runners.append(runner)
        wires = []
        for node in nodes:
            for port in range(1, topology.ports):
                if (far := topology.neighbour(node, port)) is None:
                    continue
                here = (runners[node], f"outputs__{port}")
                there = (runners[far[0]], f"inputs__{far[1]}")
                wires += [(there, here, "valid"), (there, here, "payload"), (here, there, "credit")]
        return (
            runners,
            wires,
            [((runner, f"inputs__{LOCAL}"), (runner, f"outputs__{LOCAL}")) for runner in runners],
        )

    def _models(self, runners, wires, keep) -> _Models:
        ends = [
            (*to[0].pointer(f"{to[1]}__{wire}"), from_[0].pointer(f"{from_[1]}__{wire}")[0])
            for to, from_, wire in wires
        ]
        return _Models(
            len(runners),
            _pointers([runner.handle for runner in runners], keep),
            _pointers([runner.function("settle") for runner in runners], keep),
            _pointers([runner.function("edge") for runner in runners], keep),
            len(wires),
            _pointers([to for to, _, _ in ends], keep),
            _pointers([from_ for _, _, from_ in ends], keep),
            _numbers([size for _, size, _ in ends], keep),
        )

    def _ends(self, ports, keep) -> _Ends:
        shape, topology = self.shape, self.shape.topology
        nodes = range(topology.nodes)
        address_bits = (topology.addresses - 1).bit_length()
        pointers = [
            _pointers(
                [link[side][0].pointer(f"{link[side][1]}__{wire}")[0] for link in ports], keep
            )
            for side in range(2)
            for wire in ("valid", "payload", "credit")
        ]
        return _Ends(
            *(topology.nodes, shape.channels, topology.lanes, shape.buffer_flits),
            *(shape.classes[0], topology.ports, address_bits),
            _numbers([topology.address(node) for node in nodes], keep),
            _numbers([topology.hops(here, there) for here in nodes for there in nodes], keep),
            *pointers,
        )


def _load(load: Load | None, nodes: int, keep: list) -> _Load:
    if load is None:
        return _Load()
    hot_node, share = load.hot or (0, 0.0)
    destinations = load.destinations or ((-1,),) * nodes
    return _Load(
        *(_threshold(load.rate), load.packet_flits),
        *(_numbers([*chain(*destinations)], keep), len(destinations[0])),
        *(hot_node, _threshold(share), load.burst, load.window),
        _numbers(load.begins or (0,) * nodes, keep),
    )


def _threshold(probability: float) -> int:
    return min(round(probability * 2**64), 2**64 - 1)


def _numbers(values: Sequence[int], keep: list):
    keep.append((c_int64 * len(values))(*values))
    return ctypes.cast(keep[-1], POINTER(c_int64))


def _pointers(values: Sequence[int], keep: list):
    keep.append((c_void_p * len(values))(*values))
    return ctypes.cast(keep[-1], POINTER(c_void_p))


def _library() -> Path:
    """The compiled traffic, built when nothing like it was before."""
    cxx = compiler()
    flags = (*compiler_flags(), "-O2", "-shared")
    key = digest(_SOURCE.read_bytes(), " ".join(flags), call([cxx, "--version"]))
    library = build_cache() / "native" / f"{key}.so"
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            target = Path(folder) / "library.so"
            call([cxx, *flags, str(_SOURCE), "-o", str(target)])
            os.replace(target, library)
    return library
