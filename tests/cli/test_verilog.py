import json
import re

import pytest

from neardecode.chip import counter_names
from neardecode.config import PRESETS, Host, dumps
from neardecode_testbench.cli.blocks import BLOCKS


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_becomes_verilog_with_its_name(neardecode, in_folder, block):
    config = "stack" if block in ("vault_controller", "page_evictor") else "tiny"
    if block in ("token_chip", "token_decoder"):
        config = "decoder-tiny"
    if block == "channel_controller":
        config = in_folder.parent / "host.toml"
        host = Host(zones=2, pages_a_block=8, id_bits=4, units=2, reads=8, writes=8)
        flash = PRESETS["tiny"].flash.model_copy(update={"host": host})
        config.write_text(dumps(PRESETS["tiny"].model_copy(update={"flash": flash})))
    result = neardecode("verilog", block, "--config", config, "--json", "-")
    assert (result.status, result.err) == (0, "")
    results = json.loads(result.out)
    text = (in_folder / f"{block}.sv").read_text()
    assert results["block"] == block
    assert results["file"] == f"{block}.sv"
    modules = re.findall(r"^module (\\?\S+?)\s*\(", text, re.M)
    assert len(modules) == len(set(modules)) == results["modules"]
    assert block in modules
    written = {f"{block}.sv"} | ({"chip.counters.json"} if block == "chip" else set())
    assert {path.name for path in in_folder.iterdir()} == written


def test_the_chip_comes_with_the_map_of_its_counters(neardecode, tmp_path):
    path = tmp_path / "top.sv"
    result = neardecode("verilog", "--config", "tiny", "-o", path, "--json", tmp_path / "r.json")
    assert (result.status, result.err) == (0, "")
    counters = json.loads((tmp_path / "top.counters.json").read_text())
    names = counter_names(PRESETS["tiny"])
    assert [counters[str(address)] for address in range(len(names))] == list(names)
    assert len(counters) == len(names) == len(set(names))
    results = json.loads((tmp_path / "r.json").read_text())
    assert results["counters"] == str(tmp_path / "top.counters.json")
    # The address port can reach every counter.
    (width,) = re.findall(r"input \[(\d+):0\] counter_address;", path.read_text())
    assert len(names) <= 2 ** (int(width) + 1)


def test_the_same_configuration_gives_the_same_file(neardecode, tmp_path):
    for name in ("a.sv", "b.sv"):
        neardecode("verilog", "router", "--config", "tiny", "-o", tmp_path / name)
    assert (tmp_path / "a.sv").read_bytes() == (tmp_path / "b.sv").read_bytes()
