"""Scaling to other nodes."""

import pytest

from neardecode_synth.scaling import NODES, scale


def test_the_same_node_is_the_same():
    assert scale(180, 180).area == scale(180, 180).delay == scale(180, 180).energy == (1, 1)


def test_the_range_has_the_published_table_of_areas_and_the_square_of_the_size():
    # Stillmaker and Baas give 320 for 180 nm over 7 nm.
    assert scale(180, 7).area == pytest.approx(((7 / 180) ** 2, 1 / 320))


def test_the_range_has_the_published_polynomials_at_their_nominal_supplies():
    # Of 180 nm at 1.8 V and of high performance at 7 nm and 0.7 V, by hand.
    old = 97.09 * 1.8**2 - 356.7 * 1.8 + 406.5
    new = -28.58 * 0.7**3 + 76.6 * 0.7**2 - 70.26 * 0.7 + 24.69
    least, most = scale(180, 7).delay
    assert least < new / old < most
    assert least == pytest.approx((-28.58 * 0.77**3 + 76.6 * 0.77**2 - 70.26 * 0.77 + 24.69) / old)
    assert most == pytest.approx((-61.79 * 0.63**3 + 196.1 * 0.63**2 - 210.3 * 0.63 + 79.55) / old)


@pytest.mark.parametrize("node", NODES[1:])
def test_a_smaller_node_is_smaller_and_takes_less_and_the_range_is_one(node):
    factors = scale(180, node)
    for low, high in (factors.area, factors.delay, factors.energy):
        assert 0 < low < high < 1


def test_a_node_without_a_rule_is_refused():
    with pytest.raises(ValueError, match="no rule scales from or to 5 nm; known: 180, 130"):
        scale(180, 5)
