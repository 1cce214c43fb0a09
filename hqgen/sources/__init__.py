"""Datasets: catalog entry -> samples."""
