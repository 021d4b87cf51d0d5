"""Kills a cluster and its subscribers at random, and counts what got lost."""
