"""Words: what a call, an error, an event and a setting are.  Nothing here does input or output but reading files."""
