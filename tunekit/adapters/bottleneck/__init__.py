"""Bottleneck adapters: small networks behind the sub-layers of each block."""
