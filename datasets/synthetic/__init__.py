"""The synthetic suite: scenes planned and painted from a seed, with exact truth."""
