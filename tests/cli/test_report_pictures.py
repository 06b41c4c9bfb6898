"""What a report draws: roofline, stalls, timeline and latency over load, as PNG and SVG too."""

import json

from neardecode.config import PRESETS
from neardecode_testbench.report.drawings import run_drawings

PROJECT = ("project", "--config", "decoder-demo", "--context", "16")
TINY = PRESETS["decoder-tiny"]
PNG = b"\x89PNG"


def run(**changes):
    """What `decode --config decoder-tiny --json` writes, as far as it is drawn."""
    stalls = {"memory": 250, "idle": 250}
    names = ["decoder", "flash0", "flash1", "slice0", "slice1"]
    names += ["vault0", "vault1", "attention_slice0", "attention_slice1"]
    return {
        "config": "decoder-tiny",
        "chips": 1,
        "cycles": 1000,
        "bound_a_token": 450.0,
        "steps": [{"cycles": 400}, {"cycles": 600}],
        "blocks": {name: {"busy": 500, "stalls": stalls} for name in names},
        **changes,
    }


def test_a_projection_has_a_roofline_and_its_stalls(neardecode, in_folder):
    neardecode(*PROJECT, "--json", "run.json")
    result = neardecode("report", "run.json", "-o", "page.html", "--pictures", "drawn")
    assert (result.status, result.err) == (0, "")
    html = (in_folder / "page.html").read_text()
    assert html.count("<figure>") == 2
    assert "Roofline of a chip" in html
    names = sorted(path.name for path in (in_folder / "drawn").iterdir())
    assert names == [
        *("run-roofline.png", "run-roofline.svg", "run-stalls.png", "run-stalls.svg"),
    ]
    assert (in_folder / "drawn" / "run-stalls.png").read_bytes().startswith(PNG)


def test_no_point_of_a_projection_lies_above_its_roofs(neardecode, in_folder):
    neardecode(*PROJECT, "--json", "run.json")
    line = json.loads((in_folder / "run.json").read_text())["roofline"]
    for name, memory in (("weights", "flash buses"), ("keys and values", "vaults")):
        point = line["points"][name]
        rate = point["operations_a_second"] / point["operations_a_byte"]
        assert rate <= 1.0001 * line["bytes_a_second"][memory]


def test_a_decode_has_roofline_stalls_and_timeline():
    drawings = run_drawings(run(), TINY)
    assert list(drawings) == ["roofline", "stalls", "timeline"]
    for draw in drawings.values():
        assert draw("png").startswith(PNG)
        assert b"</svg>" in draw("svg")


def test_chips_and_sequences_are_a_chip_s_share_and_a_step():
    one, two = (run_drawings(run(**more), TINY) for more in ({}, {"sequences": [{}, {}]}))
    assert one["timeline"]("svg") != two["timeline"]("svg")
    assert run_drawings(run(chips=2), TINY)["roofline"]("png") != one["roofline"]("png")


def test_a_decode_without_a_decoder_has_its_stalls_alone():
    assert list(run_drawings(run(), PRESETS["demo"])) == ["stalls"]


def test_a_network_has_its_latency_over_load(neardecode, in_folder):
    point = {"load": 0.1, "offered": 0.1, "accepted": 0.1, "latency_mean": 12.0}
    network = {
        **{"topology": "mesh", "size": "4x4", "pattern": "uniform", "packet": 1},
        **{"zero_load_latency": 11.0, "saturation": 0.7, "sweep": [point, {**point, "load": 0.2}]},
    }
    (in_folder / "mesh.json").write_text(json.dumps(network))
    result = neardecode("report", "mesh.json", "-o", "page.html", "--pictures", "drawn")
    assert (result.status, result.err) == (0, "")
    assert (in_folder / "drawn" / "mesh-latency-load.svg").is_file()
    assert "saturates at 0.700" in (in_folder / "page.html").read_text()


def test_refuses_a_network_without_a_curve_and_a_folder_that_is_a_file(neardecode, in_folder):
    (in_folder / "one.json").write_text(json.dumps({"zero_load_latency": 11.0}))
    assert "one.json" in neardecode("report", "one.json").complaint
    (in_folder / "file").write_text("")
    refused = neardecode("report", "one.json", "--pictures", "file")
    assert refused.complaint == "--pictures: file is no folder"
