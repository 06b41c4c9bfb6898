import json
import re

import pytest
from tests.cli.test_explain import PROJECT, SMALL


def cells(html, table):
    """The cells of a table of a page, by what their row is of."""
    body = re.search(rf'<table id="{table}">(.*?)</table>', html, re.DOTALL)
    assert body is not None
    return {
        of: dict(re.findall(r'data-key="(.*?)">(.*?)</td>', row))
        for of, row in re.findall(r'<tr data-of="(.*?)">(.*?)</tr>', body[1], re.DOTALL)
    }


def test_a_page_tells_of_a_projection_its_limits_and_an_experiment(neardecode, in_folder):
    (in_folder / "config.json").write_text(json.dumps(SMALL))
    neardecode(*PROJECT, "--model", "config.json", "--json", "run.json")
    neardecode("explain", "run.json", "--jobs", "1", "--json", "told.json")
    neardecode("experiment", "yield", "--draws", "100", "--json", "yield.json")
    result = neardecode("report", "run.json", "told.json", "yield.json", "-o", "page.html")
    assert (result.status, result.err) == (0, "")
    html = (in_folder / "page.html").read_text()
    run, told = (json.loads((in_folder / f"{name}.json").read_text()) for name in ("run", "told"))
    causes = cells(html, "causes")
    assert causes["busy"]["cycles"] == f"{run['causes']['busy']:,.0f}"
    costs = cells(html, "costs")
    assert list(costs) == [cost["limit"] for cost in told["costs"]]
    assert costs[told["limit"]]["share"] == f"{told['costs'][0]['share']:.2%}"
    assert f"Limited by {told['limit']}" in html
    assert "agree with the closed form" in html


@pytest.mark.parametrize("zero", [{"walked": {}}, {"costs": []}, {"front": [], "results": "no"}])
def test_refuses_half_of_a_result(neardecode, in_folder, zero):
    (in_folder / "half.json").write_text(json.dumps(zero))
    assert "half.json" in neardecode("report", "half.json").complaint
