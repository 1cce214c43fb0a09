"""Reconstruction methods: spikes -> image, one file per method."""
