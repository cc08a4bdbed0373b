"""The result: checked before it is trusted, loaded onto the right base, merged with proof."""
