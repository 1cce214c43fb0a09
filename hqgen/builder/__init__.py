"""Plan -> legs -> commit, run on Dask."""
