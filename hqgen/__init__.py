"""Build high-quality image sets from spike-camera recordings."""
