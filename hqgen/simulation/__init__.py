"""A simulated camera, and moving scenes for it to see."""
