"""Image -> score."""
