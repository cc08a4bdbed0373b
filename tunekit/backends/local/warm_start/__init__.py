"""What `start_from` means here: an adapter whose weights the new one begins with."""
