"""The router: packets whole and in order, every flit in the cycle that is due."""

from pathlib import Path

import numpy as np
import pytest

import neardecode.fabric
from neardecode.config import RouterCause
from neardecode.fabric.router import Router
from neardecode.lib.flit import FlitLayout
from neardecode_testbench.benches.amaranth_sim import play, play_after_reset
from neardecode_testbench.devices.fabric_bench import RouterBench
from neardecode_testbench.drive.stimulus import Play, Sink, Source, StuckError
from neardecode_testbench.scenarios.blocks.edge import CutOff, Held, Pacing, Recorder, read_counts
from neardecode_testbench.scenarios.blocks.router import Packet, RouterPackets, random_packets
from neardecode_testbench.scenarios.packing import Packer


def scenario(packets, ports=3, *, destinations=None, buffer_flits=4, output_credits=4, **options):
    destinations = destinations or ports
    routes = tuple((destination * 2 + 1) % ports for destination in range(destinations))
    flit = FlitLayout(64, max(destinations, ports))
    routes += (0,) * (flit.endpoints - destinations)
    return RouterPackets(flit, routes, ports, buffer_flits, output_credits, packets, **options)


def bench(given):
    return RouterBench(
        given.flit, given.routes, given.ports, given.buffer_flits, given.output_credits
    )


def run(given):
    return play(bench(given), given)


def straight(packets, ports=3, **options):
    """A scenario whose destinations are the ports."""
    given = scenario(packets, ports, **options)
    given.routes = tuple(range(ports))
    return given


def test_a_flit_takes_a_cycle_in_the_router_and_one_in_the_receiver():
    result = run(straight((Packet(0, 2),)))
    assert Router.latency == 1
    assert result.sent[0] == [0]
    assert result.arrived == [[], [], [Router.latency + 1]]


@pytest.mark.parametrize("flits", [1, 3])
@pytest.mark.parametrize(("buffer_flits", "output_credits"), [(2, 2), (8, 3)])
@pytest.mark.parametrize("ports", [1, 2, 5])
def test_every_output_gives_a_flit_a_cycle_where_nobody_contends(
    ports, buffer_flits, output_credits, flits
):
    packets = tuple(
        Packet(port, (port + 1) % ports, flits) for _ in range(40) for port in range(ports)
    )
    result = run(straight(packets, ports, buffer_flits=buffer_flits, output_credits=output_credits))
    assert result.arrived == [list(range(2, 2 + 40 * flits))] * ports


@pytest.mark.parametrize("flits", [1, 2, 5])
@pytest.mark.parametrize("ports", [2, 3, 5])
def test_contending_inputs_take_turns_by_packet_without_a_gap(ports, flits):
    packets = tuple(Packet(port, 1, flits) for _ in range(8) for port in range(ports))
    result = run(straight(packets, ports))
    count = 8 * ports * flits
    assert result.arrived[1] == list(range(2, 2 + count))
    assert result.origins[1] == [port for port in range(ports) for _ in range(flits)] * 8


@pytest.mark.parametrize(("buffer_flits", "output_credits"), [(1, 4), (4, 1)])
def test_one_flit_of_buffer_halves_the_rate(buffer_flits, output_credits):
    packets = (Packet(0, 1),) * 30
    result = run(straight(packets, buffer_flits=buffer_flits, output_credits=output_credits))
    assert result.arrived[1] == list(range(2, 62, 2))


@pytest.mark.parametrize("pacing", [Pacing(), Pacing(1, 0.2), Pacing(2, 0.5), Pacing(3, 0.8)])
@pytest.mark.parametrize(
    ("ports", "destinations", "buffer_flits", "output_credits"),
    [(3, 3, 4, 4), (4, 9, 1, 2), (2, 5, 2, 1), (5, 5, 3, 8), (1, 2, 2, 2)],
)
def test_random_packets_arrive_as_predicted(
    ports, destinations, buffer_flits, output_credits, pacing
):
    run(
        scenario(
            random_packets(ports, ports, destinations, 100),
            ports,
            destinations=destinations,
            buffer_flits=buffer_flits,
            output_credits=output_credits,
            pacing=pacing,
        )
    )


