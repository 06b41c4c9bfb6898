"""The router: packets whole and in order, every flit in the cycle that is due."""

from pathlib import Path

import numpy as np
import pytest

import neardecode.fabric
from neardecode.config import RouterCause
from neardecode.fabric.allocator import SwitchAllocator
from neardecode.fabric.buffer import InputBuffer
from neardecode.fabric.credit_count import CreditCount
from neardecode.fabric.router import Router, Turn
from neardecode.lib.flit import FlitLayout
from neardecode_testbench.benches.amaranth_sim import play, play_after_reset
from neardecode_testbench.devices.fabric_bench import RouterBench
from neardecode_testbench.drive.stimulus import Play, Sink, Source, StuckError
from neardecode_testbench.scenarios.blocks.edge import CutOff, Held, Pacing, Recorder, read_counts
from neardecode_testbench.scenarios.blocks.router import Packet, RouterPackets, random_packets
from neardecode_testbench.scenarios.packing import Packer


def scenario(
    packets,
    ports=3,
    *,
    destinations=None,
    buffer_flits=4,
    output_credits=4,
    classes=(1,),
    **options,
):
    destinations = max(destinations or ports, ports)
    routes = tuple((destination * 2 + 1) % ports for destination in range(destinations))
    flit = FlitLayout(64, destinations, ports)
    return RouterPackets(flit, routes, buffer_flits, output_credits, classes, packets, **options)


