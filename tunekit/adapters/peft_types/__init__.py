"""Adapters of PEFT's methods other than LoRA: their configs and tensors, by schemas of our own."""
