"""The fields: their axioms, galois' numbers, and the products in hardware."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st

from neardecode.lib.bch.field import PRIMITIVE_POLYNOMIALS, GaloisField, linear

ELEMENT = st.integers(0, (1 << 14) - 1)
GF14 = GaloisField.of(14)


@pytest.mark.parametrize("m", PRIMITIVE_POLYNOMIALS)
def test_alpha_runs_through_every_element_but_zero(m):
    assert sorted(GaloisField.of(m).powers) == list(range(1, 1 << m))


def test_the_polynomials_are_galois_own():
    import galois

    for m, polynomial in PRIMITIVE_POLYNOMIALS.items():
        assert int(galois.matlab_primitive_poly(2, m)) == polynomial


@settings(derandomize=True)
@given(ELEMENT, ELEMENT, ELEMENT)
def test_the_axioms_of_a_field(a, b, c):
    multiply = GF14.multiply
    assert multiply(a, b) == multiply(b, a)
    assert multiply(multiply(a, b), c) == multiply(a, multiply(b, c))
    assert multiply(a, b ^ c) == multiply(a, b) ^ multiply(a, c)
    assert multiply(a, 1) == a
    if a:
        assert multiply(a, GF14.alpha(-GF14.logarithms[a])) == 1


@pytest.mark.parametrize("m", [3, 8, 14])
def test_products_equal_those_of_galois(m):
    import galois

    random = np.random.default_rng(m)
    field = galois.GF(
        2**m, irreducible_poly=galois.matlab_primitive_poly(2, m), compile="python-calculate"
    )
    a, b = random.integers(0, 1 << m, (2, 50))
    ours = [GaloisField.of(m).multiply(int(x), int(y)) for x, y in zip(a, b, strict=True)]
    assert ours == (field(a) * field(b)).tolist()


@pytest.mark.parametrize("m", [3, 8, 14])
def test_products_constants_and_squares_in_hardware_equal_the_integers(m):
    field = GaloisField.of(m)
    module = Module()
    a, b, times, square = Signal(m), Signal(m), Signal(m), Signal(m)
    constant = field.alpha(field.order // 3)
    product = field.product(module, a, b, "product")
    module.d.comb += [
        times.eq(linear(field.constant_columns(constant), a, m)),
        square.eq(linear(field.square_columns(), a, m)),
    ]
    random = np.random.default_rng(m)
    pairs = [(0, 5), (1, field.order), (field.order, field.order)]
    pairs += random.integers(0, 1 << m, (100, 2)).tolist()

    async def bench(context):
        for x, y in pairs:
            context.set(a, x)
            context.set(b, y)
            assert context.get(product) == field.multiply(x, y)
            assert context.get(times) == field.multiply(x, constant)
            assert context.get(square) == field.multiply(x, x)

    simulator = Simulator(module)
    simulator.add_testbench(bench)
    simulator.run()


def test_a_field_is_made_once():
    assert GaloisField.of(9) is GaloisField.of(9)


@pytest.mark.parametrize("m", [2, 17, 14.5])
def test_refuses_an_m_without_a_field(m):
    with pytest.raises(ValueError, match=f"m must be an integer from 3 to 16, not {m}"):
        GaloisField(m)
