"""Scores: conventions, summaries, statistics, tables, published numbers."""
