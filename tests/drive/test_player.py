import pytest

from neardecode_testbench.drive.player import Player
from neardecode_testbench.drive.stimulus import Play, Probe, Sink, Source


class Wire:
    """A design of pins alone: what is offered on ``i`` is there on ``o`` in the same cycle."""

    def __init__(self):
        self.levels = {"i__valid": 0, "i__payload": 0, "o__ready": 0}
        self.calls = []

    def set(self, port, value):
        assert self.calls[-1:] != ["settle"], "inputs change before they settle"
        self.levels[port] = value

    async def settle(self):
        self.calls.append("settle")

    def get(self, port):
        assert self.calls[-1] == "settle", "outputs are sampled settled"
        return self.levels[{"o__valid": "i__valid", "o__payload": "i__payload",
                            "i__ready": "o__ready"}.get(port, port)]  # fmt: skip

    async def clock(self):
        self.calls.append("clock")


def run(player, scenario):
    """Runs to the end a coroutine that never waits for anything."""
    coroutine = player.run(scenario)
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    return end.value.value


def test_a_cycle_drives_settles_samples_and_clocks():
    wire = Wire()
    outcome = run(
        Player(wire),
        lambda step: step(Play([Source("i", [7, 8])], [Sink("o", 2, [7, 8])], trailing=1)),
    )
    assert outcome.sinks["o"].payloads == [7, 8]
    assert outcome.sinks["o"].cycles == outcome.sources["i"] == [0, 1]
    assert wire.calls == ["settle", "clock"] * 3


def test_valid_and_ready_are_low_after_a_play():
    wire = Wire()
    run(Player(wire), lambda step: step(Play([Source("i", [7])], [Sink("o", 1)])))
    assert wire.levels["i__valid"] == wire.levels["o__ready"] == 0


def test_a_monitor_sees_every_cycle_settled():
    wire, seen = Wire(), []

    def watch(pins, cycle):
        assert wire.calls[-1] == "settle"
        seen.append((cycle, pins.get("o__valid")))

    def scenario(step):
        step(Probe({}, []))
        step(Play([Source("i", [7, 8])], [Sink("o", 2)]))
        step(Probe({"i__valid": 1}, []))

    run(Player(wire, watch), scenario)
    assert seen == [(0, 0), (1, 1), (2, 1), (3, 1)]


def test_an_error_of_a_monitor_ends_the_run():
    def watch(pins, cycle):
        raise AssertionError(f"rule broken in cycle {cycle}")

    coroutine = Player(Wire(), watch).run(lambda step: step(Probe({}, [])))
    with pytest.raises(AssertionError, match="rule broken in cycle 0"):
        coroutine.send(None)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_error_of_the_scenario_comes_out(error):
    def scenario(step):
        raise error("mine")

    coroutine = Player(Wire()).run(scenario)
    with pytest.raises(error, match="mine"):
        coroutine.send(None)


def test_the_result_of_a_scenario_without_steps_comes_out():
    assert run(Player(Wire()), lambda step: 42) == 42
