import json


def test_yields_are_printed_and_written(neardecode, in_folder):
    result = neardecode("experiment", "yield", "--draws", "100", "--json", "yield.json")
    assert (result.status, result.err) == (0, "")
    assert "agree with the closed form" in result.out
    rows = json.loads((in_folder / "yield.json").read_text())["rows"]
    assert all(row["agrees"] for row in rows)


def test_refuses_a_configuration_without_a_stack(neardecode):
    assert "has no stack" in neardecode("experiment", "yield", "--config", "hbf16").complaint


def test_refuses_chips_that_a_model_is_too_small_for_before_anything_is_built(neardecode):
    options = ("--model", "smollm2-135m", "--config", "decoder-demo", "--chips", "64")
    assert "64 chips are more than" in neardecode("experiment", "scaling", *options).complaint
