"""Values of cycles out of VCD files."""

import numpy as np
import pytest

from neardecode_synth.vcd import Waves, WavesError

HEADER = """$timescale 1ps $end
 $scope module TOP $end
  $scope module dut $end
   $var wire 1 ! clk $end
   $var wire 4 # count [3:0] $end
   $var wire 1 $ array[2] $end
   $scope module quick $end
    $var wire 4 # seen [3:0] $end
    $scope module block $end
     $var wire 2 % inner [1:0] $end
    $upscope $end
    $scope module gate $end
     $var wire 1 & enable $end
    $upscope $end
   $upscope $end
   $scope module block $end
    $var wire 1 $ own $end
   $upscope $end
  $upscope $end
 $upscope $end
$enddefinitions $end
"""
# What changes with an edge is seen in the next cycle; what changes before it in this one.
CHANGES = """#0
0!
b11 #
1$
#1
1!
b101 #
#2
0!
b0x %
1&
#3
1!
0$
#4
0!
#5
1!
"""


def bits(packed, cycles):
    return [int(packed[cycle // 64]) >> cycle % 64 & 1 for cycle in range(cycles)]


@pytest.fixture
def waves(tmp_path):
    path = tmp_path / "waves.vcd"
    path.write_text(HEADER + CHANGES)
    return Waves(path)


def test_a_cycle_is_what_stands_before_its_edge(waves):
    waves.load("TOP.dut")
    assert waves.cycles == 3
    assert bits(waves.bit("TOP.dut.count[0]"), 3) == [1, 1, 1]
    assert bits(waves.bit("TOP.dut.count[1]"), 3) == [1, 0, 0]
    assert bits(waves.bit("TOP.dut.count[2]"), 3) == [0, 1, 1]
    assert bits(waves.bit("TOP.dut.array[2]"), 3) == [1, 1, 0]


def test_what_is_behind_a_gate_is_known(waves):
    # A block that only has the name is not.
    assert waves.gates == {"TOP.dut.quick.block"}
    waves.load("TOP.dut")
    assert bits(waves.bit("TOP.dut.quick.block.inner[0]"), 3) == [0, 0, 0]
    assert bits(waves.bit("TOP.dut.quick.gate.enable"), 3) == [0, 1, 1]


def test_what_is_not_there_has_no_values(waves):
    waves.load("TOP.dut")
    assert waves.bit("TOP.dut.count[4]") is None
    assert waves.bit("TOP.dut.count") is None
    assert waves.bit("TOP.dut.nothing") is None


def test_many_cycles_are_packed_in_order(tmp_path):
    path = tmp_path / "waves.vcd"
    values = np.random.default_rng(1).integers(0, 16, 200).tolist()
    body = "".join(
        f"#{2 * cycle}\n0!\nb{value:b} #\n#{2 * cycle + 1}\n1!\n"
        for cycle, value in enumerate(values)
    )
    path.write_text(HEADER + body)
    waves = Waves(path)
    waves.load("TOP.dut")
    assert waves.cycles == 200
    for place in range(4):
        expected = [value >> place & 1 for value in values]
        assert bits(waves.bit(f"TOP.dut.quick.seen[{place}]"), 200) == expected


@pytest.mark.parametrize(
    ("text", "scope", "complaint"),
    [
        ("nothing", "TOP.dut", "is no VCD file"),
        (HEADER + CHANGES, "TOP.dut.quick", "has no clk"),
        (HEADER + "#0\n0!\n", "TOP.dut", "has no cycle"),
    ],
)
def test_a_file_without_what_is_needed_is_refused(tmp_path, text, scope, complaint):
    path = tmp_path / "waves.vcd"
    path.write_text(text)
    with pytest.raises(WavesError, match=complaint):
        Waves(path).load(scope)
