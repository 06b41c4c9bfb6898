import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neardecode.config import PRESETS, Config, ConfigError, dumps, load, loads

SECTIONS = ("flash", "compute", "fabric", "decode")


def refusal(text):
    with pytest.raises(ConfigError) as caught:
        loads(text, name="c.toml")
    return str(caught.value)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_comes_back_out_of_its_toml(name):
    assert loads(dumps(PRESETS[name])) == PRESETS[name]
    assert load(name) == PRESETS[name]


@pytest.mark.parametrize("name", PRESETS)
def test_toml_has_every_key_written_out(name):
    document = tomllib.loads(dumps(PRESETS[name]))
    left_out = {key for key in ("stack", "decoder") if getattr(PRESETS[name], key) is None}
    assert document.keys() == Config.model_fields.keys() - left_out
    for section in SECTIONS:
        model = getattr(PRESETS[name], section)
        present = [key for key in type(model).model_fields if getattr(model, key) is not None]
        assert list(document[section]) == present


def test_empty_text_is_the_defaults():
    assert loads("") == Config()


def test_keys_left_out_keep_their_defaults():
    config = loads("clock_ghz = 1\n[flash]\nchannels = 2\n")
    assert config.clock_ghz == 1.0
    assert config.flash.channels == 2
    assert config.flash.dies == Config().flash.dies
    assert config.compute == Config().compute


KNOWN_FLASH = (
    "channels, dies, banks_a_die, page_bytes, beat_bytes, pages_a_bank, queue_pages, sense_ns,"
    " program_ns, erase_ns, ecc, repair, host"
)
KNOWN_TOP = ", ".join(Config.model_fields)


