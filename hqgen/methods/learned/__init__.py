"""Methods that are trained networks, one file a method."""
