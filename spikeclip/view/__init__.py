"""A training in the browser, live while it runs."""
