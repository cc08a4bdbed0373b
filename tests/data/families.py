"""Real chat templates, each on one small tokenizer that has the special tokens it needs."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trl
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tunekit.data.mask import IGNORED, Tokens
from tunekit.data.rows import Conversation, Message, Where

TEMPLATES = Path(trl.__file__).parent / "chat_templates"
HERE = Where(file="rows", line=1)
CORPUS = ["hello world, the answer is 42.\n\nuser assistant system model tool"] * 3

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' + message.content + "
    "'<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """Special tokens of a model family, as its tokenizer on the hub has them."""

    bos: str | None
    eos: str
    stop: str
    """Ends the last answer."""
    middle: str
    """Ends an answer that is followed by another turn."""
    more: tuple[str, ...] = ()
    system: bool = True
    tools: bool = False

    @property
    def tokens(self) -> list[str]:
        given = (self.bos, self.eos, self.stop, self.middle, *self.more)
        return list(dict.fromkeys(token for token in given if token))


def _family(eos: str, *more: str, bos: str | None = None, **rest: Any) -> Family:
    return Family(bos, eos, rest.pop("stop", eos), rest.pop("middle", eos), more, **rest)


QWEN = _family("<|im_end|>", "<|im_start|>", "<|endoftext|>", tools=True)
_LLAMA = ("<|start_header_id|>", "<|end_header_id|>", "<|end_of_text|>")
_COHERE = ("<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|SYSTEM_TOKEN|>")
_DEEPSEEK = ("<｜User｜>", "<｜Assistant｜>")
_PHI = _family(
    "<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>", bos="<s>", middle="<|end|>"
)

FAMILIES: dict[str, Family] = {
    "qwen2_5": QWEN,
    "qwen3": QWEN,
    "qwen3_instruct_2507": QWEN,
    "qwen3_vl": QWEN,
    "qwen3_5_think": QWEN,
    "qwen3_5_nothink": QWEN,
    "qwen3_6": QWEN,
    "qwen3_8": QWEN,
    "llama3": _family("<|eot_id|>", *_LLAMA, bos="<|begin_of_text|>"),
    "llama3_1": _family("<|eot_id|>", *_LLAMA, bos="<|begin_of_text|>", tools=True),
    "llama3_2": _family("<|eot_id|>", *_LLAMA, bos="<|begin_of_text|>", tools=True),
    "gemma": _family(
        "<eos>",
        "<start_of_turn>",
        bos="<bos>",
        stop="<end_of_turn>",
        middle="<end_of_turn>",
        system=False,
    ),
    "gemma3": _family("<end_of_turn>", "<start_of_turn>", bos="<bos>"),
    "gemma4": _family("<turn|>", "<|turn>", "<|tool_response>", bos="<bos>"),
    "phi3": _PHI,
    "phi3_5": _PHI,
    "cohere": _family("<|END_OF_TURN_TOKEN|>", *_COHERE, bos="<BOS_TOKEN>"),
    "cohere2": _family(
        "<|END_OF_TURN_TOKEN|>",
        *_COHERE,
        "<|START_RESPONSE|>",
        "<|END_RESPONSE|>",
        bos="<BOS_TOKEN>",
    ),
    "deepseekv3": _family(
        "<｜end▁of▁sentence｜>", *_DEEPSEEK, bos="<｜begin▁of▁sentence｜>", tools=True
    ),
    "deepseek_r1_distill": _family(
        "<｜end▁of▁sentence｜>", *_DEEPSEEK, bos="<｜begin▁of▁sentence｜>"
    ),
    # Nothing ends an answer but the header of the turn behind it.
    "glm4moe": _family(
        "<|endoftext|>",
        "[gMASK]",
        "<sop>",
        "<|assistant|>",
        "<|system|>",
        "<|observation|>",
        stop="<|user|>",
        middle="<|user|>",
        tools=True,
    ),
    "gptoss": _family(
        "<|return|>",
        "<|start|>",
        "<|message|>",
        "<|channel|>",
        "<|call|>",
        middle="<|end|>",
        tools=True,
    ),
    "lfm2": _family("<|im_end|>", "<|im_start|>", bos="<|startoftext|>"),
    "lfm2_v2": _family("<|im_end|>", "<|im_start|>", bos="<|startoftext|>", tools=True),
    "nemotron_3_nano": _family("<|im_end|>", "<|im_start|>", bos="<s>", tools=True),
    "muse_glimmer": _family(
        "<|eot|>", "<|start|>", "<|message|>", "<|eom|>", bos="<|begin|>", system=False, tools=True
    ),
    "smolvlm": _family("<end_of_utterance>", bos="<|im_start|>"),
    "idefics3": _family("<end_of_utterance>", bos="<|begin_of_text|>"),
    "llava_next": _family("</s>", bos="<s>"),
}

TRAINED_BY_TRL = [name for name in FAMILIES if (TEMPLATES / f"{name}_training.jinja").is_file()]


@functools.cache
def _trained() -> str:
    """Train byte pairs once; every tokenizer below starts from them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return str(tokenizer.to_str())


def byte_level(family: Family, template: str | None, *, trim: bool = False) -> Any:
    """Make a byte-level tokenizer; `trim` leaves blanks out of the offsets, as GPT-2's does."""
    tokenizer = Tokenizer.from_str(_trained())
    tokenizer.add_special_tokens([_special(token) for token in family.tokens])
    if trim:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    return _wrapped(tokenizer, family, template)


def sentence_piece(family: Family, template: str | None) -> Any:
    """Make a tokenizer in Llama 2's manner: blanks as ▁, bytes where the vocabulary ends."""
    letters = ["<unk>", *(f"<0x{n:02X}>" for n in range(256)), "▁", *"abcdefghijklmnoprstuvwxyz"]
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>", byte_fallback=True)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.add_special_tokens([_special(token) for token in family.tokens])
    return _wrapped(tokenizer, family, template)


def _special(token: str) -> AddedToken:
    return AddedToken(token, special=True, normalized=False)


def _wrapped(tokenizer: Tokenizer, family: Family, template: str | None) -> Any:
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=family.bos, eos_token=family.eos
    )
    wrapped.chat_template = template
    return wrapped


@functools.cache
def real(name: str, *, training: bool = False) -> Any:
    """Give the tokenizer of a family, with its own template or the one TRL trains with."""
    suffix = "_training" if training else ""
    template = (TEMPLATES / f"{name}{suffix}.jinja").read_text(encoding="utf-8")
    return byte_level(FAMILIES[name], template)


def chatml(template: str = CHATML) -> Any:
    return byte_level(QWEN, template)


def chat(*turns: tuple[Any, str], **settings: Any) -> Conversation:
    messages = tuple(Message(role=role, content=content) for role, content in turns)
    return Conversation(messages=messages, where=HERE, **settings)


def stretches(tokens: Tokens, tokenizer: Any) -> list[str]:
    """Give the text of every unbroken stretch of trained tokens."""
    found: list[list[int]] = [[]]
    for label in tokens.labels:
        if label != IGNORED:
            found[-1].append(label)
        elif found[-1]:
            found.append([])
    return [tokenizer.decode(stretch) for stretch in found if stretch]
