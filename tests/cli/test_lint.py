import json

import pytest

from neardecode_testbench.cli import lint
from neardecode_testbench.drive.lint import lint as warnings_of

LATCH = """
module top(input clk, input i, output reg o);
  always @* if (clk) o = i;
endmodule
"""


def test_blocks_are_written_small_and_looked_at(neardecode):
    result = neardecode("lint", "router", "residual_add", "--json", "-")
    assert (result.status, result.err) == (0, "")
    router, add = json.loads(result.out)["blocks"]
    assert router["name"] == "router"
    assert router["parameters"] == {"config": "tiny", "set": []}
    assert router["modules"] > add["modules"] == 1
    assert min(router["ports"], add["ports"]) > 4
    assert router["warnings"] == add["warnings"] == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (LATCH, "LATCH"),
        (LATCH.replace("o = i", "p = i"), "p"),
        (LATCH.replace("endmodule", ""), "syntax error"),
    ],
)
def test_a_latch_an_unknown_name_and_a_syntax_error_are_told(tmp_path, text, complaint):
    path = tmp_path / "top.sv"
    path.write_text(text)
    assert complaint in "\n".join(warnings_of(path, "top"))


def test_a_warning_ends_the_command_and_names_the_block(neardecode, monkeypatch):
    monkeypatch.setattr(lint, "verilog_of", lambda block, config: LATCH.replace("top", block))
    result = neardecode("lint", "router", "--jobs", 1)
    assert "router: " in result.complaint
    assert "LATCH" in result.complaint
