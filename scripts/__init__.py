"""Programs that write parts of the project."""
