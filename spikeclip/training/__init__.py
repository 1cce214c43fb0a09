"""The three stages of a training, and how they run."""
