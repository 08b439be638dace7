"""How one network trains, as pure functions, and the plain reference that says the same a second time."""
