"""Programs over all the rooms: the demo, and what follows it."""
