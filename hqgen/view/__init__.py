"""`hqgen view`: a local web application over a finished store; `docs/view.md` shows it."""
