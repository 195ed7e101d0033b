"""Live state of wallets and backends.  No input, no output and no clock of its own: `now` is handed in."""
