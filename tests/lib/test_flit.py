import pytest
from amaranth.hdl import Shape, Signal

from neardecode.lib import FlitKind, FlitLayout, HeaderLayout


def widths(layout):
    return {name: field.width for name, field in layout}


def test_a_flit_is_a_word_and_a_bit_beside_it():
    layout = FlitLayout(64, 5, 3)
    assert widths(layout) == {"word": 64, "tail": 1}
    assert (layout.word_bits, layout.addresses, layout.ports) == (64, 5, 3)


def test_the_header_lies_in_the_first_word_and_what_is_left_of_it_is_payload():
    layout = FlitLayout(64, 5, 3)
    assert widths(layout.header) == {"port": 3, "destination": 3, "source": 3, "kind": 4}
    assert widths(layout.first) == {"header": 13, "payload": 51, "tail": 1}
    assert layout.first.size == layout.size
    assert layout.payload_bits == 51


def test_a_layout_is_made_for_a_payload():
    layout = FlitLayout.for_payload(96, 5, 3)
    assert (layout.payload_bits, layout.word_bits) == (96, 109)


def test_one_address_needs_no_bits():
    assert widths(HeaderLayout(1, 1)) == {"port": 1, "destination": 0, "source": 0, "kind": 4}


def test_layouts_of_the_same_parameters_are_equal():
    assert FlitLayout(64, 4, 2) == FlitLayout(64, 4, 2)
    assert FlitLayout(64, 4, 2) != FlitLayout(65, 4, 2)


def test_names_kinds():
    first = Signal(FlitLayout(64, 4, 2).first)
    assert first.header.kind.shape() is FlitKind
    assert Shape.cast(FlitKind).width == 4


@pytest.mark.parametrize("parameter", ["word_bits", "addresses", "ports"])
@pytest.mark.parametrize("number", [0, -1, 1.5, "4", None])
def test_refuses_a_number_that_is_no_positive_integer(parameter, number):
    with pytest.raises(ValueError, match=f"{parameter} must be a positive integer, not {number!r}"):
        FlitLayout(**{parameter: number})


def test_refuses_a_word_that_does_not_hold_its_header():
    with pytest.raises(ValueError, match="word_bits must hold a header of 13 bits, not 12"):
        FlitLayout(12, 5, 3)
