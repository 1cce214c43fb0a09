"""The CLIP that supervises and judges: its files, prompts, and a small one that ships."""
