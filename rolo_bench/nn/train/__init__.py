"""Training: one loop, and what each network learns from."""