def bench(given):
    return RouterBench(
        given.flit, given.routes, given.buffer_flits, given.output_credits, given.classes
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
    assert result.sent[0, 0] == [0]
    assert result.arrived == {(0, 0): [], (1, 0): [], (2, 0): [Router.latency + 1]}


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
    assert list(result.arrived.values()) == [list(range(2, 2 + 40 * flits))] * ports


@pytest.mark.parametrize("flits", [1, 2, 5])
@pytest.mark.parametrize("ports", [2, 3, 5])
def test_contending_inputs_take_turns_by_packet_without_a_gap(ports, flits):
    packets = tuple(Packet(port, 1, flits) for _ in range(8) for port in range(ports))
    result = run(straight(packets, ports))
    assert result.arrived[1, 0] == list(range(2, 2 + 8 * ports * flits))
    assert result.origins[1, 0] == list(range(ports)) * 8


@pytest.mark.parametrize(("buffer_flits", "output_credits"), [(1, 4), (4, 1)])
def test_one_flit_of_buffer_halves_the_rate(buffer_flits, output_credits):
    packets = (Packet(0, 1),) * 30
    result = run(straight(packets, buffer_flits=buffer_flits, output_credits=output_credits))
    assert result.arrived[1, 0] == list(range(2, 62, 2))


def test_a_flit_of_an_earlier_class_never_waits_for_one_of_a_later():
    bulk = tuple(Packet(port, 1, 4, channel=1) for _ in range(10) for port in (0, 1))
    result = run(straight((*bulk, *(Packet(2, 1),) * 20), classes=(1, 1)))
    assert result.arrived[1, 0] == list(range(2, 22))
    assert result.arrived[1, 1] == [2 + 20 + number for number in range(80)]


def test_channels_of_one_class_share_an_output():
    packets = tuple(Packet(port, 1, 2, channel=port) for _ in range(10) for port in (0, 1))
    result = run(straight(packets, classes=(2,)))
    assert result.arrived[1, 0] == list(range(3, 43, 2))
    assert result.arrived[1, 1] == list(range(2, 42, 2))


def test_a_packet_of_one_channel_passes_one_that_is_stuck_in_another():
    packets = (Packet(0, 1, 8), Packet(0, 2, 3, channel=1))
    pacing = Held(cycles={"outputs__1__0": range(60)})
    result = run(straight(packets, classes=(2,), pacing=pacing))
    assert max(result.arrived[2, 1]) < 20


@pytest.mark.parametrize("pacing", [Pacing(), Pacing(1, 0.2), Pacing(2, 0.5), Pacing(3, 0.8)])
@pytest.mark.parametrize(
    ("ports", "destinations", "buffer_flits", "output_credits", "classes"),
    [
        (3, 3, 4, 4, (1,)),
        (4, 9, 1, 2, (1,)),
        (1, 2, 2, 2, (1,)),
        (5, 5, 3, 8, (2,)),
        (3, 4, 2, 3, (1, 1)),
        (4, 4, 3, 2, (1, 3)),
    ],
)
def test_random_packets_arrive_as_predicted(
    ports, destinations, buffer_flits, output_credits, classes, pacing
):
    run(
        scenario(
            random_packets(ports, ports, destinations, 100, channels=sum(classes)),
            ports,
            destinations=destinations,
            buffer_flits=buffer_flits,
            output_credits=output_credits,
            classes=classes,
            pacing=pacing,
        )
    )


@pytest.mark.parametrize("stream", ["inputs__0__0", "inputs__2__1", "outputs__1__0"])
def test_one_stalled_stream_alone(stream):
    given = scenario(random_packets(9, 3, 3, 100, channels=2), classes=(2,))
    given.pacing = Pacing(5, 0.7, tuple(set(given.recorder.streams) - {stream}))
    run(given)


def test_a_packet_holds_its_output_while_its_next_flit_is_away_and_no_other_output():
    packets = (Packet(0, 1, 2), Packet(1, 1), Packet(2, 2))
    # The first packet's second flit comes in cycle 20.
    pacing = Held(cycles={"inputs__0__0": range(1, 20), "inputs__1__0": [0], "inputs__2__0": [0]})
    given = straight(packets, pacing=pacing)
    result = run(given)
    assert result.arrived[1, 0] == [2, 22, 23]
    assert result.arrived[2, 0] == [3]
    # Cycles in which only a flit that may not go waits count as stalls.
    assert result.counts["CREDIT"] == 18


class Blocked:
    """Flits whose receivers never give them up, or none."""

    def __init__(self, given, count):
        self.recorder = Recorder(())
        self.given = given
        self.count = count

    def __call__(self, step):
        flit = Packer(self.given.flit.first).pack({"tail": 1, "header.destination": 1})
        with pytest.raises(StuckError):
            step(
                Play(
                    sources=[Source("inputs__0__0", [flit] * self.count)],
                    sinks=[Sink("outputs__1__0", 100, stalls=np.array([True]))],
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
    arguments = {"routes": (0, 1, 2), "buffer_flits": 4, "output_credits": 4}
    return Router(FlitLayout(64, 3, 3), **{**arguments, **options})


@pytest.mark.parametrize("routes", [(), (0, 1), (0, 1, 2, 0)])
def test_refuses_routes_that_are_not_one_a_destination(routes):
    with pytest.raises(ValueError, match=f"routes must have 3 entries, not {len(routes)}"):
        router(routes=routes)


@pytest.mark.parametrize("port", [3, -1, "1", None])
def test_refuses_a_route_to_no_port(port):
    with pytest.raises(ValueError, match=f"a route must be one of 3 ports, not {port!r}"):
        router(routes=(0, port, 2))


@pytest.mark.parametrize("turn", [(3, 0, 0, 0), (0, 1, 0, 0), (0, 0, -1, 0), (0, 0, 0, 1)])
def test_refuses_a_turn_that_joins_nothing(turn):
    with pytest.raises(ValueError, match="a turn must join 3 ports with 1 channels, not Turn"):
        router(turns=[Turn(*turn)])


@pytest.mark.parametrize("classes", [(), (0,), (1, -1), (1.5,)])
def test_refuses_classes_without_channels(classes):
    with pytest.raises(ValueError, match="classes must be positive integers"):
        SwitchAllocator(2, 2, classes)


@pytest.mark.parametrize("number", [0, -1, 1.5, None])
def test_refuses_no_buffer_and_no_credits(number):
    with pytest.raises(ValueError, match="depth must be a positive integer"):
        InputBuffer(8, number)
    with pytest.raises(ValueError, match="credits must be a positive integer"):
        CreditCount(number)


def test_the_waveform_of_the_readme():
    packets = (Packet(0, 2, 3), Packet(1, 2, 2), Packet(0, 2))
    given = straight(packets, output_credits=2, pacing=Held(cycles={"outputs__2__0": (4, 5, 6)}))
    given.recorder = Recorder(
        tuple(given.recorder.streams),
        (
            *("inputs__0__0__valid", "inputs__1__0__valid"),
            *("outputs__2__0__valid", "outputs__2__0__ready"),
        ),
    )
    run(given)
    drawn = given.recorder.waveform(16)
    readme = (Path(neardecode.fabric.__path__[0]) / "README.md").read_text()
    for line in drawn:
        assert f"    {line}\n" in readme
