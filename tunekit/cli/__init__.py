"""A thin typer application over the public functions."""
