"""Networks: the latency of a hop, every flit checked, tile by tile as in one model."""

import re

import pytest

from neardecode.config.guarantee import Envelope, cone, latency_bound
from neardecode.config.topology import Topology, find_cycle, refuse_cycle
from neardecode_testbench.drive.traffic import FabricShape, Load, NetworkModel
from neardecode_testbench.scenarios.fabric_load import (
    FabricLoad,
    destinations,
    measure_guarantee,
    measure_load,
    soak,
    zero_load_latency,
)

MESH = Topology((4, 4))
SHAPE = FabricShape(MESH)


@pytest.mark.parametrize(("source", "destination"), [(0, 15), (5, 5), (7, 4)])
def test_a_lone_packet_takes_two_cycles_a_hop(source, destination):
    fixed = tuple((destination if node == source else node,) for node in range(16))
    result = NetworkModel(SHAPE).run(
        Load(0.001, 3, fixed), None, warm_up=0, measured=4000, seed=source
    )
    latencies = set(result.latencies[0].nonzero()[0].tolist())
    hops = MESH.hops(source, destination)
    # The others send to themselves.
    assert {2 * (0 + 1) + 1 + 2, 2 * (hops + 1) + 1 + 2} <= latencies


def test_uniform_traffic_is_at_its_zero_load_latency_when_there_is_little_of_it():
    given = FabricLoad(SHAPE, load=0.01)
    assert zero_load_latency(given) == 8
    assert measure_load(given)[0].latency_mean == pytest.approx(8, abs=0.1)


@pytest.mark.parametrize(
    ("pattern", "packet_flits", "accepted"),
    [
        ("uniform", 1, 0.70),
        ("uniform", 5, 0.68),
        ("bit-complement", 1, 0.49999),
        ("neighbour", 1, 0.99),
        ("neighbour", 5, 0.99),
    ],
)
def test_a_mesh_of_two_channels_of_eight_flits_accepts_at_full_load(
    pattern, packet_flits, accepted
):
    assert measure_load(FabricLoad(SHAPE, pattern, 1.0, packet_flits))[0].accepted >= accepted


def test_transpose_is_fast_at_a_load_of_three_tenths():
    assert measure_load(FabricLoad(SHAPE, "transpose", 0.3))[0].latency_mean < 14


def test_tile_by_tile_is_as_in_one_model():
    shape = FabricShape(Topology((2, 2)), 3, (1, 1))
    runs = [
        NetworkModel(shape, whole=whole).run(
            Load(0.1, 2), Load(0.2, 3), warm_up=10, measured=2000, stall_takers=0.2, empty=True
        )
        for whole in (False, True)
    ]
    assert runs[0].checked > 1000
    assert runs[0].latency_sum == runs[1].latency_sum
    assert (runs[0].latencies == runs[1].latencies).all()


@pytest.mark.parametrize(
    "shape",
    [
        FabricShape(MESH, 2, (1, 1)),
        FabricShape(Topology((3,), closed=True), 4, (2,)),
        FabricShape(Topology((2, 2), closed=True), 4, (2, 2)),
        FabricShape(Topology((3,)), 1, (1,), link_latency=0),
    ],
    ids=str,
)
def test_nothing_is_lost_changed_doubled_or_misled(shape):
    checked, cycles = soak(shape, 20_000, seed=3)
    assert checked >= 20_000
    assert cycles > 0


def test_tokens_keep_their_bound_under_bulk_and_come_near_it():
    result = measure_guarantee(FabricShape(MESH, 8, (1, 1)), 1, 1, seeds=4, flits=2000)
    assert result.token_flits >= 2000
    assert result.missing == 0
    assert result.worst <= result.bound
    assert result.bound / 2 < result.worst_adversarial <= result.bound


def test_a_bound_grows_with_bursts_and_with_the_network():
    def bound(topology, flits):
        envelope = Envelope(1, flits, 1 << 20)
        return latency_bound(topology, envelope, buffer_flits=8, link_latency=1)

    assert bound(MESH, 1) < bound(MESH, 2) < bound(Topology((5, 4)), 2)
    assert bound(Topology((2,)), 1) == 5 + 1


def test_only_links_on_the_way_can_hold_up_a_packet():
    line = Topology((3,))
    assert cone(line, 2) == {(2, -1), (2, 0), (2, 2), (1, 2), (1, 0), (0, 0)}


@pytest.mark.parametrize(
    ("topology", "window", "buffer_flits", "message"),
    [
        (Topology((4,), closed=True), 1000, 8, "a bound is known for open topologies only"),
        (MESH, 1000, 3, "buffer_flits must be at least 2 * link_latency + 2 = 4"),
        (MESH, 10, 8, "too fast for a bound; try a window above"),
    ],
)
def test_refuses_a_bound_where_there_is_none(topology, window, buffer_flits, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        latency_bound(topology, Envelope(1, 1, window), buffer_flits=buffer_flits, link_latency=1)


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("sizes", [(2,), (5,), (4, 4), (3, 5)])
def test_no_topology_has_a_circle_of_buffers(sizes, closed):
    topology = Topology(sizes, closed)
    assert find_cycle(topology) == []
    refuse_cycle(topology)


class OneLane(Topology):
    """A ring without its dateline."""

    lanes = 1

    def next_lane(self, node, arrives, lane, leaves):
        return 0


class YThenX(Topology):
    """A mesh whose odd nodes route along the second dimension first."""

    def route(self, node, destination):
        here, there = self.coordinates(node), self.coordinates(destination)
        order = (1, 0) if destination % 2 else (0, 1)
        for dimension in order:
            if here[dimension] != there[dimension]:
                return 1 + 2 * dimension + (there[dimension] < here[dimension])
        return 0


@pytest.mark.parametrize("topology", [OneLane((5,), True), OneLane((4, 4), True), YThenX((3, 3))])
def test_a_circle_of_buffers_is_refused_and_named(topology):
    circle = find_cycle(topology)
    assert len(circle) >= 3
    node, port, lane = circle[0]
    with pytest.raises(ValueError, match=rf"in a circle: node {node} port {port} lane {lane} -> "):
        refuse_cycle(topology)


def test_patterns_are_as_the_literature_has_them():
    assert destinations(MESH, "transpose")[1] == (4,)
    assert destinations(MESH, "bit-complement")[1] == (14,)
    assert destinations(MESH, "neighbour")[3] == (4,)
    assert destinations(MESH, "neighbour")[15] == (0,)
    # 8 KiB in flits of 64 bits to the partner of each step.
    assert destinations(MESH, "allreduce")[1] == (
        *(0,) * 1024,
        *(3,) * 1024,
        *(5,) * 1024,
        *(9,) * 1024,
    )
    assert len(destinations(MESH, "allreduce", 5)[1]) == 4 * 205
    assert destinations(MESH, "uniform") is None
    with pytest.raises(ValueError, match="transpose needs a square, not 4x2"):
        destinations(Topology((4, 2)), "transpose")
    with pytest.raises(ValueError, match="allreduce needs a power of two of nodes, not 6"):
        destinations(Topology((3, 2)), "allreduce")
