"""The wire to the daemons.  Foreign exceptions are translated here and nowhere else."""
