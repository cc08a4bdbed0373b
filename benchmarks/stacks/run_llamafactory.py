"""LLaMA-Factory, under its own interpreter: MODEL ROWS STEPS BATCH OUT.

It wants torchaudio, of which there is none for this PyTorch: an empty module stands in, since it
is only for speech. It takes the rows in their order, so that the tokens of each step are known.
"""

from __future__ import annotations

import json
import os
import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

os.environ["DISABLE_VERSION_CHECK"] = "1"
for name in ("torchaudio", "torchaudio.functional"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__spec__ = ModuleSpec(name, None)

from llamafactory.train.tuner import run_exp  # noqa: E402
from marks import Marks, clock  # noqa: E402
from transformers import AutoTokenizer, TrainerCallback  # noqa: E402

TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "system_tag": "system",
}


def main(model: str, rows: str, steps: str, batch: str, out: str) -> None:
    """Train rank 16 on all linear layers in bfloat16, on every token of the rows."""
    marks = Marks()
    folder = Path(out)
    entry = {
        "file_name": str(Path(rows).absolute()),
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": TAGS,
    }
    (folder / "dataset_info.json").write_text(json.dumps({"chats": entry}))
    tokenizer = AutoTokenizer.from_pretrained(model)
    chats = [json.loads(line)["messages"] for line in Path(rows).read_text().splitlines()]
    sizes = [len(tokenizer.apply_chat_template(chat)["input_ids"]) for chat in chats]

    def tokens(step: int) -> int:
        return sum(sizes[: step * int(batch)])

    run_exp(
        {
            "model_name_or_path": model,
            "stage": "sft",
            "do_train": True,
            "finetuning_type": "lora",
            "lora_rank": 16,
            "lora_alpha": 32,
            "lora_target": "all",
            "dataset": "chats",
            "dataset_dir": out,
            "template": "chatml",
            "train_on_prompt": True,
            "disable_shuffling": True,
            "cutoff_len": 8192,
            "output_dir": str(folder / "run"),
            "per_device_train_batch_size": int(batch),
            "gradient_accumulation_steps": 1,
            "max_steps": int(steps),
            "learning_rate": 1e-3,
            "lr_scheduler_type": "constant",
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "bf16": True,
            "use_cpu": True,
            "disable_gradient_checkpointing": True,
            "preprocessing_num_workers": 1,
            "plot_loss": False,
        },
        callbacks=[clock(marks, TrainerCallback, tokens)],
    )
    marks.say()


if __name__ == "__main__":
    main(*sys.argv[1:])
