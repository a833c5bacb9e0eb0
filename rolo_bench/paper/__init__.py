"""The ROLO paper: what its printed numbers measure, and its studies."""
