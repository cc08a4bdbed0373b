"""Answers of a model to many prompts at once, greedily."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, cast

from tunekit.data.tokens import Prompt
from tunekit.evaluation import inference
from tunekit.evaluation.decode import decode, has_virtual, is_plain

_MOST_ROWS = 64
_MOST_TOKENS = 16_384
"""Rows of a batch, and tokens with those to come: what a batch costs beside its arithmetic, a
larger one shares out among more rows."""


def answers(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    *,
    length: int,
    known: Sequence[Sequence[int]] = (),
    faster: inference.Inference | None = None,
) -> list[str]:
    """Give the text that the model adds to each prompt, up to its end token or `length` tokens.

    Prompts of similar length share a batch, padded on the left; the order is kept. A prompt that
    leaves no room in the model's context loses its beginning.

    Args:
        model: A causal language model, or a PEFT model around one.
        tokenizer: Its tokenizer.
        prompts: What is asked.
        length: Most tokens of an answer.
        known: Tokens that each answer is known to begin with, from a pass over the reference: where
            every token of it is the likeliest one, a greedy decoder writes it.
        faster: Who answers in the model's place; else whoever is offered.
    """
    if not prompts:
        return []
    room, ends = _room(model, length), set(_ends(model, tokenizer))
    begun = [list(tokens[:length]) for tokens in known] or [[] for _ in prompts]
    for n, prompt in enumerate(prompts):
        if len(prompt.input_ids) > room:
            begun[n] = []
    said = [_until(row, ends) for row in begun]
    # What is cut at its end, or is as long as an answer may be, is whole.
    unended = [n for n, row in enumerate(begun) if len(row) < length and said[n] == row]
    ids = [[*prompts[n].input_ids, *begun[n]] for n in unended]
    left = length - min((len(begun[n]) for n in unended), default=0)
    more = _extended(model, tokenizer, ids, length=left, pick=_likeliest, faster=faster)
    for n, row in zip(unended, more, strict=True):
        said[n] = [*begun[n], *row][:length]
    return [tokenizer.decode(answer, skip_special_tokens=True) for answer in said]


def samples(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], *, length: int, seed: int
) -> list[list[int]]:
    """Draw what the model says to each prompt, at temperature 1: up to `length` tokens.

    The same seed gives the same draws; no other random number is touched.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)

    def draw(logits: Any) -> Any:
        # torch.multinomial draws a number for every word, which takes longer than a small model.
        ends = logits.float().softmax(-1).cumsum(-1, dtype=torch.float64)
        place = torch.rand(len(ends), 1, dtype=torch.float64, generator=generator)
        return torch.searchsorted(ends, place.to(ends.device) * ends[:, -1:], right=True)[:, 0]

    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        return _extended(model, tokenizer, prompts, length=length, pick=draw)


def _extended(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    *,
    length: int,
    pick: Callable[[Any], Any],
    faster: inference.Inference | None = None,
) -> list[list[int]]:
    if not prompts:
        return []
    ids = _bounded(model, tokenizer, prompts, length)
    faster, plain = faster or inference.of(model), is_plain(model)
    found: list[list[int]] = [[]] * len(ids)
    ends, pad = _ends(model, tokenizer), _pad(model, tokenizer)
    draws = pick is not _likeliest
    with contextlib.nullcontext() if plain else _settings(model, tokenizer, length, draws=draws):
        for batch in _batches(ids, length, even=has_virtual(model)):
            rows = [ids[row] for row in batch]
            if faster is not None:
                made = faster.extend(rows, length=length, ends=ends, pick=pick)
            elif plain:
                made = decode(model, rows, length=length, ends=ends, pad=pad, pick=pick)
            else:
                made = _generated(model, tokenizer, rows)
            for row, answer in zip(batch, made, strict=True):
                found[row] = answer
    return found


def _likeliest(logits: Any) -> Any:
    # The same as argmax, which takes four times as long on a processor.
    return logits.max(-1).indices


def _bounded(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], length: int
) -> list[list[int]]:
    """Give prompts that are not empty and leave room for the answer."""
    start = (
        tokenizer.bos_token_id if tokenizer.bos_token_id is not None else _ends(model, tokenizer)[0]
    )
    room = _room(model, length)
    return [list(prompt or [start])[-room:] for prompt in prompts]


def _generated(model: Any, tokenizer: Any, ids: list[list[int]]) -> list[list[int]]:
    import torch

    width = max(map(len, ids))
    padding = [width - len(row) for row in ids]
    pad = _pad(model, tokenizer)
    inputs = torch.tensor([[pad] * gap + row for gap, row in zip(padding, ids, strict=True)])
    mask = torch.tensor([[0] * gap + [1] * (width - gap) for gap in padding])
    device = next(model.parameters()).device
    made = model.generate(input_ids=inputs.to(device), attention_mask=mask.to(device))
    ends = set(_ends(model, tokenizer))
    return [_until(row, ends) for row in made[:, width:].tolist()]


def _until(row: list[int], ends: set[int]) -> list[int]:
    end = next((n for n, token in enumerate(row) if token in ends), len(row))
    return row[:end]


def _batches(
    ids: Sequence[Sequence[int]], length: int, *, even: bool = False
) -> Iterator[list[int]]:
    """Group rows of similar length, longest first, within the bounds on rows and tokens.

    `even` groups those of one length only: PEFT puts virtual tokens before the padding, and counts
    positions through it, so that a padded row is answered otherwise than alone.
    """
    batch: list[int] = []
    order = sorted(range(len(ids)), key=lambda row: -len(ids[row]))
    for row in order:
        width = len(ids[batch[0]]) if batch else len(ids[row])
        full = len(batch) == _MOST_ROWS or (len(batch) + 1) * (width + length) > _MOST_TOKENS
        full = full or (even and len(ids[row]) != width)
        if batch and full:
            yield batch
            batch = []
        batch.append(row)
    yield batch


@contextlib.contextmanager
def _settings(
    model: Any, tokenizer: Any, length: int, *, draws: bool
) -> Generator[None, None, None]:
    """Put our settings in the place of the model's own, which may sample or penalise."""
    from transformers import GenerationConfig

    settings = GenerationConfig(
        max_new_tokens=length,
        do_sample=draws,
        **({"top_k": 0} if draws else {}),
        use_cache=True,
        eos_token_id=_ends(model, tokenizer),
        pad_token_id=_pad(model, tokenizer),
    )
    holders = [
        holder for holder in (model, inference.inner(model)) if "generation_config" in vars(holder)
    ]
    kept = [holder.generation_config for holder in holders]
    for holder in holders:
        holder.generation_config = settings
    try:
        yield
    finally:
        for holder, own in zip(holders, kept, strict=True):
            holder.generation_config = own


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """Give the ids that end an answer: the tokenizer's and those the model was published with."""
    own: Any = getattr(inference.inner(model).generation_config, "eos_token_id", None)
    listed = cast("Sequence[int | None]", own) if isinstance(own, list) else [own]
    return sorted({id for id in (tokenizer.eos_token_id, *listed) if id is not None})


def _pad(model: Any, tokenizer: Any) -> int:
    pad = tokenizer.pad_token_id
    return int(pad if pad is not None else (_ends(model, tokenizer) or [0])[0])


def _room(model: Any, length: int) -> int:
    context = getattr(
        inference.inner(model).config.get_text_config(), "max_position_embeddings", None
    )
    return max(1, context - length) if context else 2**31
