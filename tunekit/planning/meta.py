"""Count the parameters of a model of any build, without its weights and outside this process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_PATIENCE = 120
_COUNT = """
import sys, warnings
warnings.simplefilter("ignore")
import torch
from transformers import AutoConfig, AutoModelForCausalLM
with torch.device("meta"):
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(sys.argv[1]))
print(sum(weight.numel() for weight in model.parameters()))
"""


def count_parameters(config: Path, *, python: str = sys.executable) -> int | None:
    """Build the model of a config on torch's meta device and count its weights.

    None where the interpreter lacks transformers, or transformers does not know the model; code
    that comes with a model is not run.
    """
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    try:
        done = subprocess.run(
            [python, "-c", _COUNT, str(config)],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
            env=quiet,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = done.stdout.split()
    return int(words[-1]) if done.returncode == 0 and words and words[-1].isdecimal() else None
