"""What a sweep is asked to do: hyperparameters, spaces over them, metrics, sweep files. No JAX."""
