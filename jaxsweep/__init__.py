"""jaxsweep trains thousands of neural-network hyperparameter configurations at once."""
