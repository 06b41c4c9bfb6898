"""All-reduces that ends do themselves: the baselines beside the reduction tree."""

import pytest

from neardecode.config.topology import Topology
from neardecode_testbench.devices.collective_schedule import ring_order
from neardecode_testbench.scenarios.allreduce import bounds, measure_ends, measure_network


@pytest.mark.parametrize("algorithm", ["ring", "doubling"])
@pytest.mark.parametrize("topology", [Topology((2,)), Topology((2, 2)), Topology((4,), True)])
def test_every_node_has_every_sum_and_none_too_early(topology, algorithm):
    cycles = measure_ends(topology, algorithm, 16, 1, 1, "amaranth")
    assert cycles >= bounds(topology, 16, 1).ends


def test_the_network_is_a_fixed_way_from_its_bound():
    topology = Topology((3, 2))
    cycles = measure_network(topology, 20, 1, 1, "amaranth")
    depth, diameter, hop = 2, 3, 2
    assert cycles == 20 + 2 * depth * hop + 2
    assert bounds(topology, 20, 1).network == 20 + diameter * hop


@pytest.mark.parametrize("sizes", [(2,), (5,), (2, 2), (4, 2), (4, 4), (3, 4)])
def test_a_ring_goes_along_links_through_every_node(sizes):
    topology = Topology(sizes, closed=len(sizes) == 1 and sizes[0] > 2)
    order = ring_order(topology)
    assert sorted(order) == list(range(topology.nodes))
    for node, following in zip(order, order[1:] + order[:1], strict=True):
        assert topology.hops(node, following) == 1
