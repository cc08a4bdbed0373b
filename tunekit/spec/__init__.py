"""What is wanted: pydantic models and nothing else."""
