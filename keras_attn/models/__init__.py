"""Functional models of the literature, one architecture a file."""
