import json
from pathlib import Path

import pytest
from tokenizers import pre_tokenizers

from neardecode_testbench.reference.gguf_model import GgufFile, ModelError
from neardecode_testbench.reference.tokenizer import ByteTokenizer, GgufTokenizer, Tokenizer

NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
MERGES = ["h e", "l l", "he ll", "hell o", "1 2", "12 3", "Ġ hello", "4 5", "45 6"]
WHOLE = "world"
TOKENS = [
    "<|endoftext|>",
    "<|im_end|>",
    "<s>",
    "<tag>",
    *sorted(pre_tokenizers.ByteLevel.alphabet()),
    *(merge.replace(" ", "") for merge in MERGES),
    WHOLE,
]
TYPES = [CONTROL, CONTROL, CONTROL, USER_DEFINED] + [NORMAL] * (len(TOKENS) - 4)
TEXTS = [
    "",
    " ",
    "hello hello  hello",
    "Prices: 123456 or 1,234.56!\r\n\r\n\tDon't  we'll ",
    "naïve Ærøskøbing Straße — “quotes”",
    "日本語とエモジ 🙂🏳️‍🌈 العربية",
    "\x00\x01\x7f\ufffd",
]


@pytest.fixture
def bpe(write_gguf):
    """A byte-level tokenizer, with some keys of its file replaced."""

    def build(pre: str = "smollm", **keys) -> GgufTokenizer:
        metadata = {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": pre,
            "tokenizer.ggml.tokens": TOKENS,
            "tokenizer.ggml.token_type": TYPES,
            "tokenizer.ggml.merges": MERGES,
            "tokenizer.ggml.bos_token_id": 2,
            "tokenizer.ggml.eos_token_id": 2,
        }
        changes = {f"tokenizer.ggml.{key}": value for key, value in keys.items()}
        return GgufTokenizer(GgufFile(write_gguf(metadata | changes)))

    return build


@pytest.fixture(scope="module")
def sentencepiece():
    return json.loads((Path(__file__).parent / "sentencepiece.json").read_text("utf-8"))


@pytest.fixture
def spm(write_gguf, sentencepiece):
    def build(**keys) -> GgufTokenizer:
        metadata = {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": sentencepiece["tokens"],
            "tokenizer.ggml.scores": sentencepiece["scores"],
            "tokenizer.ggml.token_type": sentencepiece["types"],
            "tokenizer.ggml.bos_token_id": 1,
            "tokenizer.ggml.eos_token_id": 2,
            "tokenizer.ggml.unknown_token_id": 0,
        }
        changes = {f"tokenizer.ggml.{key}": value for key, value in keys.items()}
        return GgufTokenizer(GgufFile(write_gguf(metadata | changes)))

    return build


def pieces(tokenizer: GgufTokenizer, text: str) -> list[str]:
    return [TOKENS[token] for token in tokenizer.encode(text)]


@pytest.mark.parametrize("pre", ["smollm", "gpt-2", "llama-bpe", "smaug-bpe", "qwen2"])
@pytest.mark.parametrize("text", TEXTS)
def test_byte_level_decodes_what_it_encodes(bpe, pre, text):
    tokenizer: Tokenizer = bpe(pre)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize(
    ("pre", "expected"),
    [
        ("smollm", ["1", "2", "3", "4", "5", "6"]),
        ("gpt-2", ["123", "456"]),
        ("smaug-bpe", ["123", "456"]),
        ("qwen2", ["1", "2", "3", "4", "5", "6"]),
    ],
)
def test_families_differ_in_digits(bpe, pre, expected):
    assert pieces(bpe(pre), "123456") == expected


def test_llama3_groups_digits_by_three_from_the_left(bpe):
    assert pieces(bpe("smaug-bpe"), "12345") == ["123", "45"]
    # Grouped as 012 and 3, so that 123 never meets.
    assert pieces(bpe("smaug-bpe"), "0123") == ["0", "12", "3"]
    assert pieces(bpe("gpt-2"), "0123") == ["0", "123"]


def test_merges_in_the_order_of_their_ranks(bpe):
    assert pieces(bpe(), "hello hellx") == ["hello", "Ġ", "hell", "x"]
    assert pieces(bpe(), "hello hello") == ["hello", "Ġhello"]


def test_llama3_takes_a_word_that_is_a_token_without_merges(bpe):
    assert pieces(bpe("llama-bpe", add_bos_token=False), "world") == ["world"]
    assert pieces(bpe("smaug-bpe"), "world") == list("world")


def test_control_and_user_defined_tokens_are_recognised_whole(bpe):
    text = "hello<|im_end|><tag>hello<s>"
    assert pieces(bpe(), text) == ["hello", "<|im_end|>", "<tag>", "hello", "<s>"]


def test_decoding_leaves_control_tokens_out_and_user_defined_in(bpe):
    tokenizer = bpe()
    assert tokenizer.decode(tokenizer.encode("hello<|im_end|><tag>")) == "hello<tag>"


