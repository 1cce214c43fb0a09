"""A manifest, shown."""
