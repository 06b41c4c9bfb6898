import json

import pytest


@pytest.fixture
def model(in_folder, write_gguf):
    return write_gguf(in_folder / "model.gguf")


@pytest.fixture
def text(in_folder):
    path = in_folder / "text.txt"
    path.write_text("the quick brown fox jumps over the lazy dog " * 2, "utf-8")
    return path


def test_prints_the_figures_with_their_errors(neardecode, model, text):
    result = neardecode("accuracy", "--gguf", model, "--text", text, "--tokens", 40)
    assert result.status == 0, result.err
    for words in ("40 tokens of text.txt", "12 bits", "standard error", "no value saturated"):
        assert words in result.out


def test_json_says_what_was_measured(neardecode, model, text, in_folder):
    out = in_folder / "out.json"
    arguments = ("accuracy", "--gguf", model, "--text", text, "--json", out)
    result = neardecode(*arguments, "--tokens", 40, "--activation-bits", 9, "--window", 16)
    assert result.status == 0, result.err
    found = json.loads(out.read_text("utf-8"))
    assert found["tokens"] == 40
    assert found["window"] == 16
    assert found["activation_bits"] == 9
    assert found["text"] == str(text)
    assert found["saturations"] == 0
    assert found["saturations_by_step"] == {}
    assert found["perplexity_integer"] / found["perplexity_float32"] == pytest.approx(
        found["perplexity_ratio"]
    )
    assert 0.9 < found["perplexity_ratio"] < 1.1
    assert found["perplexity_ratio_error"] > 0
    assert 0.5 < found["argmax_agreement"] <= 1


def test_json_to_the_screen_is_all_there_is(neardecode, model, text):
    arguments = ("accuracy", "--gguf", model, "--text", text, "--tokens", 8, "--json", "-")
    assert json.loads(neardecode(*arguments).out)["tokens"] == 8


def test_continues_the_prompts_if_asked(neardecode, in_folder, write_gguf, text):
    model = write_gguf(in_folder / "model.gguf", context=128)
    out = in_folder / "out.json"
    arguments = ("accuracy", "--gguf", model, "--text", text, "--tokens", 4)
    result = neardecode(*arguments, "--greedy", 5, "--json", out)
    assert result.status == 0, result.err
    assert "Once upon a time" in result.out
    found = json.loads(out.read_text("utf-8"))["continuations"]
    assert len(found) == 5
    for row in found:
        assert row["tokens"] == 5
        assert 0 <= row["before_difference"] <= row["same"] <= 5


def test_a_run_that_saturated_says_so(neardecode, model, text, in_folder):
    config = in_folder / "narrow.toml"
    config.write_text("[compute]\naccumulator_bits = 24\nfraction_bits = 12\nblocks_a_row = 8\n")
    result = neardecode(
        "accuracy", "--gguf", model, "--text", text, "--tokens", 8, "--config", config
    )
    assert result.status == 0, result.err
    assert "values saturated" in result.out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--model", "smollm2-135m"), "--model and --gguf: give one of them"),
        (("--tokens", 999), "too few to predict 999"),
        (("--tokens", 8, "--window", 33), "--window 33: the model's context is 32"),
        (("--tokens", 8, "--greedy", 64), "--greedy 64: a prompt of"),
        (("--activation-bits", 17), "--activation-bits 17: Input should be less than"),
        (("--text", "absent.txt"), "absent.txt: No such file"),
        (("--json", "absent/out.json"), "absent/out.json: its folder does not exist"),
    ],
)
def test_refuses_in_one_line(neardecode, model, text, arguments, complaint):
    result = neardecode("accuracy", "--gguf", model, "--text", text, *arguments)
    assert complaint in result.complaint


def test_refuses_a_text_that_is_not_utf_8(neardecode, model, in_folder):
    path = in_folder / "text.bin"
    path.write_bytes(b"ab\xff")
    complaint = neardecode("accuracy", "--gguf", model, "--text", path).complaint
    assert complaint.endswith("text.bin: is not UTF-8 at byte 2")
