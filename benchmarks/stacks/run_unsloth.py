"""Unsloth's path for this device, under its own interpreter: MODEL ROWS STEPS BATCH OUT."""

from __future__ import annotations

import sys

import unsloth  # it patches what is imported after it
from datasets import load_dataset
from marks import Marks, clock
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def main(model: str, rows: str, steps: str, batch: str, out: str) -> None:
    """Train rank 16 on all linear layers in bfloat16, on every token of the rows."""
    marks = Marks()
    loaded, tokenizer = unsloth.FastLanguageModel.from_pretrained(
        model, max_seq_length=8192, load_in_4bit=False, dtype=None
    )
    tuned = unsloth.FastLanguageModel.get_peft_model(
        loaded, r=16, lora_alpha=32, target_modules=LINEAR, use_gradient_checkpointing=False
    )
    table = load_dataset("json", data_files=rows, split="train", cache_dir=out)
    texts = [tokenizer.apply_chat_template(row, tokenize=False) for row in table["messages"]]
    trainer = SFTTrainer(
        model=tuned,
        args=SFTConfig(
            output_dir=out,
            per_device_train_batch_size=int(batch),
            max_steps=int(steps),
            learning_rate=1e-3,
            lr_scheduler_type="constant",
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            max_length=8192,
            seed=42,
            disable_tqdm=True,
        ),
        train_dataset=type(table).from_dict({"text": texts}),
        processing_class=tokenizer,
        callbacks=[clock(marks, TrainerCallback)],
    )
    trainer.train()
    marks.say()


if __name__ == "__main__":
    main(*sys.argv[1:])
