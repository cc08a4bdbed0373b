"""What an adapter begins with where PEFT's config alone does not say: data, text, the base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from itertools import chain, cycle, islice
from typing import Any

from tunekit.errors import SpecError

ROWS, BATCH = 128, 4
"""Training rows that EVA looks at, and how many at once."""


def eva(model: Any, columns: Mapping[str, Sequence[Any]]) -> None:
    """Let A begin as the principal directions of each layer's inputs (arXiv 2410.07170).

    Raises:
        SpecError: the rows hold fewer tokens than the adapter has ranks.
    """
    peft: Any = import_module("peft")
    rows = [row for row in _rows(columns) if len(row) > 1][:ROWS]
    batches = [_batch(rows[n : n + BATCH], model.device) for n in range(0, len(rows), BATCH)]
    training = model.training
    model.eval()
    try:
        peft.initialize_lora_eva_weights(
            model, batches, gather_distributed_inputs=False, show_progress_bar=False
        )
    except (RuntimeError, ValueError, IndexError) as error:
        rank = model.peft_config["default"].r
        raise SpecError(
            f"method.init: eva finds no {rank} directions in {sum(map(len, rows))} tokens of "
            f"{len(rows)} rows ({error}); lower method.rank, or take init: default"
        ) from error
    model.train(training)


def prefix(model: Any, ids: Sequence[int]) -> None:
    """Let a prefix begin as the keys and values that the base computes for tokens."""
    import torch

    cartridge: Any = import_module("peft.tuners.cartridge.utils")
    wanted = torch.tensor([_exactly(ids, _virtual(model))], device=model.device)
    base, training = model.get_base_model(), model.training
    base.eval()
    with torch.no_grad():
        known = base(input_ids=wanted, use_cache=True).past_key_values
    cartridge.initialize_kv_prefix_from_past_key_values(model, past_key_values=known)
    model.train(training)


def prompt(model: Any, ids: Sequence[int]) -> None:
    """Let virtual tokens begin as the embeddings of tokens."""
    import torch

    wanted = torch.tensor(_exactly(ids, _virtual(model)), device=model.device)
    held = model.prompt_encoder["default"].embedding.weight
    with torch.no_grad():
        held.copy_(model.get_base_model().get_input_embeddings()(wanted))


def first_tokens(columns: Mapping[str, Sequence[Any]], number: int) -> list[int]:
    """Give the first tokens of the training rows, one row behind the other."""
    return list(islice(chain.from_iterable(_rows(columns)), number))


def _rows(columns: Mapping[str, Sequence[Any]]) -> Iterator[Sequence[int]]:
    """Give the token ids of each row: the whole of it, or a prompt with its better answer."""
    wholes = ("input_ids", "chosen_ids", "completion_ids")
    answers = next((columns[name] for name in wholes if name in columns), None)
    prompts = columns.get("prompt_ids")
    for number in range(len(answers or prompts or ())):
        yield [*(prompts[number] if prompts else ()), *(answers[number] if answers else ())]


def _batch(rows: Sequence[Sequence[int]], device: Any) -> dict[str, Any]:
    import torch

    width = max(map(len, rows))
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
        mask[number, : len(row)] = 1
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}


def _virtual(model: Any) -> int:
    return int(model.peft_config["default"].num_virtual_tokens)


def _exactly(ids: Sequence[int], number: int) -> list[int]:
    """Repeat or cut tokens to a number of them."""
    if not ids:
        raise SpecError("method.init_text: holds no token; say the task in words")
    return list(islice(cycle(ids), number))
