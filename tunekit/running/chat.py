"""Talk to a run's model, and to its base: here, or where the model is served."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from tunekit import embedded
from tunekit.adapters import loading
from tunekit.data.render import read
from tunekit.data.rows import Completion, Conversation, Judged, Preference, Where
from tunekit.data.rows import Prompt as RowPrompt
from tunekit.data.template import Writer, stops
from tunekit.evaluation.inference import inner
from tunekit.running.endpoint import Endpoint

if TYPE_CHECKING:
    from tunekit.adapters.adapter import Adapter
    from tunekit.data.rows import Row
    from tunekit.running.run import Run

Side = Literal["base", "tuned"]
Message = Mapping[str, str]


class Speaker(Protocol):
    """Whoever answers."""

    sides: tuple[Side, ...]
    """The models that can be asked."""

    def say(
        self, side: Side, messages: Sequence[Message], *, length: int
    ) -> Generator[str, None, None]:
        """Answer greedily, piece by piece; closing the iterator stops the model."""
        ...


def speaker(run: Run) -> Speaker:
    """Give the endpoint of a run that is served, else its model on this machine.

    Raises:
        RunError: the run has no result.
        AdapterError: the base is another one than at training time, or not here.
        MissingExtra: torch, transformers or peft is not installed.
    """
    if (served := run.endpoint) is not None:
        return Served(served.wait())
    return Loaded(run.adapter, chat=trained_on_chats(run.folder / "data"))


def trained_on_chats(data: Path) -> bool:
    """Say whether the rows of a run are written by the chat template; without rows, assume so."""
    row = _first(data)
    if row is None or isinstance(row, Conversation):
        return True
    if isinstance(row, (Completion, Preference, Judged, RowPrompt)):
        return not isinstance(row.prompt, str)
    return False


def system(data: Path) -> str:
    """Give the system message that the first row of a run has, or nothing."""
    row = _first(data)
    turns: Any = row.messages if isinstance(row, Conversation) else getattr(row, "prompt", ())
    first = turns[0] if turns and not isinstance(turns, str) else None
    said = first.content if first is not None and first.role == "system" else ""
    return said if isinstance(said, str) else ""


class Served:
    """The tuned model where it was trained; its base is not served beside it."""

    sides: tuple[Side, ...] = ("tuned",)

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def say(
        self, side: Side, messages: Sequence[Message], *, length: int
    ) -> Generator[str, None, None]:
        """Answer in one piece."""
        yield self._endpoint.chat(messages, max_new_tokens=length)


class Loaded:
    """Both models on this machine, over one copy of the base where there is an adapter."""

    sides: tuple[Side, ...] = ("base", "tuned")
    """Without the base, where nothing says which model that was."""

    def __init__(self, adapter: Adapter, *, chat: bool = True) -> None:
        """Load; with `chat=False` the last message is continued as plain text."""
        self._model = adapter.load().eval()
        self._tokenizer = adapter.tokenizer()
        self._base = None
        if not hasattr(self._model, "disable_adapter"):
            self._base = _base(adapter)
            self.sides = ("base", "tuned") if self._base is not None else ("tuned",)
        self._chat = chat and bool(self._tokenizer.chat_template)

    def say(
        self, side: Side, messages: Sequence[Message], *, length: int
    ) -> Generator[str, None, None]:
        """Answer token by token, from a thread that ends with the iterator."""
        from transformers import GenerationConfig, TextIteratorStreamer

        streamer: Any = TextIteratorStreamer(
            self._tokenizer, skip_prompt=True, skip_special_tokens=True
        )
        ends = sorted({*stops(self._tokenizer), *_ends(self._model)})
        settings = GenerationConfig(
            max_new_tokens=length,
            do_sample=False,
            eos_token_id=ends or None,
            pad_token_id=self._tokenizer.pad_token_id or (ends or [0])[0],
        )
        stop = threading.Event()
        failures: list[BaseException] = []

        def work() -> None:
            try:
                self._generate(side, messages, streamer=streamer, settings=settings, stop=stop)
            except BaseException as error:
                failures.append(error)
                streamer.end()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield from streamer
        finally:
            stop.set()
            thread.join()
        if failures:
            raise failures[0]

    def _generate(
        self,
        side: Side,
        messages: Sequence[Message],
        *,
        streamer: Any,
        settings: Any,
        stop: threading.Event,
    ) -> None:
        import torch
        from transformers import StoppingCriteriaList

        ids = torch.tensor([self._ids(messages)], device=next(self._model.parameters()).device)

        def stopped(seen: Any, scores: Any, **more: Any) -> Any:
            return torch.full((len(seen),), stop.is_set(), device=seen.device)

        with self._as(side) as model, torch.no_grad():
            model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                generation_config=settings,
                streamer=streamer,
                stopping_criteria=StoppingCriteriaList([stopped]),
            )

    def _ids(self, messages: Sequence[Message]) -> list[int]:
        """Write the messages as training did."""
        if not self._chat:
            return list(self._tokenizer(messages[-1]["content"])["input_ids"])
        writer = Writer(self._tokenizer, None, Where(file="<chat>", line=len(messages)))
        text = writer.whole([dict(message) for message in messages], prompt=True)[1]
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    @contextlib.contextmanager
    def _as(self, side: Side) -> Generator[Any, None, None]:
        if side == "tuned":
            yield self._model
        elif self._base is not None:
            yield self._base
        else:
            with self._model.disable_adapter():
                yield self._model


def _base(adapter: Adapter) -> Any:
    """Load the model that was trained from, when something says which one."""
    if adapter.provenance is None:
        return None
    name = adapter.provenance.base_model
    place = str(embedded.folder()) if name.startswith("embedded:") else name
    return loading.load_model(place, dtype=None).eval()


def _ends(model: Any) -> list[int]:
    """Give the ids that the model was published with as ends of an answer."""
    own: Any = getattr(inner(model).generation_config, "eos_token_id", None)
    listed = cast("Sequence[int | None]", own) if isinstance(own, list) else [own]
    return [number for number in listed if number is not None]


def _first(data: Path) -> Row | None:
    file = data / "train.jsonl"
    return next(read(file), None) if file.is_file() else None
