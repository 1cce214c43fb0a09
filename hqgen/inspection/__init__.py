"""What a finished build shows: statistics, truth, picks, candidates."""
