"""What a user of TRL would write: the losses that the worker must reproduce."""

import json
import sys

import torch
from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, set_seed
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

model_folder, data_file, objective, quantized, into = sys.argv[1:]
rows = load_dataset("json", data_files=data_file, split="train", cache_dir=into)
settings = {
    "output_dir": into,
    "per_device_train_batch_size": 4,
    "max_steps": 20,
    "learning_rate": 1e-3,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 0.1,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "use_cpu": True,
    "bf16": False,
    "seed": 7,
}
four_bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
model = AutoModelForCausalLM.from_pretrained(
    model_folder, dtype=torch.float32, quantization_config=four_bits if quantized == "1" else None
)
set_seed(7)
Config, Trainer = (DPOConfig, DPOTrainer) if objective == "dpo" else (SFTConfig, SFTTrainer)
trainer = Trainer(
    model=model,
    args=Config(**settings),
    train_dataset=rows,
    processing_class=AutoTokenizer.from_pretrained(model_folder),
    peft_config=LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"),
)
trainer.train()
losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
print(json.dumps(losses))
