"""Methods that are trained networks, one file per method."""
