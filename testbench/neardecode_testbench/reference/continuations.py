"""Whether the integer decoder continues a prompt as the float32 one does."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from neardecode_testbench.reference.decoder import Decoder, generate
from neardecode_testbench.reference.integer.decoder import IntegerDecoder, IntegerState
from neardecode_testbench.reference.scorers import FloatScorer

__all__ = ["Continuation", "compare_continuations", "shipped_prompts"]


@dataclass(frozen=True)
class Continuation:
    """A greedy continuation by the float decoder, and what the integer one takes for likeliest.

    The integer decoder is fed the float decoder's tokens, so that one difference is one difference.
    """

    float_tokens: list[int]
    integer_tokens: list[int]

    @property
    def same(self) -> int:
        """Tokens that are equal."""
        pairs = zip(self.float_tokens, self.integer_tokens, strict=True)
        return sum(one == other for one, other in pairs)

    @property
    def before_difference(self) -> int:
        """Tokens before the first that differs: so far both continue alike on their own as well."""
        for index, token in enumerate(self.float_tokens):
            if token != self.integer_tokens[index]:
                return index
        return len(self.float_tokens)


def shipped_prompts() -> list[str]:
    """Five prompts, one in a chat template."""
    folder = files("neardecode_testbench.reference") / "text"
    return json.loads((folder / "prompts.json").read_text("utf-8"))


def compare_continuations(
    decoder: IntegerDecoder, real: Decoder, prompt: Sequence[int], count: int
) -> Continuation:
    """Continue a prompt by ``count`` tokens, whatever they are.

    Parameters:
        decoder: the integer decoder.
        real: the float decoder of the same model.
        prompt: ids, at least one.
        count: at least one; both together fit the context.
    """
    if count < 1:
        raise ValueError(f"count must be positive, not {count!r}")
    tokens = generate(real, FloatScorer(real.shape), prompt, count)
    state = IntegerState(decoder.shape)
    normed = decoder.forward([*prompt, *tokens[:-1]], state)
    logits = decoder.logits(normed[len(prompt) - 1 :], state)  # (count, vocabulary)
    return Continuation(tokens, logits.argmax(axis=-1).tolist())
