"""Built-in tracker plugins, one file each."""
