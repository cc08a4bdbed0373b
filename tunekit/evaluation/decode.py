"""The loop that extends many prompts by a token at a time, and drops those that have ended.

For models whose memory of a text is a plain cache of keys and values: transformers' `generate`
goes on computing rows that have ended until the last row of the batch has, and this does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tunekit.evaluation.forward import accepted
from tunekit.evaluation.inference import inner

_KEPT = 0.75
"""Rows are dropped when no more than this share of the batch still goes on."""


def has_virtual(model: Any) -> bool:
    """Say whether an adapter puts virtual tokens before the prompt."""
    configs: dict[str, Any] = getattr(model, "peft_config", {})
    return any(getattr(config, "is_prompt_learning", False) for config in configs.values())


def is_plain(model: Any) -> bool:
    """Say whether nothing but keys, values and positions links one step to the next."""
    base = inner(model)
    virtual = has_virtual(model)
    kinds = getattr(base.config.get_text_config(), "layer_types", None) or ()
    known = all(str(kind).endswith("attention") and "linear" not in str(kind) for kind in kinds)
    wanted = {"past_key_values", "position_ids", "attention_mask"}
    return known and not virtual and not base._is_stateful and wanted <= accepted(model)


def decode(
    model: Any,
    rows: Sequence[Sequence[int]],
    *,
    length: int,
    ends: Sequence[int],
    pad: int,
    pick: Callable[[Any], Any],
) -> list[list[int]]:
    """Extend each row by up to `length` tokens; the token that ends it is left out.

    Args:
        model: A causal language model for which `is_plain` holds, in evaluation mode.
        rows: Prompts of similar length, none empty; padded on the left.
        length: Most tokens to add.
        ends: Tokens that end a row.
        pad: Fills up short rows.
        pick: Chooses a token for each row of logits, [rows, vocabulary] to [rows].
    """
    import torch
    from transformers import DynamicCache

    width = max(map(len, rows))
    device = next(model.parameters()).device
    ids = torch.tensor([[pad] * (width - len(row)) + [*row] for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    base = inner(model)
    cache = DynamicCache(config=base.config)
    last = {"logits_to_keep": 1} if "logits_to_keep" in accepted(model) else {}
    stops = torch.tensor(sorted(ends), device=device)
    found: list[list[int]] = [[] for _ in rows]
    alive = torch.arange(len(rows), device=device)
    for step in range(length):
        logits = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            **last,
        ).logits[:, -1]
        chosen = pick(logits)
        going: Any = ~torch.isin(chosen, stops)
        # A row that has ended stays in the batch until enough others have, and says nothing more.
        going &= alive >= 0
        for place in going.nonzero()[:, 0].tolist():
            found[int(alive[place])].append(int(chosen[place]))
        alive = torch.where(going, alive, -1)
        left = int(going.sum())
        if not left or step + 1 == length:
            break
        positions = positions[:, -1:] + 1
        ids = chosen[:, None]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        if left <= _KEPT * len(going):
            kept = going.nonzero()[:, 0]
            cache.batch_select_indices(kept)
            ids, mask, positions, alive = (part[kept] for part in (ids, mask, positions, alive))
    return found
