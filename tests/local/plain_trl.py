"""What a user of TRL would write: the losses that the worker must reproduce."""

import json
import sys

import torch
from datasets import load_dataset
from peft import LoraConfig
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, set_seed
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer


class AnswerORPO(ORPOTrainer):
    """Counts the answer alone in the likelihood, as the paper does; TRL counts the prompt too."""

    def concatenated_forward(self, model, batch):
        chosen, rejected, logits, worse, _ = super().concatenated_forward(model, batch)
        labels = self.concatenated_inputs(batch)["concatenated_labels"][: len(logits), 1:]
        nll = cross_entropy(logits.transpose(1, 2), labels)
        return chosen, rejected, logits, worse, nll


KINDS = {
    "sft": (SFTConfig, SFTTrainer, {}),
    "dpo": (DPOConfig, DPOTrainer, {}),
    "normalized": (
        DPOConfig,
        DPOTrainer,
        {"beta": 5.0, "loss_type": ["sigmoid_norm", "sft"], "loss_weights": [1.0, 0.5]},
    ),
    "simpo": (
        CPOConfig,
        CPOTrainer,
        {"loss_type": "simpo", "cpo_alpha": 0.0, "beta": 2.5, "simpo_gamma": 1.4},
    ),
    "orpo": (ORPOConfig, AnswerORPO, {"beta": 0.25}),
}
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
    "gradient_checkpointing": False,
}
tokenizer = AutoTokenizer.from_pretrained(model_folder)
if objective in ("simpo", "orpo"):
    tokenizer.bos_token = None  # the experimental trainers would put it before every prompt
four_bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
model = AutoModelForCausalLM.from_pretrained(
    model_folder, dtype=torch.float32, quantization_config=four_bits if quantized == "1" else None
)
set_seed(7)
Config, Trainer, own = KINDS[objective]
trainer = Trainer(
    model=model,
    args=Config(**settings, **own),
    train_dataset=rows,
    processing_class=tokenizer,
    peft_config=LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"),
)
trainer.train()
losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
print(json.dumps(losses))
