"""The whole controller under random traffic, every answer held to a model of the specification."""

from dataclasses import replace

import numpy as np
import pytest

from neardecode_testbench.benches.amaranth_sim import play
from neardecode_testbench.drive.backends import simulate
from neardecode_testbench.drive.stimulus import Play
from neardecode_testbench.scenarios.flash.controller import controller_design
from neardecode_testbench.scenarios.flash.host_stream import HostStream, measure_host_stream
from neardecode_testbench.scenarios.flash.soak import VARIANTS, Episode, EpisodeResult

READ_STATUSES = {"0", "1", "3", "4", "5", "6", "7", "10", "13"}
WRITE_STATUSES = {"0", "1", "2", "3", "4", "5", "6/1", "6/2", "7", "8", "9", "13"}


def soak(name, seeds, transactions):
    variant = VARIANTS[name]
    design = controller_design(variant.config, faults=variant.faults)
    total = EpisodeResult()
    for seed in seeds:
        total.add(simulate(design, Episode(variant, seed, transactions), "native"))
    assert total.differences == []
    assert total.transactions >= transactions * len(seeds)
    return total


def statuses(counts):
    """Without information, but for a violation of order, where it tells two apart."""
    return {name if name[0] == "6" and "/" in name else name.split("/")[0] for name in counts}


@pytest.mark.parametrize(
    ("name", "seeds", "transactions"),
    [("short pages", range(1, 4), 1500), ("whole pages", range(1, 3), 1000)],
)
def test_every_answer_of_random_traffic_is_the_right_one(name, seeds, transactions):
    total = soak(name, seeds, transactions)
    assert {"0", "1", "3", "10", "13"} <= statuses(total.reads)
    assert {"0", "1", "2", "3", "5", "6/1", "13"} <= statuses(total.writes)
    assert total.compared > transactions


def test_every_status_is_seen_before_dies_that_fail():
    total = soak("correction", range(1, 13), 1500)
    reads = {status.split("/")[0] for status in statuses(total.reads)}
    # Status 4 wants errors that outlast every retry stage; the campaign of faults brings them.
    assert reads >= READ_STATUSES - {"4"}
    assert statuses(total.writes) >= WRITE_STATUSES


def test_random_traffic_on_amaranths_simulator_keeps_the_streams_rules():
    variant = VARIANTS["short pages"]
    episode = Episode(variant, 2, 200)
    design = controller_design(variant.config, faults=variant.faults)
    result = play(design.make(), episode)
    assert result.differences == []
    assert episode.recorder.cycles > 0
    # What the two simulators see is the same.
    again = Episode(variant, 2, 200)
    assert simulate(design, again, "native") == result


class Spoiling(Episode):
    """An episode in which something is not what the hardware gave, from the fourth play on."""

    def __init__(self):
        super().__init__(VARIANTS["short pages"], 1, 600)

    def __call__(self, step):
        plays = 0

        def play(given):
            nonlocal plays
            outcome = step(given)
            if isinstance(given, Play):
                plays += 1
                if plays > 3:
                    self.spoil(given, outcome)
            return outcome

        return super().__call__(play)


class Spoilt(Spoiling):
    """One answer is spoilt."""

    def __init__(self, stream, bit):
        super().__init__()
        self.stream, self.bit = stream, bit

    def spoil(self, given, outcome):
        if payloads := outcome.sinks[self.stream].payloads:
            payloads[0] ^= 1 << self.bit


@pytest.mark.parametrize(
    ("stream", "bit"),
    [
        ("axi__b", 0),  # an id
        ("axi__b", 3),  # a response
        ("axi__b", 8),  # a status
        ("axi__r", 4),  # data
        ("axi__r", 3 + 512 + 3),  # last
        ("axi__r", 3 + 512 + 4 + 2),  # a status
    ],
)
def test_a_spoilt_answer_is_told(stream, bit):
    variant = VARIANTS["short pages"]
    design = controller_design(variant.config, faults=variant.faults)
    assert simulate(design, Spoilt(stream, bit), "native").differences


class SpoiltLog(Spoiling):
    """One entry of the write path's log is spoilt."""

    def __init__(self, byte, mask, checked):
        super().__init__()
        self.byte, self.mask, self.checked = byte, mask, checked

    def spoil(self, given, outcome):
        log = next(s.memory for s in given.storages if s.port == "decisions")
        chosen = np.flatnonzero((log[:, 0] == 1) & (log[:, 1] == self.checked))
        if len(chosen):
            log[chosen[0], self.byte] ^= self.mask


@pytest.mark.parametrize(
    ("byte", "mask", "checked"),
    [
        (1, 1, 0),  # an end as a check
        (1, 1, 1),  # a check as an end
        (2, 1, 0),  # the unit that ended
        (2, 3, 1),  # the unit that is joined
        (3, 1, 1),  # joined or refused
        (4, 1, 1),  # opened or joined
        (5, 1, 0),  # ended or failed
        (6, 1, 0),  # the status of an end
        (7, 1, 0),  # its information
        (10, 1, 0),  # its cycle, too late
        (10, 1, 1),  # the cycle of a check, too late
    ],
)
def test_a_spoilt_log_is_told(byte, mask, checked):
    variant = VARIANTS["short pages"]
    design = controller_design(variant.config, faults=variant.faults)
    assert simulate(design, SpoiltLog(byte, mask, checked), "native").differences


def test_an_episode_is_the_same_every_time():
    variant = VARIANTS["short pages"]
    design = controller_design(variant.config, faults=variant.faults)
    episode = Episode(variant, 5, 300)
    first = simulate(design, episode, "native")
    assert simulate(design, replace(episode), "native") == first


def test_the_hosts_bursts_fill_the_bus_as_far_as_the_banks_allow():
    measured = measure_host_stream(HostStream(VARIANTS["whole pages"].config, rounds=4))
    assert measured.ratio >= 0.99


def test_pages_with_a_code_are_read_as_they_were_programmed():
    variant = VARIANTS["correction"]
    design = controller_design(variant.config, faults=variant.faults)
    measured = simulate(design, HostStream(variant.config, rounds=14), "native")
    assert 0.99 <= measured.ratio <= 1.0001
