"""Dataset readers, suite tables and the synthetic generator."""
