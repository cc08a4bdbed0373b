"""Methods of a spec as arguments of PEFT's configs, one file per family."""
