"""Lanes that stick: every one alone, as many as there are spares, one more."""

import pytest

from neardecode.config.flash import Repair
from neardecode_testbench.benches.vault import TINY
from neardecode_testbench.devices.vault_bench import VaultBench
from neardecode_testbench.devices.vaults import Vaults
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.stack_lanes import (
    LaneTrial,
    NeighbourTrial,
    any_lanes,
    single_lanes,
    worn_lanes,
)

ONE = TINY.stack
TWO = ONE.model_copy(update={"repair": Repair(groups=4, spares=2)})


def trials(config, sets, repairable):
    design = Design(VaultBench, (config, TINY.stack_cycles))
    for stuck, value in sets:
        trial = LaneTrial(config, TINY.stack_cycles, stuck, value, repairable, beats=3)
        simulate(design, trial, "native")


@pytest.mark.parametrize("config", [ONE, TWO], ids=["one spare", "two spares"])
def test_every_lane_alone_is_repaired(config):
    trials(config, single_lanes(config), True)


def test_every_two_lanes_of_a_group_with_two_spares_are_repaired():
    trials(TWO, any_lanes(TWO, 2), True)


def test_every_two_lanes_of_a_group_with_one_spare_retire_the_vault():
    trials(ONE, list(any_lanes(ONE, 2))[::7], False)


def test_a_retired_vault_leaves_its_neighbour_s_data_as_they_are():
    design = Design(Vaults, (ONE, TINY.stack_cycles, 2))
    for stuck, value in worn_lanes(ONE, 8, 1):
        simulate(design, NeighbourTrial(ONE, TINY.stack_cycles, stuck, value), "native")
