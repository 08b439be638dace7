"""What many trials say together: which hyperparameters matter, which interact, how much is luck."""
