"""Our own forward and backward passes for models of Llama's build with adapters on them.

Only the worker imports this package. TRL's loop, data, losses and logs stay; what is replaced is
how the log-probabilities of labelled tokens and their gradient are computed (`install.py`).
"""