def test_a_cut_character_decodes_to_the_replacement_character(bpe):
    tokenizer = bpe()
    assert tokenizer.decode(tokenizer.encode("é")[:1]) == "\ufffd"


def test_lone_surrogates_become_question_marks(bpe):
    assert pieces(bpe(), "hello\udcff") == ["hello", "?"]
    assert ByteTokenizer().encode("a\udcff") == list(b"a?")


def test_beginning_of_text_leads_where_the_file_or_the_family_says(bpe):
    assert pieces(bpe(), "hello") == ["hello"]
    assert pieces(bpe(add_bos_token=True), "hello") == ["<s>", "hello"]
    assert pieces(bpe("llama-bpe"), "hello") == ["<s>", "hello"]
    assert pieces(bpe("llama-bpe", add_bos_token=False), "hello") == ["hello"]


def test_stops_are_named_by_keys_or_known_by_name(bpe):
    assert bpe().stops == {0, 1, 2}
    assert bpe(eos_token_id=None, eot_token_id=7).stops == {0, 1, 7}
    assert bpe(eos_token_id=None, token_type=[NORMAL] * len(TOKENS)).stops == frozenset()


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"model": "t5"}, "tokenizer 't5' is not supported, only 'gpt2' and 'llama' are"),
        ({"model": None}, "metadata tokenizer.ggml.model is missing"),
        ({"tokens": None}, "metadata tokenizer.ggml.tokens is missing"),
        ({"tokens": "abc"}, "tokenizer.ggml.tokens must be an array, not 'abc'"),
        ({"pre": None}, "metadata tokenizer.ggml.pre is missing"),
        ({"token_type": TYPES[1:]}, f"{len(TOKENS)} tokens have {len(TOKENS) - 1} types"),
        ({"merges": ["a b c"]}, "a merge must be of two tokens, not 'a b c'"),
        (
            {"add_bos_token": True, "bos_token_id": None},
            "metadata tokenizer.ggml.bos_token_id is missing",
        ),
        (
            {"add_bos_token": True, "bos_token_id": 5000},
            "the beginning-of-text token 5000 is not in the vocabulary",
        ),
    ],
)
def test_byte_level_refuses_a_file_that_does_not_fit(bpe, keys, line):
    with pytest.raises(ModelError) as caught:
        bpe(**keys)
    assert str(caught.value).endswith(f"model.gguf: {line}")


def test_refuses_an_unknown_pre_tokenizer_and_names_the_known(bpe):
    with pytest.raises(ModelError, match=r"pre-tokenizer 'falcon' is not supported, supported are"):
        bpe("falcon")


def test_refuses_merges_of_tokens_that_do_not_exist(bpe):
    with pytest.raises(ModelError, match=r"the tokenizer contradicts itself \(.*\)$"):
        bpe(merges=["q u"])


def test_sentencepiece_gives_the_ids_of_its_own_library(spm, sentencepiece):
    tokenizer = spm()
    for text, ids in sentencepiece["cases"]:
        assert tokenizer.encode(text) == [1, *ids]
        assert tokenizer.decode([1, *ids]) == text


def test_sentencepiece_falls_back_to_bytes(spm, sentencepiece):
    ids = spm(add_space_prefix=False).encode("日")
    assert [sentencepiece["tokens"][token] for token in ids[1:]] == ["<0xE6>", "<0x97>", "<0xA5>"]


def test_sentencepiece_puts_a_space_first_unless_told_otherwise(spm):
    assert spm().encode("the") == spm(add_space_prefix=False).encode(" the")
    without = spm(add_space_prefix=False)
    assert without.decode(without.encode(" the")) == " the"


def test_sentencepiece_leads_unless_told_otherwise(spm):
    assert spm(add_bos_token=False).encode("the") == spm().encode("the")[1:]


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"scores": [0.5]}, "600 tokens have 1 scores"),
        ({"unknown_token_id": 600}, "the unknown token 600 is not in the vocabulary"),
    ],
)
def test_sentencepiece_refuses_a_file_that_does_not_fit(spm, keys, line):
    with pytest.raises(ModelError, match=f"{line}$"):
        spm(**keys)


@pytest.mark.parametrize("text", TEXTS)
def test_bytes_are_tokens(text):
    tokenizer: Tokenizer = ByteTokenizer()
    ids = tokenizer.encode(text)
    assert ids == list(text.encode())
    assert tokenizer.decode(ids) == text
    assert tokenizer.stops == frozenset()


def test_byte_tokenizer_replaces_what_is_not_utf8_and_refuses_what_is_not_a_byte():
    assert ByteTokenizer().decode([0xFF, 0x41]) == "\ufffdA"
    with pytest.raises(ValueError, match=r"range\(0, 256\)"):
        ByteTokenizer().decode([256])
