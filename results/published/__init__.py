"""Published reference numbers, each table with its source."""
