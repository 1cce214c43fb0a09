"""Training the methods that hqgen ships weights for, on spike streams simulated from pictures."""
