"""Where training happens. Nothing is imported until it is asked for."""
