"""Recipes: a whole way from recordings to tables in one file."""
