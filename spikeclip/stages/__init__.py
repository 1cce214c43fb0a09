"""The three stages of a training, and the loop that runs each of them."""
