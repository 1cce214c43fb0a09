"""The spike stream as data."""
