import contextlib
import json
import os
import subprocess
import sys

import pytest
from tests.cli.conftest import SMALL

from neardecode_testbench.cli import sweep as command
from neardecode_testbench.experiments.runners import on_cluster
from neardecode_testbench.experiments.store import read_rows

SPEC = """
model = "config.json"
config = "decoder-tiny"
context = [64, 300]
axes."flash.sense_ns" = [50.0, 100.0, 200.0, 400.0]
axes."flash.channels" = [2, 4, 99]
"""
POINTS, FAILED = 24, 8
ENVIRONMENT = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}


@pytest.fixture
def spec(in_folder):
    (in_folder / "config.json").write_text(json.dumps(SMALL))
    (in_folder / "spec.toml").write_text(SPEC)
    return in_folder / "spec.toml"


@contextlib.contextmanager
def started(module, *options, says):
    """A process of Dask, once it says that it is there; yields it and the line."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.{module}", *options],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        yield process, next(line for line in process.stderr if says in line)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def cluster():
    """A scheduler on loopback with two workers: its address, and them."""
    alone = ("--host", "127.0.0.1", "--no-dashboard")
    with contextlib.ExitStack() as stack:
        given = started("dask_scheduler", *alone, "--port", "0", says="Scheduler at:")
        _, line = stack.enter_context(given)
        address = line.split()[-1]
        one = (address, "--nthreads", "1", "--no-nanny", *alone)
        workers = [
            stack.enter_context(started("dask_worker", *one, says="Registered to:"))[0]
            for _ in range(2)
        ]
        yield address, workers


def figures(rows):
    return {row["key"]: {name: row[name] for name in row if name != "key"} for row in rows}


def test_sweeps_and_goes_on_where_it_ended(neardecode, spec):
    written = ("--json", "sweep.json", "--plot", "front.png")
    result = neardecode("sweep", spec, "--jobs", "1", *written)
    assert (result.status, result.err) == (0, "")
    assert f"{POINTS} points, 0 of them from before, {FAILED} failed" in result.out
    assert "flash.channels" in result.out
    told = json.loads(spec.with_name("sweep.json").read_text())
    rows = read_rows(spec.with_suffix(".parquet"))
    assert len(rows) == told["points"] == POINTS
    assert len(told["failed"]) == FAILED
    fastest = max((row for row in rows if not row["error"]), key=lambda r: r["tokens_a_second"])
    assert fastest["key"] in {row["key"] for row in told["front"]}
    assert spec.with_name("front.png").read_bytes().startswith(b"\x89PNG")
    assert neardecode("report", "sweep.json").status == 0
    html = spec.with_name("report.html").read_text()
    assert html.count("<svg") == 1
    assert html.count('<tr data-of="') == len(told["front"]) + FAILED
    again = neardecode("sweep", spec, "--jobs", "1")
    assert f"{POINTS} points, {POINTS - FAILED} of them from before, {FAILED} failed" in again.out
    assert figures(read_rows(spec.with_suffix(".parquet"))) == figures(rows)


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_gives_the_same_though_a_worker_is_killed(neardecode, spec, cluster, monkeypatch):
    address, workers = cluster
    here, there = spec.with_name("here.parquet"), spec.with_name("there.parquet")
    assert neardecode("sweep", spec, "--jobs", "1", "--results", here).status == 0

    def with_a_death(points, scheduler):
        for count, row in enumerate(on_cluster(points, scheduler)):
            if count == 2:
                workers[0].kill()
            yield row

    monkeypatch.setattr(command, "on_cluster", with_a_death)
    result = neardecode("sweep", spec, "--scheduler", address, "--results", there)
    assert result.status == 0
    assert f"{POINTS} points, 0 of them from before, {FAILED} failed" in result.out
    workers[0].wait()
    assert workers[1].poll() is None
    assert figures(read_rows(there)) == figures(read_rows(here))


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--objective", "beauty"], "--objective beauty: none of"),
        (["--scheduler", "tcp://127.0.0.1:1", "--jobs", "2"], "--jobs: not with --scheduler"),
        (["--results", "/no/such/folder/x.parquet"], "its folder does not exist"),
    ],
)
def test_refuses_in_one_line(neardecode, spec, options, what):
    assert what in neardecode("sweep", spec, *options).complaint
