"""Architecture search on tables: every architecture of a space trained once and for all, to be queried in no time."""
