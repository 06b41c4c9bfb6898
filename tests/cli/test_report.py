import json
import re
import shutil
import subprocess

import pytest
from tests.cli.conftest import run

AREAS = {
    "library": "osu018_stdcells",
    "blocks": [
        {
            "name": "mesh_router",
            "parameters": {"config": "demo", "set": ["fabric.buffer_flits=7"]},
            "kge": 21.6263,
            "kge_high": 27.2,
            "flip_flops": 2404,
            "sram_bits": 0,
            "area_um2": 480123.0,
            "fmax_mhz": 402.7,
            "longest_path": {
                "unit": "mesh_router",
                "delay_ns": 2.483,
                "path": [
                    {"net": "count[1]", "source": "fabric/credit.py:35", "time_ns": 0.2051},
                    {"net": "outputs__valid", "source": "", "time_ns": 2.3},
                ],
            },
        },
        {
            "name": "chip",
            "parameters": {"config": "tiny", "set": []},
            "kge": 500.0,
            "kge_high": 612.5,
            "flip_flops": 40000,
            "sram_bits": 65536,
            "parts": [
                {"name": "chip.slices.channel0.slice", "count": 2, "kge": 190.25, "sram_bits": 0},
                {
                    "name": "chip.slices.channel0.<flash>",
                    "count": 2,
                    "kge": 18.2,
                    "sram_bits": 65536,
                },
            ],
        },
    ],
    "failed": [
        {
            "name": "softmax",
            "parameters": {"config": "hbf16", "set": []},
            "error": "cells that have no area: $_DLATCH_P_",
        }
    ],
}
POINT = {"block": "router", "kge_high": 30.0, "sram_bits": 0, "fmax_mhz": 200.0}
SWEEPS = {
    "sweeps": {"flits": [{"value": 2, "kge": 10.0, **POINT}, {"value": 4, "kge": 20, **POINT}]}
}
RUN = {
    "config": "decoder-tiny",
    "chips": 1,
    "positions": 2,
    "cycles": 1000,
    "bound_a_token": 450.0,
    "steps": [{"cycles": 400}, {"cycles": 600}],
    "blocks": {
        "flash0": {"busy": 750, "stalls": {"sense": 200, "idle": 50}},
        **{
            name: {"busy": 500, "stalls": {"idle": 500}}
            for name in (
                *("decoder", "flash1", "slice0", "slice1"),
                *("vault0", "vault1", "attention_slice0", "attention_slice1"),
            )
        },
    },
    "events": {
        "flash0": {"senses": 100, "hits": 0, "pages": 100, "beats": 1600},
        "vault0": {"reads": 64, "writes": 16, "activates": 8},
    },
}
# Pages of 1024 bytes and beats of 64.
SENSED, MOVED = 100 * 8192 / 2, 80 * 512 / 2


@pytest.fixture
def results(tmp_path):
    files = []
    for name, contents in (("areas", AREAS), ("sweeps", SWEEPS), ("run", RUN)):
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(json.dumps(contents))
    return files


def cell(text, table, of, key):
    """A figure of the page."""
    (body,) = re.findall(rf'<table id="{table}">(.*?)</table></div>', text, re.S)
    (row,) = re.findall(rf'<tr data-of="{re.escape(of)}">(.*?)</tr>', body, re.S)
    (value,) = re.findall(rf'<td data-key="{key}"[^>]*>(.*?)</td>', row)
    return value


