"""A benchmark of reconstruction methods: every method over every sample, with ground truth and without.

Outputs of methods differ in brightness by a factor of ten and more, and no-reference judges depend on it. So
every output is judged twice: raw, as the published tables do, and bright, as the picture that the one rule of
normalisation makes of it.
"""
