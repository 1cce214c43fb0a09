"""A finished store as a data set that other libraries load: pictures, metadata, a card, a description.

`selection` says which samples leave and into which split, `pictures` gives their PNG files, one module per
kind of data set writes them, `card` and `croissant` describe the result, and `run` does it all.
"""
