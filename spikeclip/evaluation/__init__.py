"""Tables of quality, accuracy and cost."""
