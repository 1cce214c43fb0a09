"""Train and run the SpikeCLIP low-light reconstruction network."""