def assert_figures(text):
    router = "mesh_router demo buffer_flits=7"
    assert cell(text, "area", router, "kge") == "21.6"
    assert cell(text, "area", router, "area_um2") == "480,123"
    assert cell(text, "area", "chip tiny", "fmax_mhz") == ""
    assert cell(text, "paths", router, "delay_ns") == "2.48"
    path = "count[1] (fabric/credit.py:35) at 0.21 ns, outputs__valid at 2.30 ns"
    assert cell(text, "paths", router, "path") == path
    assert cell(text, "parts", "chip.slices.channel0.slice", "total") == "380.5"
    assert cell(text, "cycles", "flash0", "busy") == "75.0%"
    assert cell(text, "energy", "dram", "middle") == f"{MOVED * 3.45e-6:,.3f}"
    assert cell(text, "energy", "tsv", "low") == f"{(SENSED + MOVED) * 0.01e-6:,.3f}"
    assert "chip.slices.channel0.&lt;flash&gt;" in text
    assert "softmax hbf16 failed: cells that have no area: $_DLATCH_P_" in text
    # A sweep's parameter; a run's roofline, stalls and timeline.
    assert text.count("<figure><svg") == 4


def test_a_report_has_every_figure_and_nothing_outside_it(results, tmp_path):
    page = tmp_path / "report.html"
    assert run("report", *results, "-o", page).status == 0
    text = page.read_text()
    assert_figures(text)
    # Names of formats inside the drawing are no addresses that are fetched.
    assert not re.search(
        r'(?:src|href)="(?!#)(?!data:)', re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    )


def test_a_browser_shows_the_figures(results, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("Chromium is not installed (Debian: apt install chromium)")
    page = tmp_path / "report.html"
    assert run("report", *results, "-o", page).status == 0
    shown = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert_figures(shown.stdout)


@pytest.mark.parametrize(
    ("contents", "complaint"),
    [
        ("{}", "of no command that a report tells of"),
        ("[", "is not what a command wrote"),
        ('{"blocks": [{}]}', "is not what a command wrote: 'parameters'"),
        (json.dumps({**RUN, "events": {}}), "has no events of a flash channel"),
        (json.dumps({**RUN, "events": {"flash0": {"senses": 0}}}), "no bit was moved"),
    ],
)
def test_what_no_command_wrote_is_refused(tmp_path, contents, complaint):
    file = tmp_path / "results.json"
    file.write_text(contents)
    assert complaint in run("report", file, "-o", tmp_path / "r.html").complaint
    assert not (tmp_path / "r.html").exists()


def test_several_chips_take_as_much_as_all_of_them(tmp_path):
    def energy(name, **parts):
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps({**RUN, **parts}))
        return json.loads(run("energy", file, "--json", "-").out)["components"]

    blocks = {**RUN["blocks"], "link0": {"busy": 300, "stalls": {}}}
    one = energy("one", blocks=blocks)
    two = energy(
        "two",
        **{
            key: {f"chip{chip}_{name}": part for chip in (0, 1) for name, part in parts.items()}
            for key, parts in (("blocks", blocks), ("events", RUN["events"]))
        },
    )
    assert set(one) == {"flash", "dram", "tsv", "link"}
    for name, part in one.items():
        assert two[name]["bits"] == 2 * part["bits"] > 0


def test_each_sequence_side_by_side_has_its_token(tmp_path):
    def energy(name, **parts):
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps({**RUN, **parts}))
        return json.loads(run("energy", file, "--json", "-").out)["components"]

    one, two = energy("one"), energy("two", sequences=[{"tokens": [1]}, {"tokens": [2]}])
    for name in ("flash", "dram", "tsv"):
        assert two[name]["bits"] == one[name]["bits"] / 2


def test_energy_of_a_token_is_a_range_by_component(results):
    result = run("energy", results[2], "--json", "-")
    assert (result.status, result.err) == (0, "")
    energy = json.loads(result.out)
    flash = energy["components"]["flash"]
    assert flash["bits"] == SENSED
    # 8 mA at 1.8 V and 20 mA at 3 V for 25 us over 2048 bytes.
    assert flash["low"] == pytest.approx(SENSED * 8e-3 * 1.8 * 25e-6 / 16384)
    assert flash["high"] == pytest.approx(SENSED * 20e-3 * 3.0 * 25e-6 / 16384)
    for key in ("low", "middle", "high"):
        parts = [part[key] for part in energy["components"].values()]
        assert energy["energy_a_token"][key] == pytest.approx(sum(parts))
