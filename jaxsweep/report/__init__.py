"""What people see: progress while a sweep runs, and tables afterwards. No JAX."""
