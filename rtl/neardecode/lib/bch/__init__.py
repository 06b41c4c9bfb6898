"""A BCH codec for flash pages: encoder, syndromes, key equation, Chien search, decoder."""

from .chien import ChienSearch
from .code import BchCode
from .decoded import Decoded, decode
from .decoder import BchDecoder, DecoderCause
from .encoder import BchEncoder
from .field import GaloisField
from .key_equation import KeyEquation
from .syndromes import Syndromes

__all__ = [
    "BchCode",
    "BchDecoder",
    "BchEncoder",
    "ChienSearch",
    "Decoded",
    "DecoderCause",
    "GaloisField",
    "KeyEquation",
    "Syndromes",
    "decode",
]
