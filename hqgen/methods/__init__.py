"""Reconstruction methods: spikes -> image, one file a method."""
