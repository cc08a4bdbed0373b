"""What a sound row can still do wrong: the 25 checks, their thresholds and their reasons."""
