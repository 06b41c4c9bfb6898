"""Text to token ids and back, from the vocabulary inside a GGUF file.

Source: llama.cpp for which pre-tokenizer a ``tokenizer.ggml.pre`` name means, which tokens end a
text, and what the absence of a key means; the tokenisation itself is that of ``tokenizers``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers
from tokenizers import Tokenizer as TokenizersTokenizer

from neardecode_testbench.reference.gguf_model import GgufFile

__all__ = ["ByteTokenizer", "GgufTokenizer", "Tokenizer"]


class Tokenizer(Protocol):
    """Text to token ids and back."""

    @property
    def stops(self) -> frozenset[int]:
        """Tokens that end a text."""
        ...

    def encode(self, text: str) -> list[int]:
        """The ids of ``text``, led by the beginning-of-text token where the model wants one."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ``ids``; bytes that are not UTF-8 become U+FFFD."""
        ...


class ByteTokenizer:
    """A token is a byte of UTF-8."""

    stops: frozenset[int] = frozenset()

    def encode(self, text: str) -> list[int]:
        """The bytes of ``text``; a lone surrogate, which has none, becomes ``?``."""
        return list(text.encode("utf-8", "replace"))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the bytes ``ids``.

        Raises:
            ValueError: if an id is not a byte.
        """
        return bytes(ids).decode("utf-8", "replace")


@dataclass(frozen=True)
class _Family:
    """How byte-level BPE cuts a text into words before it merges inside each."""

    pattern: str | None = None
    """The regular expression of a word; GPT-2's if ``None``."""
    digits: bool = False
    """Whether each digit is a word, whatever the pattern."""
    whole_words: bool = False
    """Whether a word that is a token is taken as it is, even if no chain of merges leads to it."""
    leads: bool = False
    """Whether the beginning-of-text token leads where the file does not say."""


LLAMA3_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
GPT2 = _Family()
SMOLLM = _Family(digits=True)
LLAMA3 = _Family(LLAMA3_WORDS, whole_words=True, leads=True)
SMAUG = _Family(LLAMA3_WORDS)
QWEN2 = _Family(LLAMA3_WORDS.replace(r"\p{N}{1,3}", r"\p{N}"))
FAMILIES = {
    **dict.fromkeys(("gpt-2", "gpt2", "phi-2", "mpt", "olmo", "jais", "trillion"), GPT2),
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell"), SMOLLM),
    **dict.fromkeys(("exaone", "minerva-7b"), SMOLLM),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"), LLAMA3),
    **dict.fromkeys(("smaug-bpe", "dbrx"), SMAUG),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "megrez", "stablelm2"), QWEN2),
}
"""The family of each ``tokenizer.ggml.pre``."""

# Values of tokenizer.ggml.token_type.
CONTROL = 3
USER_DEFINED = 4

END_KEYS = tuple(f"tokenizer.ggml.{name}_token_id" for name in ("eos", "eot", "eom"))
END_NAMES = frozenset(
    {"<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|end|>"}
)
"""Control tokens that end a text whether or not a key names them."""