@pytest.mark.parametrize("stream", ["inputs__0", "inputs__2", "outputs__1"])
def test_one_stalled_stream_alone(stream):
    streams = [f"{side}__{port}" for side in ("inputs", "outputs") for port in range(3)]
    free = tuple(other for other in streams if other != stream)
    run(scenario(random_packets(9, 3, 3, 100), pacing=Pacing(5, 0.7, free)))


def test_a_packet_holds_its_output_while_its_next_flit_is_away_and_no_other_output():
    packets = (Packet(0, 1, 2), Packet(1, 1), Packet(2, 2))
    # The first packet's second flit comes in cycle 20.
    pacing = Held(cycles={"inputs__0": range(1, 20), "inputs__1": [0], "inputs__2": [0]})
    given = straight(packets, pacing=pacing)
    result = run(given)
    assert result.arrived[1] == [2, 22, 23]
    assert result.arrived[2] == [3]
    # Cycles in which only a flit that may not go waits count as stalls.
    assert result.counts["CREDIT"] == 18


class Blocked:
    """Flits whose receivers never give them up, or none."""

    def __init__(self, given, count):
        self.recorder = Recorder(())
        self.given = given
        self.count = count

    def __call__(self, step):
        flit = Packer(self.given.flit).pack({"head": 1, "tail": 1, "destination": 1})
        with pytest.raises(StuckError):
            step(
                Play(
                    sources=[Source("inputs__0", [flit] * self.count)],
                    sinks=[Sink("outputs__1", 100, stalls=np.array([True]))],
                    levels={"counting": 1},
                    limit=100,
                )
            )
        counts = read_counts(step, "cycles", RouterCause)
        return {name: count for name, count in counts.items() if count}


@pytest.mark.parametrize(
    ("count", "counts"),
    # Four credits are spent in cycles 1 to 4.
    [(0, {"IDLE": 100}), (4, {"IDLE": 96, "BUSY": 4}), (9, {"IDLE": 1, "BUSY": 4, "CREDIT": 95})],
)
def test_a_stall_has_its_cause(count, counts):
    given = straight(())
    assert play(bench(given), Blocked(given, count)) == counts


@pytest.mark.parametrize("cycles", [1, 2, 7, 20])
def test_a_reset_in_the_middle_leaves_nothing_behind(cycles):
    given = scenario(random_packets(2, 3, 3, 40))
    cut = CutOff(scenario(random_packets(1, 3, 3, 40)), cycles)
    after = play_after_reset(bench(given), cut, given)
    assert cut.recorder.cycles == cycles
    assert after == run(scenario(random_packets(2, 3, 3, 40)))


def router(**options):
    arguments = {"routes": (0, 1, 2), "ports": 3, "buffer_flits": 4, "output_credits": 4}
    return Router(FlitLayout(64, 3), **{**arguments, **options})


@pytest.mark.parametrize("routes", [(), (0, 1), (0, 1, 2, 0)])
def test_refuses_routes_that_are_not_one_a_destination(routes):
    with pytest.raises(ValueError, match=f"routes must have 3 entries, not {len(routes)}"):
        router(routes=routes)


@pytest.mark.parametrize("port", [3, -1, "1", None])
def test_refuses_a_route_to_no_port(port):
    with pytest.raises(ValueError, match=f"a route must be one of 3 ports, not {port!r}"):
        router(routes=(0, port, 2))


def test_the_waveform_of_the_readme():
    packets = (Packet(0, 2, 3), Packet(1, 2, 2), Packet(0, 2))
    given = straight(packets, output_credits=2, pacing=Held(cycles={"outputs__2": (4, 5, 6)}))
    given.recorder = Recorder(
        tuple(given.recorder.streams),
        (
            *("inputs__0__valid", "inputs__1__valid"),
            *("outputs__2__valid", "outputs__2__ready"),
        ),
    )
    run(given)
    drawn = given.recorder.waveform(16)
    readme = (Path(neardecode.fabric.__path__[0]) / "README.md").read_text()
    for line in drawn:
        assert f"    {line}\n" in readme
