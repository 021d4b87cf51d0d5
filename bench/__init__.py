"""Measures gwcluster beside the libraries that people use instead."""
