"""Downloads: one way, resumable, checked; archives, videos and weights."""
