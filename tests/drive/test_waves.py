import re
import shutil
from operator import methodcaller

import pylibfst
import pytest

from neardecode_testbench.drive.backends import BACKENDS, simulate
from neardecode_testbench.drive.stimulus import Play, Sink, Source
from neardecode_testbench.drive.waves import cut_vcd, vcd_to_fst

VCD = """$date
  today
$end
$timescale
  100ps
$end
$scope module top $end
$var wire 1 ! clk $end
$scope module inner $end
$var reg 8 " count [7:0] $end
$var wire 1 ! clock $end
$upscope $end
$upscope $end
$enddefinitions $end
$dumpvars
x!
bx "
$end
#0
0!
b0 "
#5
1!
b101 "
#10
0!
bz "
b11111111 "
#15
1!
"""


def read(path):
    """Exponent of the timescale, signals with their lengths, and changes by signal."""
    library, ffi = pylibfst.lib, pylibfst.ffi
    reader = library.fstReaderOpen(str(path).encode())
    assert reader != ffi.NULL
    scopes, signals = pylibfst.helpers.get_scopes_signals2(reader)
    changes = []
    library.fstReaderSetFacProcessMaskAll(reader)
    pylibfst.helpers.fstReaderIterBlocks(
        reader, lambda user, time, handle, value: changes.append(
            (time, signals.by_handle[handle].name, pylibfst.helpers.string(value)))
    )  # fmt: skip
    scale = library.fstReaderGetTimescale(reader)
    library.fstReaderClose(reader)
    return scale, scopes, {s.name: s.length for s in signals.by_name.values()}, changes


@pytest.fixture
def vcd(tmp_path):
    path = tmp_path / "waves.vcd"
    path.write_text(VCD)
    return path


def test_fst_has_the_scopes_signals_and_changes_of_the_vcd(vcd, tmp_path):
    vcd_to_fst(vcd, tmp_path / "waves.fst")
    scale, scopes, signals, changes = read(tmp_path / "waves.fst")
    assert scale == -10
    assert scopes == ["top", "top.inner"]
    assert signals == {"top.clk": 1, "top.inner.count [7:0]": 8, "top.inner.clock": 1}
    clock = [(time, value) for time, name, value in changes if name == "top.clk"]
    count = [(time, value) for time, name, value in changes if name == "top.inner.count [7:0]"]
    assert clock[-4:] == [(0, "0"), (5, "1"), (10, "0"), (15, "1")]
    assert count[-3:] == [(5, "00000101"), (10, "zzzzzzzz"), (10, "11111111")]


@pytest.mark.parametrize(
    ("timescale", "exponent"),
    [("1 s", 0), ("10ms", -2), ("1us", -6), ("1 ns", -9), ("1ps", -12), ("100 fs", -13)],
)
def test_a_timescale_is_kept(vcd, tmp_path, timescale, exponent):
    vcd.write_text(VCD.replace("100ps", timescale))
    vcd_to_fst(vcd, tmp_path / "waves.fst")
    assert read(tmp_path / "waves.fst")[0] == exponent


def test_a_target_that_cannot_be_written_is_named(vcd, tmp_path):
    target = tmp_path / "none" / "waves.fst"
    with pytest.raises(OSError, match=f"^{target}: cannot be written$"):
        vcd_to_fst(vcd, target)


@pytest.mark.parametrize(("end", "last"), [(11, "#10"), (10, "#5"), (6, "#5"), (1, "#0")])
def test_a_cut_takes_off_what_happens_from_its_time_on(vcd, end, last):
    cut_vcd(vcd, end)
    text = vcd.read_text()
    assert VCD.startswith(text)
    assert [line for line in text.splitlines() if line[0] == "#"][-1] == last
    assert text.endswith("\n")
    assert VCD[len(text)] == "#"


def test_a_cut_behind_the_end_changes_nothing(vcd):
    cut_vcd(vcd, 16)
    assert vcd.read_text() == VCD


def test_a_number_sign_in_the_header_is_no_time(vcd):
    vcd.write_text("$comment\n#99 bottles\n$end\n" + VCD)
    cut_vcd(vcd, 6)
    assert vcd.read_text().endswith('#5\n1!\nb101 "\n')


# As a method's call the scenario can be pickled for the backends that cocotb drives.
PLAY = methodcaller("__call__", Play([Source("i", list(range(300)))], [Sink("o", 300)]))

backends = pytest.mark.parametrize(
    "backend",
    [
        pytest.param(
            backend,
            marks=pytest.mark.skipif(
                backend == "icarus" and shutil.which("iverilog") is None, reason="no Icarus"
            ),
        )
        for backend in BACKENDS
    ],
)


def rising_edges(text):
    """Of the first signal with the name clk."""
    found = re.search(r"\$var \w+ 1 (\S+) clk ", text)
    assert found is not None
    return len(re.findall(rf"^1{re.escape(found[1])}$", text, re.M))


@backends
def test_waves_have_the_cycles_asked_for(machine, backend, tmp_path):
    waves = tmp_path / "waves.vcd"
    outcome = simulate(machine, PLAY, backend, waves=waves, wave_cycles=20)
    assert outcome.cycles == 301, "the run is not cut"
    # Where the reset is a cycle of the simulation it is seen too.
    reset = 1 if backend in ("verilator", "icarus") else 0
    assert rising_edges(waves.read_text()) == 20 + reset


@pytest.mark.parametrize("backend", ["native", "amaranth"])
def test_more_cycles_than_there_are_give_all(machine, backend, tmp_path):
    waves = tmp_path / "waves.vcd"
    simulate(machine, PLAY, backend, waves=waves, wave_cycles=10_000)
    assert rising_edges(waves.read_text()) == 301


def test_waves_begin_at_the_cycle_asked_for(machine, tmp_path):
    waves = tmp_path / "waves.vcd"
    simulate(machine, PLAY, "native", waves=waves, wave_cycles=20, wave_from=100)
    text = waves.read_text()
    assert rising_edges(text) == 20
    # A cycle is two of the file's instants.
    assert re.findall(r"^#(\d+)$", text, re.M)[0] == "200"


def test_only_the_native_one_begins_later(machine, tmp_path):
    with pytest.raises(ValueError, match="waves must begin at reset on amaranth, not at 5"):
        simulate(machine, PLAY, "amaranth", waves=tmp_path / "waves.vcd", wave_from=5)


@backends
def test_fst_has_the_streams_and_their_payloads(machine, backend, tmp_path):
    waves = tmp_path / "waves.fst"
    simulate(machine, PLAY, backend, waves=waves, wave_cycles=40)
    _, _, signals, changes = read(waves)
    payload = next(name for name in signals if re.search(r"\bi__payload\b", name))
    assert signals[payload] == 80
    seen = [
        int(value, 2) for _, name, value in changes if name == payload and set(value) <= {*"01"}
    ]
    assert seen[-30:] == list(range(seen[-1] - 29, seen[-1] + 1))
    assert 37 <= seen[-1] <= 41


def test_another_suffix_is_refused(machine, tmp_path):
    with pytest.raises(ValueError, match=r"waves must be a \.vcd or \.fst file, not .*waves\.lxt"):
        simulate(machine, PLAY, "amaranth", waves=tmp_path / "waves.lxt")
