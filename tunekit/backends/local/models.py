"""Load the base model and its tokenizer, as the request says."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from tunekit.backends.local import scorer
from tunekit.backends.local.failure import is_memory
from tunekit.backends.local.methods import freezing
from tunekit.embedded import folder as embedded_folder
from tunekit.errors import SpecError


def load(request: dict[str, Any]) -> tuple[Any, Any]:
    """Give model and tokenizer; adapters are added by the trainer.

    Raises:
        SpecError: the files are missing or broken.
    """
    wanted = request["model"]
    source = locate(wanted["source"])
    try:
        if request["engine"] == "unsloth":
            return _with_unsloth(source, request)
        seed = request["trainer"]["seed"] if request["objective"] == "reward" else None
        model = _with_transformers(source, wanted, request["device"], scorer_seed=seed)
        if last := request.get("method", {}).get("last_layers"):
            freezing.freeze(model, last)
        return model, tokenizer(source)
    except SpecError:
        raise
    except Exception as error:
        if is_memory(error):
            raise
        raise SpecError(
            f"model: {wanted['source']} cannot be loaded ({type(error).__name__}: {error}); "
            "check that config.json, the tokenizer and *.safetensors are whole, "
            "or download the model again"
        ) from error


def fit(request: dict[str, Any], model: Any) -> Iterator[str]:
    """Lower max_length to what the model takes; say so."""
    most = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    peft: dict[str, Any] = request["peft"] or {}
    most = None if most is None else int(most) - int(peft.get("num_virtual_tokens", 0))
    asked = request["data"]["max_length"]
    if most is not None and asked > most:
        request["data"]["max_length"] = most
        if request["trainer"].get("max_length"):
            request["trainer"]["max_length"] = most
        yield f"training.max_length is {most}, all that the model takes, not {asked}"


def locate(source: str) -> str:
    """Give a folder or hub id that transformers can load."""
    return str(embedded_folder()) if source.startswith("embedded:") else source


def tokenizer(source: str) -> Any:
    """Load the tokenizer; one without a pad token pads with its end token."""
    transformers: Any = import_module("transformers")
    loaded = transformers.AutoTokenizer.from_pretrained(source)
    if loaded.pad_token_id is None:
        loaded.pad_token = loaded.eos_token
    return loaded


def _with_transformers(
    source: str, wanted: dict[str, Any], device: str, *, scorer_seed: int | None
) -> Any:
    """Load the base; with a seed, under a new head for scores."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    options: dict[str, Any] = {"dtype": getattr(torch, wanted["dtype"])}
    quantization = wanted["quantization"]
    if quantization:
        compute = quantization.get("bnb_4bit_compute_dtype")
        if compute:
            quantization = {**quantization, "bnb_4bit_compute_dtype": getattr(torch, compute)}
        options["quantization_config"] = BitsAndBytesConfig(**quantization)
        options["device_map"] = {"": device if device != "cuda" else torch.cuda.current_device()}
    if scorer_seed is None:
        model = AutoModelForCausalLM.from_pretrained(source, **options)
    else:
        model = scorer.load(source, seed=scorer_seed, options=options)
    _keep_trainable(model)
    return model


def _keep_trainable(model: Any) -> None:
    """Keep bitsandbytes from repacking 4-bit weights for inference on a CPU.

    A forward pass in eval mode would do it, and through repacked weights no gradient flows
    (bitsandbytes 0.50, `matmul_4bit`): the model would be measured first and then not learn.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _with_unsloth(source: str, request: dict[str, Any]) -> tuple[Any, Any]:
    """Load through Unsloth, which patches the model for its own kernels."""
    import torch

    fast: Any = import_module("unsloth").FastLanguageModel
    wanted = request["model"]
    quantization: dict[str, Any] = wanted["quantization"] or {}
    model, words = fast.from_pretrained(
        model_name=source,
        max_seq_length=request["data"]["max_length"],
        dtype=getattr(torch, wanted["dtype"]),
        load_in_4bit=quantization.get("load_in_4bit", False),
        load_in_8bit=quantization.get("load_in_8bit", False),
        full_finetuning=request["peft"] is None,
    )
    if request["peft"]:
        model = fast.get_peft_model(model, **_unsloth_peft(request))
    return model, words


def _unsloth_peft(request: dict[str, Any]) -> dict[str, Any]:
    unheld = ("task_type", "peft_type", "use_dora")
    peft = {key: value for key, value in request["peft"].items() if key not in unheld}
    if peft["target_modules"] == "all-linear":
        peft["target_modules"] = [
            *("q_proj", "k_proj", "v_proj", "o_proj"),
            *("gate_proj", "up_proj", "down_proj"),
        ]
    return {
        **peft,
        "use_gradient_checkpointing": request["trainer"]["gradient_checkpointing"],
        "random_state": request["trainer"]["seed"],
        "max_seq_length": request["data"]["max_length"],
    }
