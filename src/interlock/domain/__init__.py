"""Values and decisions: no I/O, no clock, no chance. Time and ids are arguments."""
