"""The parser of Liberty files, and functions of pins."""

from itertools import product

import pytest

from neardecode_synth.liberty_file import compiled, inputs_of, numbers, parse

TEXT = """/* a comment { */
library("two words") {
  time_unit : "1ns"; // and one of a line {
  capacitive_load_unit (1,ff);
  cell (A) {
    area : 2.5;
    pin(Y) { direction : output; function : "(!(A B))";
      internal_power() { rise_power(t) { index_1 ("1, 2"); values ( \\
        "0.5, 1.5", \\
        "2.5, 3.5"); } } }
  }
}
"""


def test_groups_and_their_attributes():
    library = parse(TEXT)
    assert library is not None
    assert library.arguments == ["two words"]
    assert library.attributes == {"time_unit": "1ns", "capacitive_load_unit": ["1", "ff"]}
    (cell,) = library.all("cell")
    assert cell.number("area") == 2.5
    (pin,) = cell.all("pin")
    assert pin.attributes == {"direction": "output", "function": "(!(A B))"}
    (table,) = next(pin.all("internal_power")).all("rise_power")
    assert numbers(table, "index_1") == [[1.0, 2.0]]
    assert numbers(table, "values") == [[0.5, 1.5], [2.5, 3.5]]


def test_a_file_that_breaks_off_is_refused():
    with pytest.raises(ValueError, match="ends within a group"):
        parse(TEXT[: TEXT.index("area")])


def test_what_is_no_library_is_none():
    assert parse("nothing") is None


@pytest.mark.parametrize(
    ("function", "meaning"),
    [
        ("(!((A B)+C))", lambda a, b, c: not ((a and b) or c)),
        ("A' * B | !C", lambda a, b, c: (not a and b) or not c),
        ("(A^B)^C", lambda a, b, c: a ^ b ^ c),
        # An exclusive or binds before a product.
        ("A B^C", lambda a, b, c: a and (b ^ c)),
        ("A & (B + C)'", lambda a, b, c: a and not (b or c)),
        ("(A B) + (B C) + 0", lambda a, b, c: (a and b) or (b and c)),
    ],
)
def test_a_function_is_what_it_says_in_every_bit(function, meaning):
    assert inputs_of(function) == ["A", "B", "C"]
    run = compiled(function)
    for bits in product((0, 1), repeat=3):
        assert run(0, *(-bit for bit in bits)) & 1 == int(meaning(*bits))
        assert run(0, *(-bit for bit in bits)) >> 1 & 1 == int(meaning(*bits))


@pytest.mark.parametrize("function", ["A +", "(A", "A $ B", "A B)"])
def test_a_function_that_is_not_understood_is_refused(function):
    with pytest.raises(ValueError, match="is not understood"):
        compiled(function)
