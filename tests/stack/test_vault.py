"""The vault with its DRAM: values, cycles and causes against the model of its rules."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import neardecode.stack
from neardecode.config import Config, StackCycles, Timings, VaultEvent
from neardecode.stack.vault import VaultController
from neardecode_testbench.benches.amaranth_sim import play, play_after_reset
from neardecode_testbench.benches.vault import TINY
from neardecode_testbench.devices.vault_bench import VaultBench
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.design import Design
from neardecode_testbench.scenarios.blocks.edge import CutOff, Pacing, Recorder
from neardecode_testbench.scenarios.blocks.vault import STREAMS, VaultAccesses, random_accesses
from neardecode_testbench.scenarios.blocks.vault_model import Asked

NONE = {"requests": [], "reads": [], "writes": []}


def configuration(refresh="by-bank", **changes):
    return TINY.model_copy(
        update={"stack": TINY.stack.model_copy(update={"refresh": refresh, **changes})}
    )


def run(accesses, refresh="by-bank", **changes):
    config = configuration(refresh)
    arguments = (config.stack, config.stack_cycles)
    scenario = VaultAccesses(*arguments, {**NONE, **accesses}, **changes)
    return simulate(Design(VaultBench, arguments), scenario, "native")


def test_streams_keep_their_rules():
    config = configuration()
    asked = random_accesses(3, config.stack, 6, 20, 20)
    arguments = (config.stack, config.stack_cycles)
    play(VaultBench(*arguments), VaultAccesses(*arguments, asked, pacing=Pacing(3, 0.5)))


def test_every_write_that_goes_to_the_dram_is_told():
    config = configuration()
    asked = NONE | {"writes": random_accesses(5, config.stack, 0, 0, 30)["writes"]}
    asked["reads"] = random_accesses(6, config.stack, 0, 30, 0)["reads"]
    recorder = Recorder(STREAMS, ("written",))
    arguments = (config.stack, config.stack_cycles)
    play(VaultBench(*arguments), VaultAccesses(*arguments, asked, recorder=recorder))
    there = sum(write.page < config.stack.pages for write, _ in asked["writes"])
    assert sum(recorder.levels["written"]) == there > 20


def test_rows_that_are_opened_all_the_time_do_not_keep_refreshes_away():
    config = configuration(postponed=1, queue=16)
    arguments = (config.stack, config.stack_cycles)
    asked = NONE | random_accesses(7, config.stack, 0, 1500, 0)
    scenario = VaultAccesses(*arguments, asked)
    result = simulate(Design(VaultBench, arguments), scenario, "native")
    interval, banks = config.stack_cycles.refi, config.stack.banks
    refreshes = [now for now, kind, _ in result.commands if kind == "REFRESH_BANK"]
    intervals = result.beats[-1] // interval
    assert len(refreshes) >= (intervals - 1) * banks > 10 * banks


@pytest.mark.parametrize("refresh", ["all-bank", "by-bank"])
@pytest.mark.parametrize("seed", range(12))
def test_accesses_of_all_kinds_hold_at_full_rate(refresh, seed):
    run(random_accesses(seed, configuration().stack, 20, 60, 60), refresh)


@pytest.mark.parametrize("refresh", ["all-bank", "by-bank"])
@pytest.mark.parametrize(
    ("seed", "share"), [(seed, share) for seed in range(4) for share in (0.2, 0.5, 0.8)]
)
def test_accesses_of_all_kinds_hold_under_random_stalls(refresh, seed, share):
    accesses = random_accesses(seed, configuration().stack, 12, 40, 40)
    run(accesses, refresh, pacing=Pacing(seed, share))


def test_reads_see_the_writes_before_them_in_few_pages():
    run(random_accesses(9, configuration().stack, 6, 80, 80, spread=3))


def test_heat_doubles_the_refreshes():
    accesses = random_accesses(4, configuration().stack, 40, 0, 0)
    for refresh in ("all-bank", "by-bank"):
        cold = run(accesses, refresh).events
        warm = run(accesses, refresh, hot=True).events
        assert warm["REFRESHES"] > 1.7 * cold["REFRESHES"]
        assert warm["HOT"] > 0 == cold["HOT"]


@dataclass(frozen=True)
class Apart:
    """Reads offered in these cycles only."""

    cycles: tuple[int, ...]

    def stalls(self, stream):
        if stream != "reads":
            return None
        held = np.ones(4096, bool)
        held[list(self.cycles)] = False
        return held


@pytest.mark.parametrize(
    ("pages", "state"),
    [((0,), {"closed": True}), ((0, 0), {}), ((0, 4), {"conflict": True})],
    ids=["closed", "open row", "another row"],
)
def test_an_idle_vault_has_its_stated_latency(pages, state):
    config = configuration()
    vault = VaultController(config.stack, config.stack_cycles)
    begin = VaultController.start_cycles
    result = run(
        {"reads": [(Asked(page, 0), 1) for page in pages]},
        pacing=Apart((begin, begin + 60)[: len(pages)]),
    )
    assert result.beats[-1] - result.taken["reads"][-1] == vault.latency(**state)


def test_reset_in_the_middle_leaves_nothing():
    config = configuration()
    accesses = {**NONE, **random_accesses(2, config.stack, 4, 10, 10)}
    bench = VaultBench(config.stack, config.stack_cycles)
    scenario = VaultAccesses(config.stack, config.stack_cycles, accesses)
    again = VaultAccesses(config.stack, config.stack_cycles, accesses)
    play_after_reset(bench, CutOff(scenario, 70), again)


def test_cycles_are_the_timings_at_the_clock():
    cycles = StackCycles.of(Timings(), Config().cycles)
    assert (cycles.rcd, cycles.cl, cycles.ccd_s, cycles.ccd_l, cycles.refi) == (12, 12, 1, 2, 6240)


def test_the_waveform_of_the_readme():
    config = configuration()
    arguments = (config.stack, config.stack_cycles)
    recorder = Recorder(
        STREAMS,
        (
            *("requests__valid", "requests__ready"),
            f"activates=strobes.{VaultEvent.ACTIVATES.value}",
            f"reads=strobes.{VaultEvent.READS.value}",
            *("beats__valid", "beats__ready"),
        ),
    )
    pages = NONE | {"requests": [(Asked(page), 1) for page in (0, 1, 4)]}
    play(VaultBench(*arguments), VaultAccesses(*arguments, pages, recorder=recorder))
    drawn = recorder.waveform(54)
    readme = (Path(neardecode.stack.__path__[0]) / "README.md").read_text()
    for line in drawn:
        assert f"    {line}" in readme, "\n".join(drawn)
