"""Running trackers: jobs, the guarded loop, results on disk."""
