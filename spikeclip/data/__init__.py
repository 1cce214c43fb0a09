"""Low-light sets, voxels, batches, and crops of HQ pictures."""
