"""How a profile is written: as a table and as a trace."""