@pytest.mark.parametrize(
    ("text", "place", "key", "known"),
    [
        ("colour = 1\n", "1:1", "colour", KNOWN_TOP),
        ("clock_ghz = 1.0\n\n  colour = 1\n", "3:3", "colour", KNOWN_TOP),
        ("[flash]\nchannels = 2\nchanels = 4\n", "3:1", "flash.chanels", KNOWN_FLASH),
        ("[flash]\n\t chanels = 4\n", "2:3", "flash.chanels", KNOWN_FLASH),
        ("[ flash ] # here\nchanels = 4\n", "2:1", "flash.chanels", KNOWN_FLASH),
        ('["flash"]\nchanels = 4\n', "2:1", "flash.chanels", KNOWN_FLASH),
        ("flash.chanels = 4\n", "1:1", "flash.chanels", KNOWN_FLASH),
        ('flash . "chanels" = 4\n', "1:1", "flash.chanels", KNOWN_FLASH),
        ("clock_ghz = 1.0\nflash.channels = 2\nflash.chanels = 4", "3:1", "flash.chanels",
         KNOWN_FLASH),
        ("\nflash = { channels = 2, chanels = 4 }\n", "2:1", "flash.chanels", KNOWN_FLASH),
        ("clock_ghz = 1.0\n[memory]\nsize = 1\n", "2:2", "memory", KNOWN_TOP),
        ("[flash]\ndies = 1\n[flash.timing]\nread = 1\n", "3:2", "flash.timing", KNOWN_FLASH),
        ("flash.timing.read = 1\n", "1:1", "flash.timing", KNOWN_FLASH),
        ("# chanels = 1\n[flash]\n# chanels = 2\nchanels = 3", "4:1", "flash.chanels",
         KNOWN_FLASH),
        ("[compute]\nrows = 16\n[flash]\nrows = 16\n", "4:1", "flash.rows", KNOWN_FLASH),
        ("# a\u2028b\x85c\n[flash]\nchanels = 4\n", "3:1", "flash.chanels", KNOWN_FLASH),
    ],
)  # fmt: skip
def test_an_unknown_key_is_refused_by_name_and_place(text, place, key, known):
    assert refusal(text) == f"c.toml:{place}: unknown key '{key}'; known here: {known}"


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("flash.dies = 3", "1:1", "flash: dies must be a power of two, not 3"),
        ("[flash]\nbanks_a_die = 12", "2:1", "flash: banks_a_die must be a power of two, not 12"),
        ("[flash]\npages_a_bank = 100", "2:1", "flash: pages_a_bank must be a power of two,"
         " not 100"),
        ("[flash]\n\npage_bytes = 5000", "3:1", "flash: page_bytes must be a power of two,"
         " not 5000"),
        ("[flash]\nbeat_bytes = 48", "2:1", "flash: beat_bytes must be a power of two, not 48"),
        ("[flash]\nbeat_bytes = 16", "2:1", "flash: beat_bytes must be at least 32, not 16"),
        ("[flash]\ndies = 1\npage_bytes = 128", "3:1",
         "flash: page_bytes must be at least four beats of 64, not 128"),
        ("[compute]\nblocks_a_row = 24", "2:1",
         "compute: blocks_a_row must be a power of two, not 24"),
        ("[compute]\nrows = 1000", "2:1", "compute: rows must be a power of two, not 1000"),
        ("[compute]\nrows = 16\naccumulator_bits = 24", "3:1",
         "compute: accumulator_bits must leave at least 2 integer bits to a block's term, but 24"
         " bits less 10 for 1024 blocks a row less 20 fraction bits do not"),
        ("[fabric]\nlink_latency = 2\npayload_bits = 80", "3:1",
         "configuration: fabric.payload_bits must hold a slice's result of 82 bits, not 80"),
        ("[compute]\nblocks_a_row = 1", "2:1",
         "configuration: compute.blocks_a_row must be whole beats of 2 blocks, not 1"),
        ("clock_ghz = 2.0\n[flash]\nsense_ns = 1.0", "3:1",
         "configuration: flash.sense_ns must be at least 3 cycles of 2.0 GHz, not 1.0"),
        ("clock_ghz = 1e-4", "1:1",
         "configuration: flash.sense_ns must be at least 3 cycles of 0.0001 GHz, not 4000.0"),
    ],
)  # fmt: skip
def test_a_rule_between_keys_names_key_value_and_expectation(text, place, reason):
    assert refusal(text) == f"c.toml:{place}: {reason}"


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("[flash]\nchannels = '2'", "2:1", "flash.channels = '2': Input should be a valid integer"),
        ("[flash]\nchannels = 2.0", "2:1", "flash.channels = 2.0: Input should be a valid integer"),
        ("[flash]\nchannels = true", "2:1",
         "flash.channels = True: Input should be a valid integer"),
        ("clock_ghz = '1.6'", "1:1", "clock_ghz = '1.6': Input should be a valid number"),
        ("clock_ghz = nan", "1:1",
         "clock_ghz = nan: Input should be less than or equal to 10"),
        ("[flash]\nsense_ns = inf", "2:1",
         "flash.sense_ns = inf: Input should be less than or equal to 1000000"),
        ("[flash]\nchannels = 17", "2:1",
         "flash.channels = 17: Input should be less than or equal to 16"),
        ("[decode]\ncontext = 0", "2:1",
         "decode.context = 0: Input should be greater than or equal to 1"),
        ("[decode]\nmodel = 3", "2:1", "decode.model = 3: Input should be a valid string"),
        ("[decode]\nbackend = 'vcs'", "2:1",
         "decode.backend = 'vcs': Input should be 'native', 'verilator', 'icarus' or 'amaranth'"),
        ("\nflash = 3", "2:1",
         "flash = 3: Input should be a valid dictionary or instance of Flash"),
        ("\n[[flash]]\nchannels = 2", "2:3",
         "flash = [{'channels': 2}]: Input should be a valid dictionary or instance of Flash"),
        ("[clock_ghz]\nx = 1", "1:2", "clock_ghz: Input should be a valid number"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_key_value_and_expectation(text, place, reason):
    assert refusal(text) == f"c.toml:{place}: {reason}"


@pytest.mark.parametrize(
    "text", ["[flash", "clock_ghz = ", "clock_ghz = 1\nclock_ghz = 2", "= 1", "\ufeff", "a = 1 b"]
)
def test_what_is_not_toml_is_refused_with_its_place(text):
    message = refusal(text)
    assert message.startswith("c.toml: not TOML: ")
    assert "line " in message or "end of document" in message


@pytest.mark.parametrize("text", ["a = " + 100_000 * "[", "a = " + 5000 * "1"])
def test_what_the_parser_gives_up_on_is_refused(text):
    assert refusal(text).startswith("c.toml: cannot be read: ")


def test_neither_a_preset_nor_a_file_names_the_presets(tmp_path):
    path = tmp_path / "none.toml"
    for source in (path, str(path)):
        with pytest.raises(ConfigError) as caught:
            load(source)
        assert str(caught.value) == (f"{path}: neither a preset ({', '.join(PRESETS)}) nor a file")


def test_a_file_is_loaded_and_named(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(dumps(PRESETS["tiny"]))
    assert load(path) == load(str(path)) == PRESETS["tiny"]
    path.write_text("[flash]\nchanels = 1\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}:2:1: unknown key 'flash.chanels'")


def test_a_folder_and_a_file_that_is_not_utf8_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be read: .*Is a directory"):
        load(tmp_path)
    path = tmp_path / "latin1.toml"
    path.write_bytes(b"# \xe9\n")
    with pytest.raises(ConfigError, match=r"cannot be read: .*codec can't decode"):
        load(path)


def test_a_preset_hides_a_file_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").write_text("clock_ghz = 2.0")
    assert load("tiny") == PRESETS["tiny"]
    assert load("./tiny").clock_ghz == 2.0


# Texts that are nearly configurations: tables, dotted, quoted and unknown keys, odd values.
_names = st.sampled_from(
    [*SECTIONS, "channels", "dies", "rows", "clock_ghz", "timing", "x", '"flash"', "' a'", '"a.b"']
)
_keys = st.lists(_names, min_size=1, max_size=3).map(".".join)
_values = st.sampled_from(
    ["1", "2", "0", "-1", "1.5", "inf", "nan", "true", "'x'", '""', "[]", "[1, 'a']", "{}",
     "{ channels = 2 }", "{ x = 1 }", "1979-05-27", '"""\n[flash]\nx = 1\n"""', "0x10", ""]
)  # fmt: skip
_lines = st.one_of(
    st.tuples(_keys, _values).map(" = ".join),
    _keys.map(lambda key: f"[{key}]"),
    _keys.map(lambda key: f"[[ {key} ]]"),
    st.text(max_size=12),
)


def _accepted_or_refused_in_one_line(text):
    try:
        config = loads(text, name="c.toml")
    except ConfigError as error:
        message = str(error)
    else:
        assert isinstance(config, Config)
        return
    assert message.startswith("c.toml:")
    assert "\n" not in message


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.text())
def test_any_text_is_accepted_or_refused_in_one_line(text):
    _accepted_or_refused_in_one_line(text)


@settings(derandomize=True, deadline=None, max_examples=400)
@given(st.lists(_lines, max_size=5).map("\n".join))
def test_anything_like_a_configuration_is_accepted_or_refused_in_one_line(text):
    _accepted_or_refused_in_one_line(text)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    st.integers(0, 5),
    st.text(alphabet="abcdefghij_", min_size=1, max_size=8),
    st.sampled_from(SECTIONS),
    st.integers(0, 4),
)
def test_an_unknown_key_is_found_wherever_it_stands(blank_lines, key, section, indent):
    if key in type(getattr(Config(), section)).model_fields:
        return
    lines = [f"[{section}]", *[""] * blank_lines, f"{' ' * indent}{key} = 1"]
    assert refusal("\n".join(lines)).startswith(
        f"c.toml:{len(lines)}:{indent + 1}: unknown key '{section}.{key}'; known here: "
    )
