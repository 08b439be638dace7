"""What a sweep leaves behind: trials, the run directory, the result, exported networks. No JAX."""