class GgufTokenizer:
    """The tokenizer of a GGUF file: byte-level BPE (``gpt2``) or SentencePiece BPE (``llama``).

    Control and user-defined tokens written out in a text become the one token; decoding leaves
    control tokens out. The beginning-of-text token leads where the file asks for one. An
    end-of-text token never follows, whatever the file says, since what is encoded here is there
    to be continued.

    Parameters:
        file: the GGUF file.

    Raises:
        ModelError: if the file has no tokenizer, one of a kind or with a pre-tokenizer that is
            not supported, or one that contradicts itself.
    """

    def __init__(self, file: GgufFile) -> None:
        kind = file.text("tokenizer.ggml.model")
        tokens = file.array("tokenizer.ggml.tokens")
        types = file.array("tokenizer.ggml.token_type")
        if len(types) != len(tokens):
            raise file.error(f"{len(tokens)} tokens have {len(types)} types")
        if kind == "gpt2":
            family = _family(file)
            tokenizer = _byte_level(file, tokens, family)
            leads = family.leads
        elif kind == "llama":
            tokenizer = _sentence_piece(file, tokens)
            leads = True
        else:
            raise file.error(f"tokenizer {kind!r} is not supported, only 'gpt2' and 'llama' are")
        # One call a kind, in the order of ids: added one by one they take seconds.
        tokenizer.add_special_tokens(_added(tokens, types, CONTROL))
        tokenizer.add_tokens(_added(tokens, types, USER_DEFINED))
        self._tokenizer = tokenizer

        self._first: list[int] = []
        if file.flag("tokenizer.ggml.add_bos_token", leads):
            first = file.integer("tokenizer.ggml.bos_token_id")
            if not 0 <= first < len(tokens):
                raise file.error(f"the beginning-of-text token {first} is not in the vocabulary")
            self._first = [first]

        ends = {file.integer(key) for key in END_KEYS if file.get(key) is not None}
        for token, (name, token_type) in enumerate(zip(tokens, types, strict=True)):
            if token_type == CONTROL and name in END_NAMES:
                ends.add(token)
        self.stops = frozenset(ends)

    def encode(self, text: str) -> list[int]:
        """The ids of ``text``, led by the beginning-of-text token where the file asks for one.

        A lone surrogate, which no encoding holds, becomes ``?``.
        """
        text = text.encode("utf-8", "replace").decode()
        return self._first + self._tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ``ids`` without control tokens; bytes that are not UTF-8 become U+FFFD.

        SentencePiece drops the space that it put before the first word, so a continuation is the
        decoded whole less the decoded prompt, not the decoding of the new tokens alone.
        """
        return self._tokenizer.decode(list(ids), skip_special_tokens=True)


def _added(tokens: Sequence[str], types: Sequence[int], wanted: int) -> list[AddedToken]:
    special = wanted == CONTROL
    return [
        AddedToken(name, special=special, normalized=False)
        for name, token_type in zip(tokens, types, strict=True)
        if token_type == wanted and name
    ]


def _family(file: GgufFile) -> _Family:
    pre = file.text("tokenizer.ggml.pre")
    if pre not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise file.error(f"pre-tokenizer {pre!r} is not supported, supported are {known}")
    return FAMILIES[pre]


def _byte_level(file: GgufFile, tokens: Sequence[str], family: _Family) -> TokenizersTokenizer:
    """Byte-level BPE with the merges of the file."""
    steps: list[pre_tokenizers.PreTokenizer] = []
    if family.digits:
        steps.append(pre_tokenizers.Digits(individual_digits=True))
    if family.pattern is not None:
        steps.append(pre_tokenizers.Split(Regex(family.pattern), "isolated"))
    gpt2_words = family.pattern is None
    steps.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=gpt2_words))

    merges = [tuple(merge.split(" ")) for merge in file.array("tokenizer.ggml.merges")]
    for merge in merges:
        if len(merge) != 2:
            raise file.error(f"a merge must be of two tokens, not {' '.join(merge)!r}")
    tokenizer = _bpe(file, tokens, merges, ignore_merges=family.whole_words)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _sentence_piece(file: GgufFile, tokens: Sequence[str]) -> TokenizersTokenizer:
    """SentencePiece's BPE: of all pairs whose concatenation is a token, the best score joins."""
    scores = file.array("tokenizer.ggml.scores")
    if len(scores) != len(tokens):
        raise file.error(f"{len(tokens)} tokens have {len(scores)} scores")
    unknown = file.integer("tokenizer.ggml.unknown_token_id", 0)
    if not 0 <= unknown < len(tokens):
        raise file.error(f"the unknown token {unknown} is not in the vocabulary")
    tokenizer = _bpe(
        file,
        tokens,
        _merges(tokens, scores),
        unk_token=tokens[unknown],
        fuse_unk=True,
        byte_fallback=True,
    )
    prefix = file.flag("tokenizer.ggml.add_space_prefix", True)
    steps: list[normalizers.Normalizer] = [normalizers.Prepend("\u2581")] if prefix else []
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("\u2581", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            *([decoders.Strip(" ", 1, 0)] if prefix else []),
        ]
    )
    return tokenizer


def _merges(tokens: Sequence[str], scores: Iterable[float]) -> list[tuple[str, str]]:
    """Every split of every token into two tokens, best score of the whole first."""
    vocabulary = set(tokens)
    ranked = sorted(zip(tokens, scores, strict=True), key=lambda scored: -scored[1])
    return [
        (token[:cut], token[cut:])
        for token, _ in ranked
        for cut in range(1, len(token))
        if token[:cut] in vocabulary and token[cut:] in vocabulary
    ]


def _bpe(
    file: GgufFile,
    tokens: Sequence[str],
    merges: Sequence[tuple[str, ...]],
    *,
    unk_token: str | None = None,
    fuse_unk: bool = False,
    byte_fallback: bool = False,
    ignore_merges: bool = False,
) -> TokenizersTokenizer:
    vocabulary = {token: number for number, token in enumerate(tokens)}
    try:
        model = models.BPE(
            vocab=vocabulary,
            merges=[(left, right) for left, right in merges],
            unk_token=unk_token,
            fuse_unk=fuse_unk,
            byte_fallback=byte_fallback,
            ignore_merges=ignore_merges,
        )
    # tokenizers raises plain Exception, for instance for a merge of tokens that do not exist.
    except Exception as error:
        raise file.error(f"the tokenizer contradicts itself ({error})") from error
    return TokenizersTokenizer(model)
